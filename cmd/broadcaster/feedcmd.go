package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/simulator"
)

const feedUsage = `Usage: broadcaster feed COMMAND

Produces quotes and publishes them through Redis.

  simulate        quotes made up: 28 major and cross pairs
  replay FILE...  recorded quotes of Dukascopy, HistData, TrueFX or MetaTrader

"broadcaster feed COMMAND --help" says more. REDIS_URL names the Redis.
`

const simulateUsage = `Usage: broadcaster feed simulate [flags]

Publishes made-up quotes of the 28 pairs of EUR, USD, JPY, GBP, CHF, AUD, CAD and
NZD until it is interrupted. They start at the European Central Bank's reference
rates of 13 April 2026 and agree with each other within their spreads.

  --rate N         ticks per second on average, over all symbols (default 100)
  --symbols LIST   only these: symbols or patterns, such as EUR/USD,*/JPY
  --seed N         the same number gives the same quotes; without it they differ
  --count N        end after N quotes
  --duration D     end after this time, such as 30s or 1h
  --source NAME    the quotes' source (default simulator)
`

const replayUsage = `Usage: broadcaster feed replay [flags] FILE...

Publishes recorded quotes, several files merged by time. It reads the tick exports
of Dukascopy (CSV and .bi5), HistData, TrueFX and MetaTrader, as they are or
compressed (gzip, zip, xz, lzma, zstd, bzip2), and recognises them by their content.
Lines that cannot be read are reported and skipped.

  --speed N        1 keeps the real gaps (default), 60 is 60 times faster, max
                   does not wait at all
  --symbol S       the symbol, where neither the file nor its name tells it
  --keep-time      publish with the times of the file; without it with the time
                   of publishing
  --source NAME    the quotes' source (default replay)
  --loop           begin again at the end, until interrupted
`

// openFunc returns a running publisher and what ends it. It fails when Redis
// cannot be reached.
type openFunc func(context.Context) (*accept.Publisher, func(), error)

// feedCommand is `broadcaster feed`. It returns the exit code: 0 also when ctx
// ended it, 1 when not all that was read could be published.
func feedCommand(ctx context.Context, args []string, open openFunc, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return usageFault(stderr, "feed: no command, want one of: simulate, replay")
	}
	switch args[0] {
	case "simulate":
		return simulateCommand(ctx, args[1:], open, stdout, stderr)
	case "replay":
		return replayCommand(ctx, args[1:], open, stdout, stderr)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, feedUsage)
		return exitOK
	}
	return usageFault(stderr, "feed: unknown command %.64q, want one of: simulate, replay", args[0])
}

func simulateCommand(ctx context.Context, args []string, open openFunc, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("simulate", flag.ContinueOnError)
	rate := fs.Float64("rate", simulator.DefaultRate, "")
	symbols := fs.String("symbols", "*", "")
	seed := fs.Uint64("seed", 0, "")
	count := fs.Int64("count", 0, "")
	duration := fs.Duration("duration", 0, "")
	source := fs.String("source", simulator.DefaultSource, "")
	files, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, simulateUsage)
		return exitOK
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var chosen []feed.Symbol
	if err == nil {
		chosen, err = simulated(*symbols)
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
		err = checkSource(*source)
	}
	if err != nil {
		return usageFault(stderr, "feed simulate: %v", err)
	}

	cfg := simulator.Config{Seed: *seed, Rate: *rate, Symbols: chosen, Source: *source}
	if !given["seed"] {
		// Only a given seed must repeat its quotes to the letter; otherwise the
		// spreads are those of the present hour.
		cfg.Seed, cfg.Start = rand.Uint64(), time.Now()
	}
	p, done, err := open(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "broadcaster: feed simulate:", err)
		return exitFailed
	}
	defer done()
	run := newFeedRun("made", stdout, stderr)
	run.console.say("simulating %d symbols, about %v ticks per second", len(chosen), *rate)
	box := newOutbox(p, run.tally, run.events())
	box.drops = true
	run.watch(func() {
		box.run(ctx, func(ctx context.Context, add addFunc) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			if *duration > 0 {
				ctx, cancel = context.WithTimeout(ctx, *duration)
				defer cancel()
			}
			left := *count
			// It ends without an error: that of add is always ctx's.
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
	return run.end(ctx)
}

// simulate publishes simulated quotes until ctx ends, then returns nil. It gets
// over a Redis that goes away: what it buffers is bounded and the newest quotes
// of each symbol are kept.
func simulate(ctx context.Context, p *accept.Publisher, cfg simulator.Config, logger *slog.Logger) error {
	var failed error
	box := newOutbox(p, newTally(), outboxEvents{
		lost: func(err error) { logger.Warn("simulated quotes cannot be published, buffering them", "err", err) },
		back: func(away time.Duration, dropped uint64) {
			logger.Info("simulated quotes are published again", "after", away, "dropped", dropped)
		},
		rejected: func(q feed.Quote, r *feed.Rejection) {
			logger.Warn("a simulated quote was rejected; further ones for this reason are only counted",
				"symbol", q.Symbol, "reason", r.Reason, "message", r.Message)
		},
	})
	box.drops = true
	box.run(ctx, func(ctx context.Context, add addFunc) { failed = simulator.New(cfg).Run(ctx, add) })
	return failed
}

// simulated returns the symbols that match a list of patterns.
func simulated(list string) ([]feed.Symbol, error) {
	var chosen []feed.Symbol
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		pattern, err := feed.ParsePattern(part)
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
		return nil, errors.New("--symbols: no symbol, want some such as EUR/USD,*/JPY")
	}
	slices.Sort(chosen)
	return slices.Compact(chosen), nil
}

// checkSource checks the name of a source as the quotes' check does.
func checkSource(name string) error {
	if name == "" {
		return errors.New("--source: empty, want 1 to 32 characters of a-z, 0-9, _ . and -")
	}
	if err := (feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: name}).Check(); err != nil {
		if r, ok := errors.AsType[*feed.Rejection](err); ok {
			return errors.New("--source: " + r.Message)
		}
		return fmt.Errorf("--source: %w", err)
	}
	return nil
}

// parseMixed parses flags that may stand before, between and after the other
// arguments, which it returns. Its errors name flags as users write them.
func parseMixed(fs *flag.FlagSet, args []string) (rest []string, err error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			text := strings.Replace(err.Error(), "flag provided but not defined: -", "unknown flag --", 1)
			for _, before := range []string{"for flag -", "argument: -"} {
				text = strings.Replace(text, before, before+"-", 1)
			}
			return nil, errors.New(strings.ReplaceAll(text, "---", "--"))
		}
		parsed := args[:len(args)-fs.NArg()]
		args = fs.Args()
		if len(parsed) > 0 && parsed[len(parsed)-1] == "--" {
			return append(rest, args...), nil // all that follows are names
		}
		if len(args) == 0 {
			return rest, nil
		}
		rest = append(rest, args[0])
		args = args[1:]
	}
}

// parseSpeed reads the value of --speed; 0 means that nothing is waited for.
func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(speed >= 0.001 && speed <= 1e6) {
		return 0, fmt.Errorf("--speed: want max or a number from 0.001 to 1000000, got %.64q", text)
	}
	return speed, nil
}
