package receive

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// Gap returns what history is to be read after, and since when that is missing.
func (s *sequence) Gap() (after protocol.Position, since time.Time, open bool) {
	return s.last.Position, s.since, s.state >= refilling
}

// refill is what history has after a position.
type refill struct {
	after    protocol.Position
	ticks    []feed.Tick // in order, none missing between them
	complete bool        // nor before the first
	giveUp   bool        // history could not be read; what is missing now is missed
}

// Refill passes on what history has and then what was held. If that does not close
// the gap, since history no longer reaches back or could not be read, the rest is
// missed. ttl is the life of a tick. An answer that was asked for at another
// position changes nothing: the symbol was left meanwhile.
func (s *sequence) Refill(h refill, m moment, ttl time.Duration) (c change) {
	s.begin(&c)
	if s.state < refilling || s.last.Position != h.after {
		return c
	}
	c.follow = s.state == beginning
	held := s.held
	newest := held[len(held)-1]
	s.state, s.held = following, nil
	// Both are in the order of acceptance.
	before, after := splitHeld(held, h.ticks)
	for _, a := range before {
		if !s.outdated(a.tick) {
			s.pass(a, &c)
		}
	}
	for _, t := range h.ticks {
		if s.outdated(t) || !h.complete && t.Epoch != newest.tick.Epoch && t.At <= s.last.at {
			continue // the second: from before the last tick, of an epoch that never came here
		}
		s.see(t)
		s.pass(asOf(t, newest, m.now, ttl), &c)
		c.refilled++
	}
	leap := h.giveUp || !h.complete || c.refilled == 0 // over what history did not have
	for i, a := range after {
		if s.outdated(a.tick) {
			continue
		}
		if !leap && !s.follows(a.tick) { // lost after history was read
			s.state, s.since, s.held, c.gap = refilling, m.now, slices.Clone(after[i:]), true
			break
		}
		leap = h.giveUp || leap && s.follows(a.tick)
		s.pass(a, &c)
	}
	return c
}

// splitHeld returns the held ticks that were accepted before the first tick of
// history, which then does not reach back far enough, and those after its last.
// It changes held.
func splitHeld(held []arrival, history []feed.Tick) (before, after []arrival) {
	if len(history) == 0 {
		return nil, held
	}
	in := make(map[protocol.Position]bool, len(history))
	for _, t := range history {
		in[idOf(t).Position] = true
	}
	known := func(a arrival) bool { return in[idOf(a.tick).Position] }
	i := slices.IndexFunc(held, known)
	if i < 0 { // history ends before any that is held, but may begin after some
		first := history[0]
		i = slices.IndexFunc(held, func(a arrival) bool {
			if a.tick.Epoch == first.Epoch {
				return a.tick.Seq > first.Seq
			}
			return a.tick.At >= first.At
		})
	}
	if i < 0 {
		i = len(held)
	}
	return held[:i], slices.DeleteFunc(held[i:], known)
}

// asOf returns t as if it had arrived when it was accepted, reckoned from a tick whose
// arrival is known: the clocks of Redis and of this node need not agree.
func asOf(t feed.Tick, known arrival, now time.Time, ttl time.Duration) arrival {
	arrived := known.arrived.Add(time.Duration(t.At-known.tick.At) * time.Microsecond)
	if arrived.After(now) {
		arrived = now
	}
	return arrival{t, arrived, arrived.Add(ttl)}
}
