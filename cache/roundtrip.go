package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

var errLost = fmt.Errorf("%w: it did not answer a recent call", ErrUnavailable)

// isAnswer reports whether err, of a command, is a proper reply: no error, a missing key, or a key
// that another program made with another type.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, redis.Nil) || isWrongType(err)
}

func isWrongType(err error) bool { return redislink.Code(err) == "WRONGTYPE" }

// exec sends the commands that queue adds in one round trip, or one per node of a cluster, with a
// timeout for that many keys. It returns the error of the first command that was not answered;
// other commands may have been. It does not call queue if Redis is known to be lost.
func (c *Cache) exec(ctx context.Context, keys int, queue func(redis.Pipeliner)) error {
	if !c.breaker.Allow() {
		return errLost
	}
	return c.send(ctx, keys, queue)
}

// send is exec, but it tries even if Redis is known to be lost.
func (c *Cache) send(ctx context.Context, keys int, queue func(redis.Pipeliner)) error {
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout+time.Duration(keys)*time.Millisecond)
	defer cancel()
	p := c.cfg.Redis.Pipeline()
	queue(p)
	cmds := p.Cmds()
	_ = redislink.Exec(bounded, p) // each command has its own error
	var first error
	answers := 0
	for _, cmd := range cmds {
		if e := cmd.Err(); isAnswer(e) {
			answers++
		} else if first == nil {
			first = e
		}
	}
	return c.judge(ctx, first, answers > 0)
}

// judge maps an error of Redis to one of this package, and updates the circuit breaker. some means
// that other commands of the round trip were answered.
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
