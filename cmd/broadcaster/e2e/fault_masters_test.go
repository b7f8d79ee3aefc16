package e2e

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

const (
	mastersLook  = 50 * time.Millisecond // how often servers are asked whether they are masters
	mastersReply = 250 * time.Millisecond
)

// masterWatch looks for splits: times at which two servers of a pair are masters.
type masterWatch struct {
	stop func() // waits

	mu     sync.Mutex // guards what follows
	splits []faulttest.Span
}

// watchMasters watches pairs of a master and its replica until the arena is judged.
func (a *arena) watchMasters(pairs ...[2]*redistest.Server) {
	w := &masterWatch{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, pair := range pairs {
		one, other := pair[0].Client(), pair[1].Client()
		running.Go(func() { w.run(ctx, one, other) })
	}
	w.stop = func() { cancel(); running.Wait() }
	a.t.Cleanup(w.stop)
	a.watch = w
}

// run watches one pair.
func (w *masterWatch) run(ctx context.Context, one, other *redis.Client) {
	var since time.Time // of the split; zero if there is none
	end := func() {
		if !since.IsZero() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.splits = append(w.splits, faulttest.Span{From: since, To: time.Now()})
		}
		since = time.Time{}
	}
	defer end()
	for tick := time.NewTicker(mastersLook); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		switch began := time.Now(); {
		case !isMaster(ctx, one) || !isMaster(ctx, other):
			end()
		case since.IsZero():
			since = began
		}
	}
}

func isMaster(ctx context.Context, c *redis.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, mastersReply)
	defer cancel()
	info, err := c.Info(ctx, "replication").Result()
	return err == nil && strings.Contains(info, "role:master")
}

// ended stops the watch and returns the splits.
func (w *masterWatch) ended() []faulttest.Span {
	if w == nil {
		return nil
	}
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.splits
}
