package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// How often a lost Redis is tried.
const retryEvery = 250 * time.Millisecond

var errLost = fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)

// outage knows whether Redis is lost. It is safe for concurrent use.
type outage struct {
	lost atomic.Bool
	next atomic.Int64 // when a call may try again, Unix nanoseconds
}

// usable reports whether this call should ask Redis: always, or if it is lost
// one call now and then.
func (o *outage) usable() bool {
	if !o.lost.Load() {
		return true
	}
	next, now := o.next.Load(), time.Now()
	return now.UnixNano() >= next && o.next.CompareAndSwap(next, now.Add(retryEvery).UnixNano())
}

// begin notes that Redis did not answer, and reports whether that is new.
func (o *outage) begin() bool {
	o.next.Store(time.Now().Add(retryEvery).UnixNano())
	return !o.lost.Swap(true)
}

// end notes an answer, and reports whether Redis was lost.
func (o *outage) end() bool { return o.lost.Load() && o.lost.Swap(false) }

// failure is why Redis did not do what it was asked.
type failure int

const (
	failTimeout    failure = iota // no answer in time
	failConnection                // no connection, or it broke
	failLoading                   // it is starting, or has no master or too few nodes
	failMemory                    // it is full
	failRefused                   // no permission, read-only, or something else
	failures
)

func (f failure) String() string {
	return [failures]string{"timeout", "connection", "loading", "memory", "refused"}[f]
}

func failureOf(err error) failure {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) {
		return failTimeout
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return failTimeout
	}
	r, ok := errors.AsType[redis.Error](err)
	if !ok {
		return failConnection
	}
	for _, prefix := range []string{"LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"} {
		if redis.HasErrorPrefix(r, prefix) {
			return failLoading
		}
	}
	if redis.HasErrorPrefix(r, "OOM") {
		return failMemory
	}
	return failRefused
}

// isAnswer reports whether err of a command means that Redis did what it was
// asked: a missing key, or one that another program made with another type.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, redis.Nil) || isWrongType(err)
}

func isWrongType(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") }

// exec sends what queue queues in one round trip, to each node of a cluster
// that is concerned, with time for that many keys. The error is of the first
// command that was not answered: others may have been. If Redis is known to be
// lost queue is not called.
func (c *Cache) exec(ctx context.Context, keys int, queue func(redis.Pipeliner)) error {
	if !c.outage.usable() {
		return errLost
	}
	return c.send(ctx, keys, queue)
}

// send is exec whether Redis is lost or not.
func (c *Cache) send(ctx context.Context, keys int, queue func(redis.Pipeliner)) error {
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout+time.Duration(keys)*time.Millisecond)
	defer cancel()
	p := c.cfg.Redis.Pipeline()
	queue(p)
	cmds, err := p.Exec(bounded)
	var first error
	answers := 0
	for _, cmd := range cmds {
		if e := cmd.Err(); isAnswer(e) {
			answers++
		} else if first == nil {
			first = e
		}
	}
	if first == nil && !isAnswer(err) {
		// None was sent, and none says so.
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		first, answers = err, 0
	}
	return c.judge(ctx, first, answers > 0)
}

// judge turns an error of Redis into one of this package, and notes whether
// Redis is lost. some says that other commands were answered.
func (c *Cache) judge(ctx context.Context, err error, some bool) error {
	if (err == nil || some) && c.outage.end() {
		c.log.Info("cache: Redis is back")
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("cache: %w", ctx.Err())
	}
	f := failureOf(err)
	c.metrics.failures[f].Inc()
	if c.single && !some && f <= failLoading && c.outage.begin() {
		c.log.Warn("cache: Redis is lost; recent values answer, writes are refused", "reason", f.String(), "err", err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
