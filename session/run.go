package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// ErrRunning means that Run was called a second time.
var ErrRunning = errors.New("session: already running")

// Run maintains bindings and leases until ctx ends. It returns nil when its goroutines have ended
// and the last onEnd has returned. A second call returns ErrRunning.
//
//	Run
//	* control    reads notices of other nodes; a probe each second proves that they arrive
//	* events     reads keyspace events, if Redis sends them
//	* check      checks bound sessions in Redis, in batches, and extends them
//	* failovers  notices masters that may have forgotten revocations
//	* followers  looks up the new sessions of renewals
//	* monitor    decides whether Redis is lost; ends unverified bindings after the grace; no I/O
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
	parts.Go(func() { _ = m.control.Run(ctx) }) // always nil: only an optional listener fails
	for _, part := range []func(context.Context){m.events, m.check, m.monitor, m.failovers, m.Leases.refreshAll} {
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

// Degraded reports whether this node has lost Redis: Redis answers no call, or probes do not come
// back over the control channel.
func (m *Manager) Degraded() bool { return m.degraded.Load() }

// ProbeAge returns the age of the newest probe that came back over the control channel. While it is
// below 3 s, revocations on other nodes arrive. Before the first probe comes back, it counts from
// the start of Run.
func (m *Manager) ProbeAge() time.Duration {
	return min(m.control.ProbeAge(), time.Since(*m.began.Load()))
}

// silence returns the time since Redis last answered a background call.
func (m *Manager) silence() time.Duration {
	silence := min(time.Since(*m.began.Load()), time.Since(m.control.Replied()))
	if answered := m.answered.Load(); answered != nil {
		silence = min(silence, time.Since(*answered))
	}
	return silence
}

// monitor decides twice a second whether Redis is lost. It ends the bindings of sessions that Redis
// has not confirmed for longer than the grace. It does no I/O, so a hanging call cannot delay it.
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
			switch trouble := redislink.Trouble(m.control.Refused()); {
			case !lost:
				m.log.Info("session: redis is back")
			case trouble != "":
				m.log.Warn("session: redis refuses, so sessions cannot be checked", "reason", trouble, "grace", m.cfg.Grace)
			default:
				m.log.Warn("session: redis is lost, so sessions cannot be checked", "grace", m.cfg.Grace)
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
