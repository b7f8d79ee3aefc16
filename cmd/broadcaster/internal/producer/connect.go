package producer

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/vendor"
)

// connectCommand is `feed connect`.
func connectCommand(ctx context.Context, call cli.Call, open openFunc) int {
	cfg, fault := config.Load(call.Environ)
	f, err := parseConnect(call.Args, cfg.Feed.Instruments, cfg.Feed.Key)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return call.Help()
	case fault != nil:
		return call.Fail("feed connect", fault)
	case err != nil:
		return call.Misused("feed connect: %v", err)
	}
	out, err := open(ctx)
	if err != nil {
		return call.Fail("feed connect", err)
	}
	defer out.close()
	if f.metrics != "" {
		stop, err := serveMetrics(f.metrics, out.registry, out.logger)
		if err != nil {
			return call.Fail("feed connect: --metrics", err)
		}
		defer stop()
	}
	return connect(ctx, call, f, out)
}

// connect publishes the quotes of a vendor until ctx ends or the vendor refuses.
func connect(ctx context.Context, call cli.Call, f connectFlags, out *output) int {
	run := newJob("received", call)
	box := newOutbox(out.publisher, run.tally, run.events())
	box.rejects, box.via = out.rejected, accept.ViaConnect
	box.drops = true
	source := cmp.Or(f.target.Source, f.vendor.Traits().Name)
	var refused error
	work := func() {
		box.run(ctx, func(ctx context.Context, add addFunc) {
			refused = vendor.New(vendor.Config{
				Vendor: f.vendor, Target: f.target,
				Lease:      accept.NewLease(out.client, out.keys.ConnectLease(f.connection()), processName(), out.logger),
				Registerer: out.registry, Logger: out.logger,
				Publish: func(ctx context.Context, quotes []feed.Quote) error {
					run.tally.made(len(quotes))
					for _, q := range quotes {
						out.rejected.Note(q)
					}
					return add(ctx, quotes)
				},
				Halt: func(ctx context.Context, s feed.Symbol) (bool, error) { return out.publisher.Halt(ctx, s, source) },
				Reject: func(b vendor.BadQuote) {
					run.tally.made(1)
					run.tally.rejected(b.Rejection.Reason)
					out.rejected.Add(b.Rejection, b.Quote, accept.ViaConnect, b.Input)
				},
			}).Run(ctx)
		})
	}
	run.console.say("connecting to %s for %s", f.vendor.Traits().Name, f.target.Symbols)
	if run.console.terminal {
		run.watch(run.text, work)
	} else { // the log has what matters, and metrics have the rest
		work()
	}
	if refused != nil {
		return call.Misused("feed connect: %s: %v", f.vendor.Traits().Name, refused)
	}
	run.total(run.tally.snapshot())
	return cli.OK
}

// processName names this process to others in Redis.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}
