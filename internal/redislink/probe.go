package redislink

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	probeEvery = time.Second
	// DefaultSilence is how long a connection may bring no sign of life before it counts as dead.
	DefaultSilence = 3 * time.Second
)

// probe publishes test messages for a Listener and knows how long ago the newest that came back was
// sent. It is safe for concurrent use.
type probe struct {
	client  redis.UniversalClient
	channel string
	sharded bool      // by SPUBLISH
	base    time.Time // messages are nanoseconds since base

	back    atomic.Int64          // when the newest that came back was sent, since base; 0 = none came
	replied atomic.Int64          // when Redis last took one, since base
	refused atomic.Pointer[error] // the answer by which Redis refused the last one; nil: it did not
}

// run publishes until ctx ends. An error needs no report: the message will not come back.
func (p *probe) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		_ = p.test(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *probe) test(ctx context.Context) error {
	return p.send(ctx, strconv.FormatInt(int64(time.Since(p.base)), 10))
}

func (p *probe) send(ctx context.Context, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, OpTimeout)
	defer cancel()
	publish := p.client.Publish
	if p.sharded {
		publish = p.client.SPublish
	}
	err := publish(ctx, p.channel, payload).Err()
	if Code(err) == "" {
		p.refused.Store(nil)
	} else {
		p.refused.Store(&err)
	}
	if err == nil {
		p.replied.Store(int64(time.Since(p.base)))
	}
	return err
}

// received takes a message of the channel.
func (p *probe) received(payload string) {
	sent, err := strconv.ParseInt(payload, 10, 64)
	if err != nil || sent <= 0 || sent > int64(time.Since(p.base)) {
		return // another program's
	}
	p.back.Store(sent)
}

// age returns the largest duration if no message has come back yet.
func (p *probe) age() time.Duration {
	back := p.back.Load()
	if back == 0 {
		return math.MaxInt64
	}
	return time.Since(p.base) - time.Duration(back)
}
