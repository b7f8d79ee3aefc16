package session

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// A notice is a message about sessions on the channel <prefix>control:
//
//	{"type":"session_revoked","ids":["…"],"until":1795342500123,"node":"a"}
//	{"type":"session_renewed","ids":["…"],"to":"…","until":1795342500123,"node":"a"}
//
// until (Unix ms, optional) is the time by which all ids have passed their absolute expiry.
// Messages of other types are ignored. Any program may publish a notice, to end or move sockets
// within 1 s.
type notice struct {
	Type  string   `json:"type"`
	IDs   []string `json:"ids"`
	To    string   `json:"to,omitempty"`
	Until int64    `json:"until,omitempty"`
	Node  string   `json:"node,omitempty"`
}

const (
	noticeRevoked = "session_revoked"
	noticeRenewed = "session_renewed"

	maxNotice = 1 << 17 // bytes; a longer message is discarded
)

func (m *Manager) controlChannel() string { return m.cfg.Prefix + "control" }

// notify publishes a notice. The caller has changed the key already. If the notice is lost, the
// other nodes find the change at their next re-check.
func (m *Manager) notify(ctx context.Context, n notice) {
	n.Node = m.cfg.Node
	text, err := encodeJSON(n)
	if err == nil {
		// The context of the caller may have ended, but other nodes still need the notice.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lostAfter)
		defer cancel()
		err = m.rdb.Publish(ctx, m.controlChannel(), text).Err()
	}
	if err != nil {
		m.metrics.noticesFailed.Inc()
		m.log.Warn("session: notice not published", "type", n.Type, "err", err)
	}
}

// newControl returns the listener of the control channel. Its probes prove that notices arrive and
// that Redis answers. Notices of other nodes prove neither.
func (m *Manager) newControl() *redislink.Listener {
	missed := false // owned by the listener's goroutine
	return redislink.NewListener(redislink.ListenerConfig{
		Name: "notices about sessions", Client: m.rdb, Channels: []string{m.controlChannel()}, Logger: m.log,
		Probe: m.controlChannel() + ":probe:" + m.cfg.Node + ":" + newToken()[:8],
		Message: func(_, payload string) (alive bool) {
			m.onNotice(payload)
			return false
		},
		Opened: func(*redislink.Conn) error {
			// Notices may have been lost, and Redis may have come back with older data.
			m.mu.Lock()
			m.checkAll = true
			if missed {
				m.doubts++
			}
			m.mu.Unlock()
			wake(m.wakeCheck)
			return nil
		},
		Lost: func(error) {
			m.metrics.reconnects.Inc()
			missed = true
		},
	})
}

// onNotice handles one message of the control channel. It must not block.
func (m *Manager) onNotice(payload string) {
	if len(payload) > maxNotice {
		m.metrics.noticesBad.Inc()
		return
	}
	var n notice
	if json.Unmarshal([]byte(payload), &n) != nil {
		var other struct {
			Type string `json:"type"`
		}
		if json.Unmarshal([]byte(payload), &other) != nil || strings.HasPrefix(other.Type, "session_") {
			m.metrics.noticesBad.Inc()
		}
		return
	}
	if n.Type != noticeRevoked && n.Type != noticeRenewed {
		return
	}
	if !slices.ContainsFunc(n.IDs, ValidID) || (n.Type == noticeRenewed && (len(n.IDs) != 1 || !ValidID(n.To))) {
		m.metrics.noticesBad.Inc()
		return
	}
	m.metrics.noticesIn.Inc()
	until := m.revocationLife()
	if n.Until > 0 {
		until = min(until, time.Until(time.UnixMilli(n.Until)))
	}
	if n.Type == noticeRenewed {
		m.sawRenewed(renewal{from: n.IDs[0], to: n.To}, until)
		return
	}
	m.sawRevoked(n.IDs, until)
}
