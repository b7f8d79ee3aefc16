package client

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	connectTime  = 10 * time.Second // for a connect, from its ticket to its welcome
	closeTime    = 2 * time.Second  // for the server's answer to a close frame
	silences     = 3                // heartbeats that may be missing
	firstBackoff = time.Second      // upper bound of the first wait
	maxBackoff   = 30 * time.Second
	maxAdvice    = 24 * time.Hour
	maxConnects  = 10 // in a minute
)

// A clock scales all durations, so that tests need not wait as long as users.
type clock struct{ scale float64 }

// scaled returns how long a duration takes.
func (c clock) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * c.scale) }

// sleep waits for a duration, or until ctx ends.
func (c clock) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(c.scaled(d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A pacer decides when the next connect may begin.
type pacer struct {
	clock    clock
	failed   int                    // connections that ended since the last welcome
	connects [maxConnects]time.Time // the last ones, as a ring
	next     int                    // the oldest of them
}

// begin records that a connect begins.
func (p *pacer) begin() {
	p.connects[p.next] = time.Now()
	p.next = (p.next + 1) % maxConnects
}

// welcomed records a welcome.
func (p *pacer) welcomed() { p.failed = 0 }

// wait returns the time until the next connect, by the advice of the server if there is one. Clients
// of a server that restarts must not all come back at once, so each time is random.
func (p *pacer) wait(advice time.Duration) time.Duration {
	var wait time.Duration
	if advice > 0 {
		wait = advice + time.Duration(rand.Float64()*float64(advice)/4)
	} else {
		bound := min(firstBackoff<<min(p.failed, 10), maxBackoff)
		wait = bound/5 + time.Duration(rand.Float64()*float64(bound)*4/5)
	}
	p.failed++
	if oldest := p.connects[p.next]; !oldest.IsZero() {
		gone := time.Duration(float64(time.Since(oldest)) / p.clock.scale)
		wait = max(wait, time.Minute-gone)
	}
	return wait
}
