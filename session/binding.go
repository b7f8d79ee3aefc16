package session

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Reason is the cause of the end of a binding.
type Reason int

const (
	// Revoked means that the session was revoked, or that another program deleted or damaged its key.
	Revoked Reason = iota
	// Expired means that the idle lifetime or the absolute lifetime of the session is over.
	Expired
	// Unverified means that Redis did not confirm the session for longer than Config.Grace.
	Unverified
	// Renewed means that the session continues as Cause.Next: under another id, or with another user
	// or role.
	Renewed
	reasons
)

// String returns the label of the reason in metrics. That of Unverified is "cutoff".
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

// A Cause describes the end of a binding.
type Cause struct {
	Reason Reason
	Next   Session // only with Renewed: the session to bind to next
}

// A Binding ties something on this node, such as a socket, to a session. Close is safe for
// concurrent use.
type Binding struct {
	m     *Manager
	onEnd func(Cause)
	done  atomic.Bool // closed, or onEnd was called

	// Guarded by Manager.mu.
	of         *bound // nil: ended or closed
	prev, next *Binding
}

// bound is a session with bindings on this node. It has only the fields that they need, since there
// is one for nearly every connection. Manager.mu guards all fields.
type bound struct {
	id, user, role string
	ttl            time.Duration
	first          *Binding // the newest of the list, which is not empty while in Manager.bound
	expires        moment   // the expiry of the key, as last known
	ends           moment   // the absolute expiry
	verified       moment   // when Redis last confirmed the key
	extended       moment   // the last extension
	tried          moment   // the last attempt to extend
	due            bool     // check at the next tick
}

// A moment is the monotonic time since New.
type moment time.Duration

// long is longer than any duration that moments are compared with, and does not overflow.
const long = math.MaxInt64 / 4

func (m *Manager) moment(t time.Time) moment { return moment(t.Sub(m.start)) }

func (t moment) add(d time.Duration) moment { return t + moment(min(max(d, -long), long)) }

func (t moment) since(u moment) time.Duration { return time.Duration(t - u) }

type ended struct {
	binding *Binding
	cause   Cause
}

// workers is the number of onEnd functions that run at a time.
const workers = 16

// Bind ties onEnd to a session. It calls onEnd at most once, when the session ends: within 1 s of a
// revocation, and within 5 s after the expiry or after another program deletes the key. s must come
// from this Manager, shortly before. Run checks s again at once, so it notices a session that ended
// in between. onEnd runs on one of 16 goroutines of Run, without a lock. It should be quick, and
// may call Bind and Close. Bind does not wait for Redis. Without Run, onEnd is never called. With
// Config.AutoExtend, a binding keeps its session alive.
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

// Close removes the binding. onEnd is not called afterwards, but Close does not wait for a call
// that is running. A second Close does nothing.
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

// sawLocked updates e with s, as it was read from Redis at s.readAt. m.mu is held.
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
	default: // a wake-up is pending already
	}
}

// runEnds passes ended bindings to the workers until stop is closed and none is left. It returns
// when the last onEnd has returned.
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
