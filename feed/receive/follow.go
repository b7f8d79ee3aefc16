package receive

import (
	"maps"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// storedQuote is a last value read from Redis.
type storedQuote struct {
	quote feed.Tick
	life  time.Duration // until Redis forgets it
}

// list tells of symbols that were published at some time, and of those that were
// for the first time just now. The Sink hears of new ones, so that wildcards may
// match them.
func (b *Board) list(symbols []feed.Symbol, justBegan bool) {
	for _, s := range symbols {
		b.mu.Lock()
		e := b.entry(s)
		if justBegan {
			e.began = time.Now()
		}
		if !e.listed && e.state == idle {
			e.events = append(e.events, event{kind: eventStatus, status: e.status, since: e.since})
		}
		e.listed = true
		b.emit(s, e) // unlocks
	}
}

// open tells that a subscription to s was just confirmed. What is applied from
// now on came after it. Called by the goroutine that applies the quotes of s.
func (b *Board) open(s feed.Symbol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(s)
	e.live = false
	if e.state != following {
		e.state = opening
		b.release(e) // of a subscription before
		if e.newest.epoch != "" || time.Since(e.began) > beginning {
			e.began = time.Time{}
		}
	}
}

// merge takes the last value of s, nil if there is none, that was read from
// Redis after open; every quote published before it was read has been applied.
// Hence a quote applied since open is at least as new. Called by the goroutine
// that applies the quotes of s.
func (b *Board) merge(s feed.Symbol, stored *storedQuote) {
	now := time.Now()
	b.mu.Lock()
	e := b.entry(s)
	var read *arrival
	if stored != nil {
		read = b.arrivalOf(*stored, now)
	}
	var missed uint64
	switch {
	case e.state == opening:
		if len(e.held) > 0 {
			read = &e.held[0]
		}
		b.release(e)
		e.state = following
		whole := b.healing && read != nil && read.quote.Seq > 1 && !e.began.IsZero()
		if whole {
			// Nobody has had a quote of it: all before this one is missing.
			e.last = feed.Tick{Symbol: s, Epoch: read.quote.Epoch}
		} else if read != nil {
			e.saw(read.quote)
			b.set(e, *read, now)
		}
		if e.status == feed.StatusUnknown {
			e.events = append(e.events, event{kind: eventStatus, status: e.status, since: e.since})
		}
		if whole {
			e.saw(read.quote)
			b.hold(s, e, *read)
			e.untold = true
		} else {
			e.events = append(e.events, event{kind: eventFollow})
		}
	case e.state == idle || read == nil || e.live || e.outdated(read.quote):
	case e.filling || b.healing && !e.follows(read.quote):
		// The Pub/Sub message of this one was lost, and perhaps more before it.
		e.saw(read.quote)
		b.hold(s, e, *read)
	default:
		e.saw(read.quote)
		missed = b.set(e, *read, now)
	}
	b.emit(s, e) // unlocks
	b.countMissed(missed)
}

func (b *Board) arrivalOf(v storedQuote, now time.Time) *arrival {
	expires := now.Add(v.life)
	arrived := expires.Add(-b.cfg.QuoteTTL)
	if arrived.After(now) {
		arrived = now // another node keeps values for longer
	}
	return &arrival{v.quote, arrived, expires}
}

// leave ends following s. What is applied until the next open is ignored.
func (b *Board) leave(s feed.Symbol) {
	b.mu.Lock()
	e := b.entries[s]
	if e == nil || e.state == idle {
		b.mu.Unlock()
		return
	}
	b.release(e)
	if e.state == following {
		e.events = append(e.events, event{kind: eventLeave})
	}
	e.state, e.last, e.has, e.source = idle, feed.Tick{}, false, ""
	clear(e.retired[:])
	e.status, e.since = feed.StatusUnknown, time.Now()
	b.emit(s, e) // unlocks
}

// names returns the symbols it knows.
func (b *Board) names() []feed.Symbol {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.entries))
}
