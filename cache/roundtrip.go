package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

var errLost = fmt.Errorf("%w: it did not answer a moment ago", ErrUnavailable)

// isAnswer reports whether err of a command means that Redis did what it was
// asked: a missing key, or one that another program made with another type.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, redis.Nil) || isWrongType(err)
}

func isWrongType(err error) bool { return redislink.Code(err) == "WRONGTYPE" }

// exec sends what queue queues in one round trip, to each node of a cluster
// that is concerned, with time for that many keys. The error is of the first
// command that was not answered: others may have been. If Redis is known to be
// lost queue is not called.
func (c *Cache) exec(ctx context.Context, keys int, queue func(redis.Pipeliner)) error {
	if !c.breaker.Allow() {
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
	if (err == nil || some) && c.breaker.Succeed() {
		c.log.Info("cache: Redis is back")
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("cache: %w", ctx.Err())
	}
	f := redislink.FailureOf(err)
	c.metrics.failures[f].Inc()
	if c.single && !some && f <= redislink.FailLoading && c.breaker.Fail() {
		c.log.Warn("cache: Redis is lost; recent values answer, writes are refused", "reason", f.String(), "err", err)
	}
	return redislink.Unavailable("", err)
}
