package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// eventSilence is for how long nothing may come, not even the answer to a ping, from the connection for
// keyspace events.
const eventSilence = 20 * time.Second

// events listens for deleted and expired keys where Redis is set to send them (notify-keyspace-events
// Exg), and has the session checked at once. Nothing depends on it: without events, on embedded Redis
// or where the ACL forbids the channels, the re-check finds the same a few seconds later.
func (m *Manager) events(ctx context.Context) {
	var channels []string
	for _, event := range []string{"del", "expired", "evicted"} {
		channels = append(channels, fmt.Sprintf("__keyevent@%d__:%s", redislink.TopologyOf(m.rdb).DB(), event))
	}
	l := redislink.NewListener(redislink.ListenerConfig{
		Name: "keyspace events", Client: m.rdb, Channels: channels, Ping: true, Silence: eventSilence, Optional: true,
		Message: func(_, key string) (alive bool) {
			if id, ok := strings.CutPrefix(key, "session:"); ok && ValidID(id) {
				m.onEvent(id)
			}
			return true
		},
	})
	if err := l.Run(ctx); err != nil {
		m.log.Info("session: no keyspace events", "err", err)
	}
}

func (m *Manager) onEvent(id string) {
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
