package session

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// eventSilence bounds the time without any message on the connection for keyspace events, not even
// the answer to a ping.
const eventSilence = 20 * time.Second

// events listens for deleted and expired keys if Redis sends such events (notify-keyspace-events
// Exg), so that a session is checked at once. Nothing depends on it. Without events, as with
// embedded Redis or an ACL that forbids the channels, the re-check finds the same a few seconds
// later.
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
		m.log.Info("session: no keyspace events, so deleted keys are noticed a few seconds later", "err", err)
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
