package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/protocol"
)

// A publisher publishes on a fixed schedule, whatever the server does (open loop). It publishes a
// late quote with the time of its schedule, so that the wait counts as latency.
type publisher struct {
	o       options
	symbols []feed.Symbol
	client  *redis.Client
	accept  *accept.Publisher // nil: plain PUBLISH to -channel
	sent    atomic.Uint64
	late    atomic.Int64 // greatest delay behind the schedule, µs
	turn    int
	index   map[feed.Symbol]int
	seq     []uint64 // by symbol; of accepted quotes, from the last answer
}

func newPublisher(o options, symbols []feed.Symbol) (*publisher, error) {
	p := &publisher{o: o, symbols: symbols, seq: make([]uint64, len(symbols)), index: make(map[feed.Symbol]int)}
	for i, s := range symbols {
		p.index[s] = i
	}
	if o.redis == "" {
		return p, nil
	}
	opts, err := redis.ParseURL(o.redis)
	if err != nil {
		return nil, errors.New("-redis: want redis://host:port") // the error may contain a password
	}
	p.client = redis.NewClient(opts)
	if o.channel == "" {
		p.accept = accept.NewPublisher(accept.PublisherConfig{Redis: p.client, Keys: feed.Keys{Prefix: "fx:"}})
	}
	return p, nil
}

func (p *publisher) run(ctx context.Context) error {
	if p.client == nil {
		<-ctx.Done()
		return nil
	}
	defer p.client.Close()
	if p.accept != nil {
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.accept.Run(running) })
		defer wg.Wait()
		defer stop()
	}
	every := time.Duration(float64(time.Second) * float64(p.o.burst) / p.o.rate)
	for next := time.Now(); ctx.Err() == nil; {
		pause(ctx, time.Until(next))
		var batch []feed.Quote
		for now := time.Now(); !next.After(now) && len(batch) < 1000; next = next.Add(every) {
			p.late.Store(max(p.late.Load(), now.Sub(next).Microseconds()))
			for range p.o.burst {
				batch = append(batch, p.quote(next))
			}
		}
		if err := p.publish(context.WithoutCancel(ctx), batch); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		p.sent.Add(uint64(len(batch)))
	}
	return nil
}

// quote makes the next quote; the symbols take turns.
func (p *publisher) quote(at time.Time) feed.Quote {
	i := p.turn % len(p.symbols)
	n := p.turn % 800
	p.turn++
	return feed.Quote{Symbol: p.symbols[i], Source: "loadgen", Time: at.UTC().Truncate(time.Microsecond),
		Bid: fmt.Sprintf("1.0%04d", 8000+n), Ask: fmt.Sprintf("1.0%04d", 8012+n)}
}

func (p *publisher) publish(ctx context.Context, quotes []feed.Quote) error {
	if len(quotes) == 0 {
		return nil
	}
	if p.accept != nil {
		outcomes, err := p.accept.Publish(ctx, quotes)
		for i, o := range outcomes {
			if o.Rejection != nil {
				return o.Rejection
			}
			p.seq[p.index[quotes[i].Symbol]] = o.Seq
		}
		return err
	}
	pipe := p.client.Pipeline()
	for _, q := range quotes {
		i := p.index[q.Symbol]
		p.seq[i]++
		quote := protocol.Quote{Symbol: string(q.Symbol), Bid: q.Bid, Ask: q.Ask, Time: protocol.At(q.Time), Seq: p.seq[i]}
		message := quote.Append(nil)
		if p.o.dialect == "plain" { // the server sends messages unchanged
			message = protocol.Update{Data: []protocol.Quote{quote}}.Append(nil)
		}
		pipe.Publish(ctx, p.o.channel, message)
	}
	return redislink.Exec(ctx, pipe)
}
