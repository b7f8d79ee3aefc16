package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// Reason says why a binding ended.
type Reason int

const (
	// Revoked: the session was revoked, or another program deleted or broke its key.
	Revoked Reason = iota
	// Expired: nobody used the session, or its absolute lifetime is over.
	Expired
	// Cutoff: Redis could not confirm the session for longer than Config.Grace.
	Cutoff
	// Renewed: the session goes on as Cause.Next, under another id or with another role.
	Renewed
	reasons
)

// String returns the reason in lower case.
func (r Reason) String() string {
	switch r {
	case Revoked:
		return "revoked"
	case Expired:
		return "expired"
	case Cutoff:
		return "cutoff"
	case Renewed:
		return "renewed"
	}
	return "unknown"
}

// Cause is what a binding is told at its end.
type Cause struct {
	Reason Reason
	Next   Session // only with Renewed: bind to it to go on
}

// Binding ties something on this node, such as a socket, to a session.
type Binding struct {
	m     *Manager
	id    string
	onEnd func(Cause)
	done  atomic.Bool // closed, or onEnd has been started
}

// bound is a session that has bindings on this node. All fields are guarded by Manager.mu.
type bound struct {
	session  Session
	bindings map[*Binding]struct{} // not empty
	expires  time.Time             // of the key as last known, in this node's monotonic time
	verified time.Time             // when Redis last confirmed the key
	extended time.Time             // the last extension
	tried    time.Time             // the last try to extend
	due      bool                  // check at the next tick
}

type ended struct {
	binding *Binding
	cause   Cause
}

// workers is how many onEnd functions run at once.
const workers = 16

// Bind calls onEnd, at most once, when the session ends: within 1 s of a revocation, within 5 s of
// expiry or of another program deleting the key. s must be fresh from this Manager; Bind asks Redis
// about it again at once, so a session that ended between the two is noticed. onEnd runs on one of a few
// goroutines of Run, without a lock held; it should be quick and may call Bind and Close. Without
// Run nothing is watched. While auto-extend is on, a binding keeps its session alive.
func (m *Manager) Bind(s Session, onEnd func(Cause)) *Binding {
	b := &Binding{m: m, id: s.ID, onEnd: onEnd}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.bound[s.ID]
	if e == nil {
		e = &bound{bindings: make(map[*Binding]struct{}, 1), due: true}
		e.saw(s)
		m.bound[s.ID] = e
	}
	e.bindings[b] = struct{}{}
	m.metrics.bindings.Inc()
	return b
}

// Close takes the binding away. onEnd is not started afterwards; Close does not wait for one that is running.
func (b *Binding) Close() {
	b.done.Store(true)
	m := b.m
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.bound[b.id]
	if e == nil {
		return
	}
	if _, ok := e.bindings[b]; !ok {
		return
	}
	delete(e.bindings, b)
	m.metrics.bindings.Dec()
	if len(e.bindings) == 0 {
		delete(m.bound, b.id)
	}
}

// saw notes s as read from Redis at s.readAt.
func (e *bound) saw(s Session) {
	if s.readAt.IsZero() {
		s.readAt = time.Now()
	}
	e.session = s
	e.verified = s.readAt
	e.expires = s.readAt.Add(max(s.remaining, 0))
	if at := s.readAt.Add(-s.idle()); at.After(e.extended) {
		e.extended = at
	}
}

// endLocked ends all bindings of a session. m.mu is held.
func (m *Manager) endLocked(id string, c Cause) {
	e := m.bound[id]
	if e == nil {
		return
	}
	delete(m.bound, id)
	for b := range e.bindings {
		m.ends = append(m.ends, ended{b, c})
	}
	m.metrics.bindings.Sub(float64(len(e.bindings)))
	wake(m.wakeEnds)
}

// end ends all bindings of a session.
func (m *Manager) end(id string, c Cause) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endLocked(id, c)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // awake already
	}
}

// tell hands ends to the workers until stop is closed and nothing is left. It returns when the last onEnd has.
func (m *Manager) tell(stop <-chan struct{}) {
	var wg sync.WaitGroup
	work := make(chan ended)
	for range workers {
		wg.Go(func() {
			for e := range work {
				if e.binding.done.CompareAndSwap(false, true) {
					m.metrics.ends[e.cause.Reason].Inc()
					e.binding.onEnd(e.cause)
				}
			}
		})
	}
	for stopping := false; !stopping; {
		select {
		case <-m.wakeEnds:
		case <-stop:
			stopping = true
		}
		m.mu.Lock()
		ends := m.ends
		m.ends = nil
		m.mu.Unlock()
		for _, e := range ends {
			work <- e
		}
	}
	close(work)
	wg.Wait()
}
