package session

import (
	"context"
	"errors"
)

const (
	followQueue = 1024 // renewals waiting to be looked up; further ones wait for the re-check
	followers   = 4    // looked up at once
)

type renewal struct{ from, to string }

// followLocked has the session after a renewal looked up, if it has bindings here. m.mu is held.
func (m *Manager) followLocked(r renewal) {
	e := m.bound[r.from]
	if e == nil {
		return
	}
	select {
	case m.follow <- r:
	default:
		m.metrics.followDropped.Inc()
		e.due = true
	}
}

// followAll looks up the sessions others were renewed to, and tells the bindings.
func (m *Manager) followAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-m.follow:
			next, err := m.load(ctx, r.to)
			switch {
			case err == nil:
				m.end(r.from, Cause{Reason: Renewed, Next: next})
			case errors.Is(err, ErrUnavailable):
				m.markDue(r.from) // its tombstone, or its absence, decides at the next check
			default:
				m.end(r.from, Cause{Reason: Revoked})
			}
		}
	}
}
