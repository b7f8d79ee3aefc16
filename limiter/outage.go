package limiter

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// How often a lost Redis is tried.
const (
	probeFirst = 50 * time.Millisecond
	probeMax   = time.Second
)

// outage knows whether Redis is lost. It is safe for concurrent use. While it
// is, no call waits for Redis: Limiter.Run tries it, or without Run one call
// now and then.
type outage struct {
	lost    atomic.Bool
	running atomic.Bool  // Run is there to try
	next    atomic.Int64 // without Run: when a call tries next, Unix nanoseconds
	wake    chan struct{}
}

func newOutage() *outage { return &outage{wake: make(chan struct{}, 1)} }

// usable reports whether this call should ask Redis.
func (o *outage) usable() bool {
	if !o.lost.Load() {
		return true
	}
	if o.running.Load() {
		return false
	}
	next, now := o.next.Load(), time.Now()
	return now.UnixNano() >= next && o.next.CompareAndSwap(next, now.Add(probeMax/4).UnixNano())
}

// begin notes a failed call. It reports whether Redis was not known to be lost.
func (o *outage) begin() bool {
	o.next.Store(time.Now().Add(probeMax / 4).UnixNano())
	first := !o.lost.Swap(true)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return first
}

// end notes a call that Redis answered. It reports whether Redis was lost.
func (o *outage) end() bool { return o.lost.Load() && o.lost.Swap(false) }

// run tries Redis with probe while it is lost, until ctx ends.
func (o *outage) run(ctx context.Context, probe func(context.Context) error) {
	o.running.Store(true)
	defer o.running.Store(false)
	wait := probeFirst
	for {
		if !o.lost.Load() {
			wait = probeFirst
			select {
			case <-ctx.Done():
				return
			case <-o.wake:
			}
			continue
		}
		if probe(ctx) == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, probeMax)
	}
}

// failure is why Redis did not decide.
type failure int

const (
	failTimeout    failure = iota // no answer in time
	failConnection                // no connection, or it broke
	failMemory                    // it answers, but takes no writes for want of memory
	failOther                     // it answers, but refuses: replica, no permission, loading
	failures
)

func (f failure) String() string {
	return [failures]string{"timeout", "connection", "memory", "refused"}[f]
}

func failureOf(err error) failure {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) {
		return failTimeout
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return failTimeout
	}
	if r, ok := errors.AsType[redis.Error](err); ok {
		if redis.HasErrorPrefix(r, "OOM") {
			return failMemory
		}
		return failOther
	}
	return failConnection
}
