package vendor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	haltEvery = time.Second
	// haltTries is how often a symbol is halted after a halt had nothing to do. The last quote
	// before the halt may still be on its way to Redis.
	haltTries = 5
)

// halts halts symbols until that has succeeded. It is safe for concurrent use.
type halts struct {
	halt func(context.Context, feed.Symbol) (bool, error)
	wake chan struct{} // holds a token after symbols were added

	mu      sync.Mutex // guards the fields below
	left    map[feed.Symbol]int
	current feed.Symbol
	done    chan struct{} // closed when the halt of current is over
}

func newHalts(halt func(context.Context, feed.Symbol) (bool, error)) *halts {
	return &halts{halt: halt, wake: make(chan struct{}, 1), left: map[feed.Symbol]int{}}
}

// add asks for symbols to be halted, and does not wait.
func (h *halts) add(symbols []feed.Symbol) {
	h.mu.Lock()
	for _, s := range symbols {
		h.left[s] = haltTries
	}
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// end leaves the symbols of quotes alone from now on. It waits for a halt that is under way, so
// that it cannot concern a quote that is published afterwards.
func (h *halts) end(ctx context.Context, quotes []feed.Quote) {
	h.mu.Lock()
	var wait chan struct{}
	for _, q := range quotes {
		delete(h.left, q.Symbol)
		if h.done != nil && h.current == q.Symbol {
			wait = h.done
		}
	}
	h.mu.Unlock()
	if wait == nil {
		return
	}
	select {
	case <-wait:
	case <-ctx.Done():
	}
}

// run halts what was added until ctx ends.
func (h *halts) run(ctx context.Context) {
	for {
		select {
		case <-h.wake:
		case <-ctx.Done():
			return
		}
		for h.round(ctx) {
			if !redislink.Sleep(ctx, haltEvery) {
				return
			}
		}
	}
}

// round halts every symbol once, or until Redis does not answer. It reports whether some are left.
func (h *halts) round(ctx context.Context) bool {
	h.mu.Lock()
	symbols := make([]feed.Symbol, 0, len(h.left))
	for s := range h.left {
		symbols = append(symbols, s)
	}
	h.mu.Unlock()
	slices.Sort(symbols)
	for _, s := range symbols {
		if ctx.Err() != nil || !h.try(ctx, s) {
			break
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.left) > 0
}

// try halts one symbol and reports whether Redis has answered.
func (h *halts) try(ctx context.Context, s feed.Symbol) bool {
	h.mu.Lock()
	if h.left[s] == 0 { // it has been ended
		h.mu.Unlock()
		return true
	}
	h.current, h.done = s, make(chan struct{})
	h.mu.Unlock()
	halted, err := h.halt(ctx, s)
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.done)
	h.done = nil
	if left := h.left[s]; left > 0 && err == nil && !halted {
		if h.left[s] = left - 1; left == 1 {
			delete(h.left, s)
		}
	}
	return err == nil
}
