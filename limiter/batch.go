package limiter

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	maxFlights = 1   // round trips under way at once: more make smaller batches
	maxBatch   = 128 // calls in one of them
)

// call is one run of the script.
type call struct {
	keys []string
	args []any
	cmd  *redis.Cmd // the answer, once done

	lead chan struct{} // holds one if the caller is to make the next flight
	done chan struct{} // closed when cmd is the caller's
}

func newCall(slots []slot, charge bool) *call {
	c := &call{keys: make([]string, len(slots)), args: make([]any, 1, 1+3*len(slots))}
	c.args[0] = 0
	if charge {
		c.args[0] = 1
	}
	for i := range slots {
		sl := &slots[i]
		c.keys[i] = sl.redisKey()
		c.args = append(c.args, sl.cost, sl.scale.limit, sl.ttl().Milliseconds())
	}
	return c
}

// batcher lets callers share round trips. A caller that finds fewer than
// maxFlights under way makes one with its call and all that wait; the others
// wait for an answer, or to make the next one. There is no goroutine: callers
// do it, so no more wait than there are callers, each until its ctx ends.
type batcher struct {
	exec func(context.Context, []*call) // sets cmd of each; bounded by ctx

	mu      sync.Mutex
	flights int     // guarded by mu: flights under way or handed to a caller
	waiting []*call // guarded by mu: in no flight yet
}

// do returns when c.cmd is set, or with ctx's error; then c may or may not be
// run.
func (b *batcher) do(ctx context.Context, c *call) error {
	b.mu.Lock()
	if b.flights >= maxFlights {
		c.lead, c.done = make(chan struct{}, 1), make(chan struct{})
		b.waiting = append(b.waiting, c)
		b.mu.Unlock()
		select {
		case <-c.done:
			return nil
		case <-c.lead:
		case <-ctx.Done():
			b.leave(c)
			return ctx.Err()
		}
		b.mu.Lock()
	} else {
		b.flights++
	}
	batch := []*call{c}
	if n := min(len(b.waiting), maxBatch-1); n > 0 {
		batch = append(batch, b.waiting[:n]...)
		b.waiting = slices.Delete(b.waiting, 0, n)
	}
	b.mu.Unlock()

	defer b.landed(batch[1:]) // also if exec panics
	b.exec(ctx, batch)
	return nil
}

// landed hands out the answers of others, and the next flight to who waits
// longest.
func (b *batcher) landed(others []*call) {
	for _, c := range others {
		close(c.done)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handOnLocked()
}

func (b *batcher) handOnLocked() {
	if len(b.waiting) == 0 {
		b.flights--
		return
	}
	next := b.waiting[0]
	b.waiting = slices.Delete(b.waiting, 0, 1)
	next.lead <- struct{}{} // has room: a call is handed a flight once
}

// leave is for a caller whose time is up.
func (b *batcher) leave(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		return
	}
	select {
	case <-c.lead: // handed a flight a moment ago
		b.handOnLocked()
	default: // in a flight that has not landed
	}
}
