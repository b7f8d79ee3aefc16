package feed

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
	// silence is how long a subscribing connection may bring nothing, not even
	// a probe, before it counts as dead.
	silence = 3 * time.Second
)

// probe publishes test messages for a subscribing connection of this process
// and tells how long ago the newest that came back was sent.
type probe struct {
	client  redis.UniversalClient
	channel string
	sharded bool         // by SPUBLISH
	base    time.Time    // messages are nanoseconds since base
	last    atomic.Int64 // the newest that came back; 0 = none
}

func newProbe(client redis.UniversalClient, channel string, sharded bool) *probe {
	return &probe{client: client, channel: channel, sharded: sharded, base: time.Now()}
}

// run publishes until ctx ends. An error needs no report: the message will
// not come back.
func (p *probe) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		p.send(ctx, strconv.FormatInt(int64(time.Since(p.base)), 10))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *probe) send(ctx context.Context, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if p.sharded {
		return p.client.SPublish(ctx, p.channel, payload).Err()
	}
	return p.client.Publish(ctx, p.channel, payload).Err()
}

// received takes a message of the probe's channel.
func (p *probe) received(payload string) {
	n, err := strconv.ParseInt(payload, 10, 64)
	if err != nil || n <= 0 || n > int64(time.Since(p.base)) {
		return // not ours
	}
	p.last.Store(n)
}

func (p *probe) reset() { p.last.Store(0) }

// age returns the largest duration if no message has come back yet.
func (p *probe) age() time.Duration {
	last := p.last.Load()
	if last == 0 {
		return math.MaxInt64
	}
	return time.Since(p.base) - time.Duration(last)
}
