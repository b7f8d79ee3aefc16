package receive

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// Gap returns the position to read history after, and when the gap was found. open is false if
// there is no gap.
func (s *sequence) Gap() (after protocol.Position, since time.Time, open bool) {
	return s.last.Position, s.since, s.state >= refilling
}

// refill holds the ticks that history has after a position.
type refill struct {
	after    protocol.Position
	ticks    []feed.Tick // in order, with none missing between them
	complete bool        // none is missing before the first one either
	giveUp   bool        // history could not be read; the missing ticks are counted as missed
}

// Refill passes on the ticks from history and then the held ones. If the gap stays open, because
// history no longer reaches back or could not be read, the remaining ticks count as missed. ttl is
// the lifetime of a tick. An answer for another position than that of the gap changes nothing: the
// symbol was left meanwhile.
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
			continue // the second case: older than the last tick, of an epoch this node never received
		}
		s.see(t)
		s.pass(asOf(t, newest, m.now, ttl), &c)
		c.refilled++
	}
	leap := h.giveUp || !h.complete || c.refilled == 0 // over ticks that history did not have
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

// splitHeld returns the held ticks that were accepted before the first tick of history and those
// accepted after its last one. The former exist only if history does not reach back far enough.
// splitHeld modifies held.
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
	if i < 0 { // history has none of the held ticks, but may begin after some of them
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

// asOf returns t as if it had arrived when it was accepted. It reckons from a tick whose arrival is
// known, since the clocks of Redis and this node need not agree.
func asOf(t feed.Tick, known arrival, now time.Time, ttl time.Duration) arrival {
	arrived := known.arrived.Add(time.Duration(t.At-known.tick.At) * time.Microsecond)
	if arrived.After(now) {
		arrived = now
	}
	return arrival{t, arrived, arrived.Add(ttl)}
}
