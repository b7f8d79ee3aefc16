package producer

import (
	"context"
	"log/slog"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/simulator"
)

// Simulate publishes simulated quotes until ctx ends, then returns nil. It survives outages of
// Redis: it buffers a bounded number of quotes, and keeps the newest of each symbol. It adds
// rejected quotes to rejected, which may be nil.
func Simulate(ctx context.Context, p *accept.Publisher, rejected *accept.RejectedLog, cfg simulator.Config, logger *slog.Logger) error {
	var failed error
	box := newOutbox(p, newTally(), outboxEvents{
		lost: func(err error) { logger.Warn("simulated quotes cannot be published, buffering them", "err", err) },
		back: func(o outage) {
			logger.Info("simulated quotes are published again", "after", o.away, "dropped", o.dropped, "unknown", o.unknown)
		},
		rejected: func(q feed.Quote, r *feed.Rejection) {
			logger.Warn("a simulated quote was rejected; others with this reason are only counted",
				"symbol", q.Symbol, "reason", r.Reason, "message", r.Message)
		},
	})
	box.drops = true
	box.rejects, box.via = rejected, accept.ViaSimulate
	box.run(ctx, func(ctx context.Context, add addFunc) { failed = simulator.New(cfg).Run(ctx, add) })
	return failed
}
