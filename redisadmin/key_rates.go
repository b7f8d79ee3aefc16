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
	maxPrefixes      = 500 // counted separately between two samples; the rest together
	maxShownPrefixes = 20
	maxLatest        = 10
	monitorRetry     = time.Second
)

// Touched sums up what MONITOR showed since the previous sample.
type Touched struct {
	Prefixes []PrefixRate `json:"prefixes"` // busiest first
	Latest   []Command    `json:"latest"`   // newest last
	Seen     int64        `json:"seen"`     // commands
	Dropped  int64        `json:"dropped"`  // commands left out because they came too fast
	Fault    string       `json:"fault,omitempty"`
}

// PrefixRate is how often commands named keys, or channels, with one prefix.
type PrefixRate struct {
	Prefix    string  `json:"prefix"`
	Keys      int64   `json:"keys"`
	PerSecond float64 `json:"per_second"`
}

// keyRates counts the keys of the commands that Admin.Commands yields.
type keyRates struct {
	mu       sync.Mutex // guards all
	prefixes map[string]int64
	latest   []Command
	seen     int64
	dropped  int64
	err      error // why counting has stopped; nil while it runs
}

func newKeyRates() *keyRates { return &keyRates{prefixes: map[string]int64{}} }

// start counts until ctx ends, and reconnects after a loss. wait returns when counting has ended;
// cancel ctx first.
func (k *keyRates) start(ctx context.Context, a *Admin) (wait func()) {
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			for c, err := range a.Commands(ctx) {
				k.add(c, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(monitorRetry):
			}
		}
	})
	return done.Wait
}

func (k *keyRates) add(c Command, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err = err; err != nil {
		return
	}
	k.seen++
	k.dropped += c.Dropped
	for _, prefix := range c.prefixes {
		if _, known := k.prefixes[prefix]; !known && len(k.prefixes) >= maxPrefixes {
			prefix = "(others)"
		}
		k.prefixes[prefix]++
	}
	if len(k.latest) == maxLatest {
		k.latest = slices.Delete(k.latest, 0, 1)
	}
	k.latest = append(k.latest, c)
}

// drain returns the counts of the last seconds and resets them.
func (k *keyRates) drain(seconds float64) *Touched {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := &Touched{
		Prefixes: []PrefixRate{}, Latest: append([]Command{}, k.latest...), Seen: k.seen, Dropped: k.dropped,
	}
	if k.err != nil {
		t.Fault = reasonOf(k.err)
	}
	for _, prefix := range slices.Sorted(maps.Keys(k.prefixes)) {
		n := k.prefixes[prefix]
		t.Prefixes = append(t.Prefixes, PrefixRate{Prefix: prefix, Keys: n, PerSecond: float64(n) / seconds})
	}
	slices.SortStableFunc(t.Prefixes, func(a, b PrefixRate) int { return cmp.Compare(b.Keys, a.Keys) })
	t.Prefixes = t.Prefixes[:min(len(t.Prefixes), maxShownPrefixes)]
	clear(k.prefixes)
	k.latest, k.seen, k.dropped = nil, 0, 0
	return t
}
