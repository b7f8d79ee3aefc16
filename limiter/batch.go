package limiter

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	maxFlights = 1   // concurrent round trips; more would make batches smaller
	maxBatch   = 128 // calls in one round trip
)

// call is one run of the script.
type call struct {
	keys []string
	args []any
	cmd  *redis.Cmd // the reply; set when the call is done

	lead chan struct{} // holds a token if the caller must make the next round trip
	done chan struct{} // closed when the caller may read cmd
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

// batcher lets concurrent callers share round trips. A caller that finds fewer than maxFlights
// under way makes one, which carries its own call and all waiting calls. The other callers wait for
// a reply, or for their turn to make the next round trip. It has no goroutine of its own: at most
// one call per caller waits, and each only until its ctx ends.
type batcher struct {
	exec func(context.Context, []*call) // sets cmd of each call; returns when ctx ends

	mu      sync.Mutex
	flights int     // guarded by mu: round trips under way or assigned to a caller
	waiting []*call // guarded by mu: calls that are in no round trip yet
}

// do runs c and returns nil once c.cmd is set. It returns ctx's error if ctx ends first; Redis may
// or may not run c then.
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

	defer b.landed(batch[1:]) // even if exec panics
	b.exec(ctx, batch)
	return nil
}

// landed releases the callers whose calls were in a finished round trip, and assigns the next one
// to the caller that has waited longest.
func (b *batcher) landed(others []*call) {
	for _, c := range others {
		close(c.done)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handOnLocked()
}

// handOnLocked assigns the next round trip to the first waiting caller, if there is one.
func (b *batcher) handOnLocked() {
	if len(b.waiting) == 0 {
		b.flights--
		return
	}
	next := b.waiting[0]
	b.waiting = slices.Delete(b.waiting, 0, 1)
	next.lead <- struct{}{} // never blocks: a call is assigned a round trip once
}

// leave withdraws the call of a caller whose ctx has ended.
func (b *batcher) leave(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		return
	}
	select {
	case <-c.lead: // was assigned a round trip just now
		b.handOnLocked()
	default: // is in a round trip that has not finished
	}
}
