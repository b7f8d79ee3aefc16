package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// openPublisher opens what a producer command publishes through. Unlike the
// server it does not wait for a Redis that is not there. The function it
// returns, called once nothing is published any more, ends it and waits.
func openPublisher(ctx context.Context, cfg Config, logger *slog.Logger) (*accept.Publisher, func(), error) {
	client, err := openRedis(ctx, cfg, openOptions{Name: "broadcaster-feed", Logger: logger, Require: true, NoRetry: true})
	if err != nil {
		return nil, nil, err
	}
	p := accept.NewPublisher(accept.PublisherConfig{
		Redis:        client,
		Keys:         feed.Keys{Prefix: cfg.Redis.Prefix},
		QuoteTTL:     cfg.Feed.QuoteTTL,
		HistoryTicks: cfg.Feed.HistoryTicks,
		Priorities:   cfg.Feed.Sources,
		Logger:       logger,
	})
	// It outlives ctx, so that what is under way when ctx ends is still published.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(running); err != nil && running.Err() == nil {
			logger.Error("the publisher ended", "err", err)
		}
	})
	return p, func() {
		cancel()
		wg.Wait()
		client.Close()
	}, nil
}
