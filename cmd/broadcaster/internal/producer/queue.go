package producer

import (
	"context"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// The operations of both sides of an outbox on its queue.

func (o *outbox) add(ctx context.Context, quotes []feed.Quote) error {
	for {
		o.mu.Lock()
		if o.drops && o.away && len(o.queue)+len(quotes) > outboxSize {
			o.thinLocked()
		}
		n := min(len(quotes), outboxSize-min(len(o.queue), outboxSize))
		o.queue = append(o.queue, quotes[:n]...)
		o.mu.Unlock()
		quotes = quotes[n:]
		if n > 0 {
			wake(o.some)
		}
		if len(quotes) == 0 {
			return nil
		}
		select {
		case <-o.room:
		case <-ctx.Done():
			o.mu.Lock()
			o.unsentLocked(quotes)
			o.mu.Unlock()
			return ctx.Err()
		}
	}
}

// thinLocked drops the older half of each symbol's quotes, but not the newest of a
// symbol unless there are too many symbols. mu is held.
func (o *outbox) thinLocked() {
	drop := map[feed.Symbol]int{}
	for _, q := range o.queue {
		drop[q.Symbol]++
	}
	for s, n := range drop {
		drop[s] = n / 2
	}
	kept := o.queue[:0]
	for _, q := range o.queue {
		if drop[q.Symbol] > 0 {
			drop[q.Symbol]--
			continue
		}
		kept = append(kept, q)
	}
	dropped := len(o.queue) - len(kept)
	if dropped == 0 { // one quote of each of very many symbols
		dropped = len(kept) / 2
		kept = kept[:copy(kept, kept[dropped:])]
	}
	clear(o.queue[len(kept):])
	o.queue = kept
	o.tally.dropped(dropped)
}

// take moves the oldest quotes into batch, except those of symbols that are held back. It returns
// quotes of those of them that may be tried again at now, unless a trial is under way. next is the
// time at which the first of the others may be, zero if there are none.
func (o *outbox) take(batch []feed.Quote, now time.Time, trying bool) (taken, trial []feed.Quote, next time.Time, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) == 0 {
		n := min(len(o.queue), outboxBatch)
		batch = append(batch, o.queue[:n]...)
		o.queue = o.queue[n:]
	} else {
		kept := o.queue[:0]
		for _, q := range o.queue {
			until, held := o.held[q.Symbol]
			early := held && now.Before(until)
			if early && (next.IsZero() || until.Before(next)) {
				next = until
			}
			switch {
			case !held && len(batch) < outboxBatch:
				batch = append(batch, q)
			case held && !early && !trying && len(trial) < outboxBatch:
				trial = append(trial, q)
			default:
				kept = append(kept, q)
			}
		}
		clear(o.queue[len(kept):])
		o.queue = kept
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
	wake(o.room)
	return batch, trial, next, o.ended
}

// putBack puts quotes back at the front of the queue.
func (o *outbox) putBack(quotes []feed.Quote) {
	if len(quotes) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(quotes, o.queue...)
}

// leave counts the waiting quotes as unsent.
func (o *outbox) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsentLocked(o.queue)
	o.queue = nil
}

// unsentLocked counts quotes as unsent. mu is held.
func (o *outbox) unsentLocked(quotes []feed.Quote) {
	o.tally.unsent(len(quotes))
	for _, q := range quotes {
		if o.left.IsZero() || q.Time.Before(o.left) {
			o.left = q.Time
		}
	}
}

func (o *outbox) setAway(away bool) {
	o.mu.Lock()
	o.away = away
	o.mu.Unlock()
	wake(o.room) // a producer that waits for room may now drop instead
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
