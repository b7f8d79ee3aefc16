package redislink

import (
	"context"
	"sync/atomic"
	"time"
)

// How often a lost Redis is tried.
const (
	retryFirst = 50 * time.Millisecond // by Run, and twice as long after each failure
	retryMost  = time.Second
	retryCalls = 250 * time.Millisecond // without Run: one call in this time
)

// Breaker is a circuit breaker: while Redis is lost, calls do not wait for it. Run tries Redis
// meanwhile; without Run one call in 250 ms does. It is safe for concurrent use.
type Breaker struct {
	lost    atomic.Bool
	running atomic.Bool
	next    atomic.Int64  // without Run: when a call tries next, Unix nanoseconds
	wake    chan struct{} // holds a token when a call has failed
}

// NewBreaker returns a Breaker that takes Redis for well.
func NewBreaker() *Breaker { return &Breaker{wake: make(chan struct{}, 1)} }

// Allow reports whether this call should ask Redis.
func (b *Breaker) Allow() bool {
	if !b.lost.Load() {
		return true
	}
	if b.running.Load() {
		return false
	}
	next, now := b.next.Load(), time.Now()
	return now.UnixNano() >= next && b.next.CompareAndSwap(next, now.Add(retryCalls).UnixNano())
}

// Fail notes a call that Redis did not serve. It reports whether Redis was well until then.
func (b *Breaker) Fail() bool {
	b.next.Store(time.Now().Add(retryCalls).UnixNano())
	first := !b.lost.Swap(true)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return first
}

// Succeed notes a call that Redis served. It reports whether Redis was lost until then.
func (b *Breaker) Succeed() bool { return b.lost.Load() && b.lost.Swap(false) }

// Lost reports whether Redis is lost.
func (b *Breaker) Lost() bool { return b.lost.Load() }

// Run calls try while Redis is lost, with growing pauses, until ctx ends. try should do what the
// calls need, and call Succeed when that works.
func (b *Breaker) Run(ctx context.Context, try func(context.Context) error) {
	b.running.Store(true)
	defer b.running.Store(false)
	for pause := retryFirst; ctx.Err() == nil; {
		if !b.lost.Load() {
			pause = retryFirst
			select {
			case <-ctx.Done():
			case <-b.wake:
			}
			continue
		}
		if try(ctx) != nil {
			Sleep(ctx, pause)
			pause = min(2*pause, retryMost)
		}
	}
}
