package session

import (
	"math"
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
	// Unverified: Redis could not confirm the session for longer than Config.Grace.
	Unverified
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
	case Unverified:
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
	onEnd func(Cause)
	done  atomic.Bool // closed, or onEnd has been started

	// Guarded by Manager.mu.
	of         *bound // nil: ended or closed
	prev, next *Binding
}

// bound is a session that has bindings on this node, and no more of it than they need: there is one for
// nearly every connection. All fields are guarded by Manager.mu.
type bound struct {
	id, user, role string
	ttl            time.Duration
	first          *Binding // the newest of a list, never empty while in Manager.bound
	expires        moment   // of the key as last known
	ends           moment   // the absolute expiry
	verified       moment   // when Redis last confirmed the key
	extended       moment   // the last extension
	tried          moment   // the last try to extend
	due            bool     // check at the next tick
}

// A moment is monotonic time since the Manager was made.
type moment time.Duration

// long is more than any time a moment is compared with, and far from overflow.
const long = math.MaxInt64 / 4

func (m *Manager) moment(t time.Time) moment { return moment(t.Sub(m.start)) }

func (t moment) add(d time.Duration) moment { return t + moment(min(max(d, -long), long)) }

func (t moment) since(u moment) time.Duration { return time.Duration(t - u) }

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
	b := &Binding{m: m, onEnd: onEnd}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.bound[s.ID]
	if e == nil {
		e = &bound{id: s.ID, due: true, extended: -long, tried: -long}
		m.sawLocked(e, &s)
		m.bound[s.ID] = e
	}
	b.of, b.next = e, e.first
	if e.first != nil {
		e.first.prev = b
	}
	e.first = b
	m.metrics.bindings.Inc()
	return b
}

// Close takes the binding away. onEnd is not started afterwards; Close does not wait for one that is running.
func (b *Binding) Close() {
	b.done.Store(true)
	m := b.m
	m.mu.Lock()
	defer m.mu.Unlock()
	e := b.of
	if e == nil {
		return
	}
	if b.next != nil {
		b.next.prev = b.prev
	}
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		e.first = b.next
	}
	b.of, b.prev, b.next = nil, nil, nil
	m.metrics.bindings.Dec()
	if e.first == nil {
		delete(m.bound, e.id)
	}
}

// sawLocked notes s as read from Redis at s.readAt. m.mu is held.
func (m *Manager) sawLocked(e *bound, s *Session) {
	at := time.Now()
	if !s.readAt.IsZero() {
		at = s.readAt
	}
	e.user, e.role, e.ttl = s.UserID, s.Role, s.TTL
	e.verified = m.moment(at)
	e.expires = e.verified.add(max(s.remaining, 0))
	e.ends = e.verified.add(s.Left())
	e.extended = max(e.extended, e.verified.add(-s.idle()))
}

// endLocked ends all bindings of a session. m.mu is held.
func (m *Manager) endLocked(id string, c Cause) {
	e := m.bound[id]
	if e == nil {
		return
	}
	delete(m.bound, id)
	n := 0
	for b := e.first; b != nil; n++ {
		next := b.next
		b.of, b.prev, b.next = nil, nil, nil
		m.ends = append(m.ends, ended{b, c})
		b = next
	}
	m.metrics.bindings.Sub(float64(n))
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

// runEnds hands ends to the workers until stop is closed and nothing is left. It returns when the last onEnd has.
func (m *Manager) runEnds(stop <-chan struct{}) {
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
