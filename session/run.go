package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrRunning: Run was called a second time.
var ErrRunning = errors.New("session: already running")

// Run looks after bindings and leases until ctx ends, then returns nil. It may be called once.
//
//	Run
//	* control    reads notices of other nodes; proves each second, by a probe, that they would come
//	* events     reads Redis's keyspace events, where it sends them
//	* check      asks Redis about bound sessions, in batches; extends them
//	* followers  looks up what a session was renewed to
//	* judge      degraded or not; cut-off after the grace; no I/O
//	* leases     refreshes connection leases
//	* tell       calls onEnd
func (m *Manager) Run(ctx context.Context) error {
	if !m.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	now := time.Now()
	m.lastProbe.Store(&now)
	m.lastReply.Store(&now)
	var parts, teller sync.WaitGroup
	stop := make(chan struct{})
	teller.Go(func() { m.tell(stop) })
	for _, part := range []func(context.Context){m.control, m.probes, m.events, m.check, m.judge, m.Leases.refreshAll} {
		parts.Go(func() { part(ctx) })
	}
	for range followers {
		parts.Go(func() { m.followAll(ctx) })
	}
	parts.Wait()
	close(stop)
	teller.Wait()
	return nil
}

// Degraded reports whether Redis is lost to this node: no call is answered, or notices do not come through.
func (m *Manager) Degraded() bool { return m.degraded.Load() }

// ProbeAge is the age of the last probe that came back over the control channel: while it is below 3 s,
// revocations on other nodes are heard.
func (m *Manager) ProbeAge() time.Duration { return time.Since(*m.lastProbe.Load()) }

// judge decides twice a second whether Redis is lost, and ends bindings nobody could confirm for too
// long. It does no I/O, so a hanging call cannot keep it from that.
func (m *Manager) judge(ctx context.Context) {
	tick := time.NewTicker(checkTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		reachable := now.Sub(*m.lastReply.Load()) <= lostAfter
		m.silent.Store(!reachable)
		lost := !reachable || now.Sub(*m.lastProbe.Load()) > lostAfter
		if m.degraded.Swap(lost) != lost {
			if lost {
				m.log.Warn("session: redis lost, sessions cannot be checked", "grace", m.cfg.Grace)
			} else {
				m.log.Info("session: redis back")
			}
			if m.cfg.OnDegraded != nil {
				m.cfg.OnDegraded(lost)
			}
		}
		m.mu.Lock()
		for id, e := range m.bound {
			if age := m.moment(now).since(e.verified); age > m.cfg.Grace && (!reachable || age > unconfirmed) {
				m.endLocked(id, Cause{Reason: Cutoff})
			}
		}
		m.mu.Unlock()
	}
}
