package producer

import (
	"context"
	"log/slog"
	"sync"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// openPublisher returns the opening of a publisher with the settings of a call.
func openPublisher(call cli.Call) openFunc {
	return func(ctx context.Context) (*accept.Publisher, func(), error) {
		cfg, err := call.RedisConfig()
		if err != nil {
			return nil, nil, err
		}
		logger := call.StartLog(cfg.Log)
		cfg.LogWarnings(logger)
		return startPublisher(ctx, cfg, logger)
	}
}

// startPublisher starts what a producer command publishes through. Unlike the
// server it does not wait for a Redis that is not there. The function it
// returns, called once nothing is published any more, ends it and waits.
func startPublisher(ctx context.Context, cfg config.Config, logger *slog.Logger) (*accept.Publisher, func(), error) {
	client, err := redisclient.Open(ctx, cfg, redisclient.Options{Name: "broadcaster-feed", Logger: logger, Require: true, NoRetry: true})
	if err != nil {
		return nil, nil, err
	}
	p := accept.NewPublisher(accept.PublisherConfig{
		Redis:        client,
		Keys:         feed.Keys{Prefix: cfg.Redis.Prefix},
		QuoteTTL:     cfg.Feed.QuoteTTL,
		HistoryTicks: cfg.Feed.HistoryTicks,
		Priorities:   cfg.Feed.Sources,
		Gate:         cfg.Feed.Gate(),
		Instruments:  cfg.Feed.Instruments,
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
