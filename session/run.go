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
//	* control    reads notices of other nodes; a test message each second proves that they would come
//	* events     reads Redis's keyspace events, where it sends them
//	* check      asks Redis about bound sessions, in batches; extends them
//	* followers  looks up what a session was renewed to
//	* monitor    degraded or not; ends unverified bindings after the grace; no I/O
//	* leases     refreshes connection leases
//	* runEnds    calls onEnd
func (m *Manager) Run(ctx context.Context) error {
	if !m.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	now := time.Now()
	m.began.Store(&now)
	var parts, ends sync.WaitGroup
	stop := make(chan struct{})
	ends.Go(func() { m.runEnds(stop) })
	parts.Go(func() { _ = m.control.Run(ctx) }) // nil: it is not optional
	for _, part := range []func(context.Context){m.events, m.check, m.monitor, m.Leases.refreshAll} {
		parts.Go(func() { part(ctx) })
	}
	for range followers {
		parts.Go(func() { m.followAll(ctx) })
	}
	parts.Wait()
	close(stop)
	ends.Wait()
	return nil
}

// Degraded reports whether Redis is lost to this node: no call is answered, or notices do not come through.
func (m *Manager) Degraded() bool { return m.degraded.Load() }

// ProbeAge is the age of the newest test message that came back over the control channel. While it is
// below 3 s, revocations on other nodes arrive. Until one has come back it counts from the start of Run.
func (m *Manager) ProbeAge() time.Duration {
	return min(m.control.ProbeAge(), time.Since(*m.began.Load()))
}

// silence is the time since Redis last answered a background call.
func (m *Manager) silence() time.Duration {
	silence := min(time.Since(*m.began.Load()), time.Since(m.control.Replied()))
	if answered := m.answered.Load(); answered != nil {
		silence = min(silence, time.Since(*answered))
	}
	return silence
}

// monitor decides twice a second whether Redis is lost, and ends bindings that nobody could verify for
// too long. It does no I/O, so a hanging call cannot keep it from that.
func (m *Manager) monitor(ctx context.Context) {
	tick := time.NewTicker(checkTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		reachable := m.silence() <= lostAfter
		m.silent.Store(!reachable)
		lost := !reachable || m.ProbeAge() > lostAfter
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
				m.endLocked(id, Cause{Reason: Unverified})
			}
		}
		m.mu.Unlock()
	}
}
