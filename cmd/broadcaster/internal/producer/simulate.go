package producer

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/simulator"
)

const simulateUsage = `Usage: broadcaster feed simulate [flags]

Publishes simulated quotes of the 28 pairs of EUR, USD, JPY, GBP, CHF, AUD, CAD
and NZD until it is interrupted. They start at the European Central Bank's
reference rates of 13 April 2026 and agree with each other within their spreads.

  --rate N         ticks per second on average, over all symbols (default 100)
  --symbols LIST   only these symbols or patterns, such as EUR/USD,*/JPY
  --seed N         repeat the quotes of an earlier run with the same number
  --count N        end after N quotes
  --duration D     end after this time, such as 30s or 1h
  --source NAME    the quotes' source (default simulator)

Exit codes: 0 the end of --count or --duration was reached; 1 some quotes could
not be published; 130 interrupted.
`

// simulateCommand is `feed simulate`.
func simulateCommand(ctx context.Context, call cli.Call, open openFunc) int {
	fs := flag.NewFlagSet("simulate", flag.ContinueOnError)
	rate := fs.Float64("rate", simulator.DefaultRate, "")
	symbols := fs.String("symbols", "*", "")
	seed := fs.Uint64("seed", 0, "")
	count := fs.Int64("count", 0, "")
	duration := fs.Duration("duration", 0, "")
	source := fs.String("source", simulator.DefaultSource, "")
	files, err := cli.ParseMixed(fs, call.Args)
	if errors.Is(err, flag.ErrHelp) {
		return call.Help()
	}
	instruments, fault := call.Instruments()
	if fault != nil {
		return call.Fail("feed simulate", fault)
	}
	given := cli.Given(fs)
	var chosen []feed.Symbol
	if err == nil {
		chosen, err = simulated(*symbols, instruments)
	}
	switch {
	case err != nil:
	case len(files) > 0:
		err = fmt.Errorf("unexpected argument %.64q", files[0])
	case !(*rate >= simulator.MinRate && *rate <= simulator.MaxRate):
		err = fmt.Errorf("--rate: want ticks per second from %v to %v, got %v", simulator.MinRate, simulator.MaxRate, *rate)
	case given["count"] && *count < 1:
		err = fmt.Errorf("--count: want a number from 1, got %d", *count)
	case given["duration"] && *duration <= 0:
		err = fmt.Errorf("--duration: want a time above zero, such as 30s, got %v", *duration)
	default:
		*source, err = sourceName(*source)
	}
	if err != nil {
		return call.Misused("feed simulate: %v", err)
	}

	cfg := simulator.Config{Seed: *seed, Rate: *rate, Symbols: chosen, Source: *source}
	if !given["seed"] {
		// With --seed the quotes must repeat exactly. Without it the spreads are those of the
		// current hour.
		cfg.Seed, cfg.Start = rand.Uint64(), time.Now()
	}
	out, err := open(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return cli.Interrupted
	case err != nil:
		return call.Fail("feed simulate", err)
	}
	defer out.close()
	run := newJob("made", call)
	run.console.say("simulating %d symbols, about %v ticks per second", len(chosen), *rate)
	box := newOutbox(out.publisher, run.tally, run.events())
	box.rejects, box.via = out.rejected, accept.ViaSimulate
	box.drops = true
	run.watch(run.text, func() {
		box.run(ctx, func(ctx context.Context, add addFunc) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if *duration > 0 {
				ctx, cancel = context.WithTimeout(ctx, *duration)
				defer cancel()
			}
			left := *count
			// The simulator ends without an error, because an error of add is always ctx's.
			_ = simulator.New(cfg).Run(ctx, func(ctx context.Context, quotes []feed.Quote) error {
				if *count > 0 && int64(len(quotes)) >= left {
					quotes = quotes[:left]
					defer cancel()
				}
				left -= int64(len(quotes))
				run.tally.made(len(quotes))
				return add(ctx, quotes)
			})
		})
	})
	c := run.tally.snapshot()
	run.total(c)
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted
	case c.unsent+c.unknown > 0:
		return cli.Failed
	}
	return cli.OK
}

// simulated returns the symbols that match a list of patterns.
func simulated(list string, instruments *feed.Instruments) ([]feed.Symbol, error) {
	var chosen []feed.Symbol
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		pattern, err := instruments.ParsePattern(part)
		if err != nil {
			return nil, fmt.Errorf("--symbols: %w", err)
		}
		n := len(chosen)
		for _, s := range simulator.Symbols() {
			if feed.MatchPattern(pattern, s) {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("--symbols: %s is not simulated; want pairs of EUR, USD, JPY, GBP, CHF, AUD, CAD, NZD as the market quotes them", pattern)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("--symbols: empty, want symbols such as EUR/USD,*/JPY")
	}
	slices.Sort(chosen)
	return slices.Compact(chosen), nil
}
