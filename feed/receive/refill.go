package receive

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
)

const (
	// maxHeld and maxHeldTotal bound the quotes that wait for missing ones, of
	// one symbol and of all. Beyond them only the newest is kept: what was
	// between is then another gap, which is read from history in its turn.
	maxHeld      = 1024
	maxHeldTotal = 1 << 15

	// refillLimit is how many ticks of a symbol are read from history.
	refillLimit = 10_000
	// refillPatience is how long reading them is tried.
	refillPatience = 5 * time.Second
)

// heal tells whether somebody reads missing quotes from history; if not, gaps
// are counted and passed over.
func (b *Board) heal(on bool) {
	b.mu.Lock()
	b.healing = on
	b.mu.Unlock()
}

// hold keeps h until what is missing before it was read, and asks for that.
// b.mu is held.
func (b *Board) hold(s feed.Symbol, e *entry, h arrival) {
	if !e.filling {
		e.filling = true
		b.ask(s)
	}
	if n := len(e.held); n > 0 && (n >= maxHeld || b.held >= maxHeldTotal) {
		e.held[n-1] = h
		b.metrics.heldOver.Inc()
		return
	}
	e.held = append(e.held, h)
	b.held++
}

// holdNewest keeps h alone. b.mu is held.
func (b *Board) holdNewest(e *entry, h arrival) {
	b.held += 1 - len(e.held)
	e.held = append(e.held[:0], h)
}

// release lets go of all that is held and of the wish to fill a gap. b.mu is held.
func (b *Board) release(e *entry) {
	b.held -= len(e.held)
	e.held, e.filling, e.untold = nil, false, false
}

// ask wishes that the gap of s is filled. b.mu is held.
func (b *Board) ask(s feed.Symbol) {
	b.gaps[s] = time.Now()
	select {
	case b.gapped <- struct{}{}:
	default:
	}
}

// gap is what is missing: everything after position.
type gap struct {
	position
	since time.Time
}

// open gaps; those of symbols that are not followed any more are forgotten.
func (b *Board) openGaps() []gap {
	b.mu.Lock()
	defer b.mu.Unlock()
	var gaps []gap
	for s, since := range b.gaps {
		e := b.entries[s]
		if e == nil || !e.filling {
			delete(b.gaps, s)
			continue
		}
		gaps = append(gaps, gap{position{s, e.last.Epoch, e.last.Seq}, since})
	}
	return gaps
}

// refill takes what history has after p and then what was held. If that does
// not close the gap, because history no longer reaches back or, by giveUp,
// could not be read in time, the rest is counted as missed. Ticks are told to
// the Sink once and in order, whatever arrives at the same time.
func (b *Board) refill(p position, a historyAnswer, giveUp bool) {
	now := time.Now()
	b.mu.Lock()
	e := b.entries[p.symbol]
	if e == nil || !e.filling || e.last.Epoch != p.epoch || e.last.Seq != p.seq {
		b.mu.Unlock() // given up meanwhile, and perhaps followed anew
		return
	}
	delete(b.gaps, p.symbol)
	held, last, untold := e.held, e.held[len(e.held)-1], e.untold
	b.release(e)
	// Both are in the order of acceptance, and history is without gap.
	before, after := splitHeld(held, a.ticks)
	var missed, refilled uint64
	for _, h := range before {
		if !e.outdated(h.quote) {
			missed += b.set(e, h, now)
		}
	}
	for _, t := range a.ticks {
		if e.outdated(t) || !a.complete && t.Epoch != last.quote.Epoch && t.At <= e.last.At {
			continue // the second: from before the last one, of an epoch this node never saw
		}
		e.saw(t)
		missed += b.set(e, b.asOf(t, last, now), now)
		refilled++
	}
	jump := giveUp || !a.complete || refilled == 0
	for i, h := range after {
		if e.outdated(h.quote) {
			continue
		}
		if !jump && !e.follows(h.quote) { // lost after history was read
			e.held, e.filling = append(e.held, after[i:]...), true
			b.held += len(e.held)
			b.ask(p.symbol)
			break
		}
		jump = giveUp || jump && e.follows(h.quote)
		missed += b.set(e, h, now)
	}
	if untold {
		e.events = append(e.events, event{kind: eventFollow})
	}
	b.emit(p.symbol, e) // unlocks
	b.countMissed(missed)
	b.metrics.refilled.Add(float64(refilled))
}

// splitHeld returns the held quotes that were accepted before the first tick of
// history, which then does not reach back far enough, and those after its last.
// It changes held.
func splitHeld(held []arrival, history []feed.Tick) (before, after []arrival) {
	if len(history) == 0 {
		return nil, held
	}
	type number struct {
		epoch string
		seq   uint64
	}
	in := make(map[number]bool, len(history))
	for _, t := range history {
		in[number{t.Epoch, t.Seq}] = true
	}
	i := slices.IndexFunc(held, func(h arrival) bool { return in[number{h.quote.Epoch, h.quote.Seq}] })
	if i < 0 { // history ends before any that is held, but may begin after some
		first := history[0]
		i = slices.IndexFunc(held, func(h arrival) bool {
			if h.quote.Epoch == first.Epoch {
				return h.quote.Seq > first.Seq
			}
			return h.quote.At >= first.At
		})
	}
	if i < 0 {
		i = len(held)
	}
	return held[:i], slices.DeleteFunc(held[i:], func(h arrival) bool { return in[number{h.quote.Epoch, h.quote.Seq}] })
}

// asOf is t as if it had arrived when it was accepted, reckoned from one whose
// arrival is known: the clocks of Redis and of this node need not agree.
func (b *Board) asOf(t feed.Tick, known arrival, now time.Time) arrival {
	arrived := known.arrived.Add(time.Duration(t.At-known.quote.At) * time.Microsecond)
	if arrived.After(now) {
		arrived = now
	}
	return arrival{t, arrived, arrived.Add(b.cfg.QuoteTTL)}
}
