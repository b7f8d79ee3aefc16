package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// events listens for deleted and expired keys where Redis is set to send them (notify-keyspace-events
// Exg), and has the session checked at once. Nothing depends on it: without events, on embedded Redis
// or where the ACL forbids the channels, the re-check finds the same a few seconds later.
func (m *Manager) events(ctx context.Context) {
	db := 0
	if c, ok := m.rdb.(*redis.Client); ok {
		db = c.Options().DB
	}
	var channels []string
	for _, event := range []string{"del", "expired", "evicted"} {
		channels = append(channels, fmt.Sprintf("__keyevent@%d__:%s", db, event))
	}
	for ctx.Err() == nil {
		err := m.listenEvents(ctx, channels)
		if redis.HasErrorPrefix(err, "NOPERM") {
			m.log.Info("session: no keyspace events", "err", err)
			return
		}
		pause(ctx, 5*time.Second)
	}
}

func (m *Manager) listenEvents(ctx context.Context, channels []string) error {
	ps, done, err := m.subscribe(ctx, channels...)
	if err != nil {
		return err
	}
	defer done()
	asked := false
	for {
		msg, err := ps.ReceiveTimeout(ctx, 10*time.Second)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !asked {
			asked = true // silence is normal; a ping tells it from a dead connection
			err = ps.Ping(ctx)
		}
		if err != nil {
			return err
		}
		if msg == nil {
			continue
		}
		asked = false
		if p, ok := msg.(*redis.Message); ok {
			if id, ok := strings.CutPrefix(p.Payload, "session:"); ok && ValidID(id) {
				m.eventFor(id)
			}
		}
	}
}

func (m *Manager) eventFor(id string) {
	m.mu.Lock()
	e := m.bound[id]
	if e != nil {
		e.due = true
	}
	m.mu.Unlock()
	if e != nil {
		wake(m.wakeCheck)
	}
}
