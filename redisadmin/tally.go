package redisadmin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	maxPrefixes   = 500 // told apart between two samples; the rest together
	maxShownPaths = 20
	maxLatest     = 10
	monitorRetry  = time.Second
)

// Touched is what MONITOR showed since the sample before.
type Touched struct {
	Prefixes []PrefixRate `json:"prefixes"` // most touched first
	Latest   []Command    `json:"latest"`   // commands, newest last
	Seen     int64        `json:"seen"`     // commands
	Dropped  int64        `json:"dropped"`  // left out: they came too fast
	Fault    string       `json:"fault,omitempty"`
}

// PrefixRate is how often keys, or channels, of one prefix were named by
// commands.
type PrefixRate struct {
	Prefix    string  `json:"prefix"`
	Keys      int64   `json:"keys"`
	PerSecond float64 `json:"per_second"`
}

// tally counts what Commands yields.
type tally struct {
	mu       sync.Mutex // guards all
	prefixes map[string]int64
	latest   []Command
	seen     int64
	dropped  int64
	fault    error // why nothing is counted now
}

func newTally() *tally { return &tally{prefixes: map[string]int64{}} }

// follow counts until ctx ends, over losses of the connection. stop waits for
// it; ctx has to be over or about to be.
func (t *tally) follow(ctx context.Context, a *Admin) (stop func()) {
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			for c, err := range a.Commands(ctx) {
				t.add(c, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(monitorRetry):
			}
		}
	})
	return done.Wait
}

func (t *tally) add(c Command, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault = err; err != nil {
		return
	}
	t.seen++
	t.dropped += c.Dropped
	for _, prefix := range c.prefixes {
		if _, known := t.prefixes[prefix]; !known && len(t.prefixes) >= maxPrefixes {
			prefix = "(others)"
		}
		t.prefixes[prefix]++
	}
	if len(t.latest) == maxLatest {
		t.latest = slices.Delete(t.latest, 0, 1)
	}
	t.latest = append(t.latest, c)
}

// take returns what was counted and begins anew.
func (t *tally) take(seconds float64) *Touched {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := &Touched{Prefixes: []PrefixRate{}, Latest: append([]Command{}, t.latest...), Seen: t.seen, Dropped: t.dropped}
	if t.fault != nil {
		out.Fault = why(t.fault)
	}
	for _, prefix := range slices.Sorted(maps.Keys(t.prefixes)) {
		n := t.prefixes[prefix]
		out.Prefixes = append(out.Prefixes, PrefixRate{Prefix: prefix, Keys: n, PerSecond: float64(n) / seconds})
	}
	slices.SortStableFunc(out.Prefixes, func(a, b PrefixRate) int { return cmp.Compare(b.Keys, a.Keys) })
	out.Prefixes = out.Prefixes[:min(len(out.Prefixes), maxShownPaths)]
	clear(t.prefixes)
	t.latest, t.seen, t.dropped = nil, 0, 0
	return out
}
