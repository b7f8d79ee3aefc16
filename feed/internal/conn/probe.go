package conn

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
	// Silence is how long a subscribing connection may bring nothing, not even
	// a probe, before it counts as dead.
	Silence = 3 * time.Second
)

// Probe publishes test messages for a subscribing connection of this process
// and tells how long ago the newest that came back was sent.
type Probe struct {
	Client  redis.UniversalClient
	Channel string
	sharded bool         // by SPUBLISH
	Base    time.Time    // messages are nanoseconds since base
	last    atomic.Int64 // the newest that came back; 0 = none
}

func NewProbe(client redis.UniversalClient, channel string, sharded bool) *Probe {
	return &Probe{Client: client, Channel: channel, sharded: sharded, Base: time.Now()}
}

// Run publishes until ctx ends. An error needs no report: the message will
// not come back.
func (p *Probe) Run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		p.Send(ctx, strconv.FormatInt(int64(time.Since(p.Base)), 10))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Probe) Send(ctx context.Context, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, OpTimeout)
	defer cancel()
	if p.sharded {
		return p.Client.SPublish(ctx, p.Channel, payload).Err()
	}
	return p.Client.Publish(ctx, p.Channel, payload).Err()
}

// Received takes a message of the probe's channel.
func (p *Probe) Received(payload string) {
	n, err := strconv.ParseInt(payload, 10, 64)
	if err != nil || n <= 0 || n > int64(time.Since(p.Base)) {
		return // not ours
	}
	p.last.Store(n)
}

func (p *Probe) Reset() { p.last.Store(0) }

// Age returns the largest duration if no message has come back yet.
func (p *Probe) Age() time.Duration {
	last := p.last.Load()
	if last == 0 {
		return math.MaxInt64
	}
	return time.Since(p.Base) - time.Duration(last)
}
