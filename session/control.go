package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Notices on the channel <prefix>control are JSON objects. Those about sessions are
//
//	{"type":"session_revoked","ids":["…"],"until":1795342500123,"node":"a"}
//	{"type":"session_renewed","ids":["…"],"to":"…","until":1795342500123,"node":"a"}
//
// until (Unix ms, optional) is when the ids have passed their absolute expiry at the latest. Other
// types are for others and left alone. Any program may publish them to end or move sockets within 1 s.
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

	maxNotice = 1 << 17 // bytes; longer ones are not read
)

func (m *Manager) controlChannel() string { return m.cfg.Prefix + "control" }

// notify publishes a notice. The key has been dealt with by then: a notice that is lost only costs the
// other nodes the time to their next re-check.
func (m *Manager) notify(ctx context.Context, n notice) {
	n.Node = m.cfg.Node
	text, err := encodeJSON(n)
	if err == nil {
		// The caller may be gone by now; others still have to hear of it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lostAfter)
		defer cancel()
		err = m.rdb.Publish(ctx, m.controlChannel(), text).Err()
	}
	if err != nil {
		m.metrics.noticesFailed.Inc()
		m.log.Warn("session: notice not published", "type", n.Type, "err", err)
	}
}

// control keeps the subscription to the control channel open.
func (m *Manager) control(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			m.metrics.reconnects.Inc()
			pause(ctx, 100*time.Millisecond+rand.N(400*time.Millisecond))
		}
		if err := m.listen(ctx, first); err != nil && ctx.Err() == nil {
			m.log.Warn("session: control channel lost", "err", err)
		}
		m.probe.Store(nil)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// subscribe opens a subscription that ends with ctx, and waits until Redis has confirmed it.
func (m *Manager) subscribe(ctx context.Context, channels ...string) (*redis.PubSub, func(), error) {
	ps := m.rdb.Subscribe(ctx, channels...)
	unhook := context.AfterFunc(ctx, func() { _ = ps.Close() })
	done := func() {
		unhook()
		_ = ps.Close() // closed already when ctx has ended
	}
	for confirmed := 0; confirmed < len(channels); {
		msg, err := ps.ReceiveTimeout(ctx, lostAfter)
		if err != nil {
			done()
			return nil, nil, err
		}
		if _, ok := msg.(*redis.Subscription); ok {
			confirmed++
		}
	}
	return ps, done, nil
}

// listen reads the control channel until it breaks, or until no probe has come back for too long.
func (m *Manager) listen(ctx context.Context, first bool) error {
	probe := fmt.Sprintf("%scontrol:probe:%s:%s", m.cfg.Prefix, m.cfg.Node, newToken()[:8])
	ps, done, err := m.subscribe(ctx, m.controlChannel(), probe)
	if err != nil {
		return err
	}
	defer done()
	// Notices may have been missed, and Redis may have come back with older data.
	m.mu.Lock()
	m.checkAll = true
	m.again = !first
	m.mu.Unlock()
	wake(m.wakeCheck)
	m.probe.Store(&probe)
	last := time.Now()
	for {
		left := lostAfter - time.Since(last)
		if left <= 0 {
			return errors.New("no probe came back")
		}
		msg, err := ps.ReceiveTimeout(ctx, left)
		if err != nil {
			return err
		}
		p, ok := msg.(*redis.Message)
		if !ok {
			if _, again := msg.(*redis.Subscription); again {
				return errors.New("subscribed again unasked") // go-redis reconnected by itself: there was a gap
			}
			continue
		}
		if p.Channel == probe {
			last = time.Now()
			now := last
			m.lastProbe.Store(&now)
			continue
		}
		m.heard(p.Payload)
	}
}

// probes publishes a probe each second, on a channel only this node's live subscription has.
func (m *Manager) probes(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		// Without a subscription the probe still tells whether Redis answers.
		channel := m.controlChannel() + ":probe:" + m.cfg.Node
		if p := m.probe.Load(); p != nil {
			channel = *p
		}
		call, cancel := context.WithTimeout(ctx, lostAfter)
		err := m.rdb.Publish(call, channel, "p").Err()
		cancel()
		if err == nil {
			now := time.Now()
			m.lastReply.Store(&now)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// heard takes one message of the control channel. It must not block.
func (m *Manager) heard(payload string) {
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
	until := m.rememberFor()
	if n.Until > 0 {
		until = min(until, time.Until(time.UnixMilli(n.Until)))
	}
	if n.Type == noticeRenewed {
		m.sawRenewed(renewal{from: n.IDs[0], to: n.To}, until)
		return
	}
	m.sawRevoked(n.IDs, until)
}
