package producer

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// openOutput returns a function that opens a publisher with the settings of a call.
func openOutput(call cli.Call) openFunc {
	return func(ctx context.Context) (*output, error) {
		cfg, err := call.RedisConfig()
		if err != nil {
			return nil, err
		}
		logger := call.StartLog(cfg.Log)
		cfg.LogWarnings(logger)
		return startOutput(ctx, cfg, logger)
	}
}

// startOutput starts the output of a producer command. Unlike the server it does not wait for a
// Redis that cannot be reached.
func startOutput(ctx context.Context, cfg config.Config, logger *slog.Logger) (*output, error) {
	client, err := redisclient.Open(ctx, cfg, redisclient.Options{Name: "broadcaster-feed", Logger: logger, Require: true, NoRetry: true})
	if err != nil {
		return nil, err
	}
	failovers, err := redisclient.Failovers(cfg, logger)
	if err != nil {
		client.Close()
		return nil, err
	}
	keys, registry := feed.Keys{Prefix: cfg.Redis.Prefix}, prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p := accept.NewPublisher(accept.PublisherConfig{
		Redis:        client,
		Keys:         keys,
		QuoteTTL:     cfg.Feed.QuoteTTL,
		HistoryTicks: max(cfg.Feed.HistoryTicks, 1),
		Priorities:   cfg.Feed.Sources,
		Gate:         cfg.Feed.Gate(),
		Instruments:  cfg.Feed.Instruments,
		Candles:      feed.KeptCandles(cfg.Feed.Candles),
		Replicated:   cfg.Feed.Replicated,
		Failovers:    failovers,
		Registerer:   registry,
		Logger:       logger,
	})
	rejected := accept.NewRejectedLog(accept.RejectedConfig{Redis: client, Keys: keys, Registerer: registry, Logger: logger})
	// They outlive ctx, so that quotes in flight at its end are still published.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(running); err != nil && running.Err() == nil {
			logger.Error("the publisher ended", "err", err)
		}
	})
	wg.Go(func() { _ = rejected.Run(running) }) // it returns nil
	return &output{
		publisher: p, rejected: rejected, client: client, keys: keys, registry: registry, logger: logger,
		close: func() {
			cancel()
			wg.Wait()
			client.Close()
		},
	}, nil
}
