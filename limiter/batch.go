package limiter

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	maxFlights = 8   // concurrent round trips; more than one only if Redis is slow
	maxBatch   = 128 // calls in one round trip
)

// call is one run of the script.
type call struct {
	keys []string
	args []any
	cmd  *redis.Cmd // the reply; set when the call is done

	late bool          // guarded by batcher.mu: has waited for patience
	done chan struct{} // closed when the caller may read cmd
}

func newCall(slots []slot, charge bool) *call {
	c := &call{keys: make([]string, len(slots)), args: make([]any, 1, 1+3*len(slots)), done: make(chan struct{})}
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

// batcher lets concurrent callers share round trips. A call that finds none under way starts one at
// once. Other calls wait until the last one has returned, but at most for patience, and all that
// wait then share the next. So a fast Redis gets large batches, and a slow one leaves each call
// enough time for its own round trip.
//
// A round trip has a deadline of its own. If it had that of one of its callers, the end of that
// call would fail calls that have time left. The deadline is later than that of any caller, so that
// a connection that takes long to open serves the next ones.
type batcher struct {
	exec     func(context.Context, []*call) // sets cmd of each call; returns when ctx ends
	deadline time.Duration                  // of a round trip
	patience time.Duration                  // how long a call waits for round trips under way

	mu      sync.Mutex
	flights int     // guarded by mu: round trips under way
	waiting []*call // guarded by mu: calls that are in no round trip yet, the oldest first
	landed  sync.Cond
}

// newBatcher returns a batcher for calls that end after timeout. They wait for an eighth of it, so
// any round trip that takes up to seven eighths serves all of them and needs at most maxFlights.
func newBatcher(exec func(context.Context, []*call), timeout time.Duration) *batcher {
	b := &batcher{exec: exec, deadline: 4 * timeout, patience: timeout / maxFlights}
	b.landed.L = &b.mu
	return b
}

// do runs c and returns nil once c.cmd is set. It returns ctx's error if ctx ends first; Redis may
// or may not run c then.
func (b *batcher) do(ctx context.Context, c *call) error {
	b.mu.Lock()
	b.waiting = append(b.waiting, c)
	if b.flights == 0 {
		b.startLocked()
	}
	b.mu.Unlock()
	late := time.NewTimer(b.patience)
	defer late.Stop()
	for {
		select {
		case <-c.done:
			return nil
		case <-late.C:
			b.hurry(c)
		case <-ctx.Done():
			b.leave(c)
			return ctx.Err()
		}
	}
}

// startLocked starts a round trip with the calls that have waited longest.
func (b *batcher) startLocked() {
	n := min(len(b.waiting), maxBatch)
	batch := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	b.flights++
	go b.fly(batch)
}

// fly makes a round trip and starts the next one if a call waits for that.
func (b *batcher) fly(batch []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), b.deadline)
	defer cancel()
	b.exec(ctx, batch)
	for _, c := range batch {
		close(c.done)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flights--
	if len(b.waiting) > 0 && (b.flights == 0 || b.waiting[0].late) {
		b.startLocked()
	}
	if b.flights == 0 {
		b.landed.Broadcast()
	}
}

// hurry starts a round trip for a call that has waited for patience, or has the next one that
// returns start it if there are too many.
func (b *batcher) hurry(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.waiting, c) {
		return
	}
	c.late = true
	if b.flights < maxFlights {
		b.startLocked()
	}
}

// leave withdraws the call of a caller whose ctx has ended.
func (b *batcher) leave(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
}

// wait returns when no round trip is under way.
func (b *batcher) wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.flights > 0 {
		b.landed.Wait()
	}
}
