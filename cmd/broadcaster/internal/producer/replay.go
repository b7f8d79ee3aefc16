package producer

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

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

// badLinesShown is how many bad lines are reported one by one.
const badLinesShown = 20

// replayFlags is what the command line of `feed replay` says.
type replayFlags struct {
	files    []string
	speed    float64 // 0 = as fast as Redis takes them
	symbol   feed.Symbol
	keepTime bool
	source   string
	loop     bool
}

func parseReplay(args []string, instruments *feed.Instruments) (f replayFlags, err error) {
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	speed := fs.String("speed", "1", "")
	symbol := fs.String("symbol", "", "")
	fs.BoolVar(&f.keepTime, "keep-time", false, "")
	fs.StringVar(&f.source, "source", "replay", "")
	fs.BoolVar(&f.loop, "loop", false, "")
	if f.files, err = cli.ParseMixed(fs, args); err != nil {
		return f, err
	}
	if f.speed, err = parseSpeed(*speed); err != nil {
		return f, err
	}
	if *symbol != "" {
		if f.symbol, err = instruments.ParseSymbol(*symbol); err != nil {
			return f, fmt.Errorf("--symbol: %w", err)
		}
	}
	switch {
	case len(f.files) == 0:
		return f, errors.New("no FILE, want at least one file of recorded quotes")
	case f.loop && f.keepTime:
		return f, errors.New("--loop: not together with --keep-time, since times must not go back")
	}
	f.source, err = sourceName(f.source)
	return f, err
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

// replayCommand is `feed replay`.
func replayCommand(ctx context.Context, call cli.Call, open openFunc) int {
	instruments, fault := call.Instruments()
	f, err := parseReplay(call.Args, instruments)
	if errors.Is(err, flag.ErrHelp) {
		return call.Help()
	}
	if fault != nil {
		return call.Fail("feed replay", fault)
	}
	var recordings []*recording
	for _, name := range f.files {
		if err != nil {
			break
		}
		var r *recording
		r, err = newRecording(name, len(recordings), f.symbol, instruments)
		recordings = append(recordings, r)
	}
	if err != nil {
		return call.Misused("feed replay: %v", err)
	}
	p, done, err := open(ctx)
	if err != nil {
		return call.Fail("feed replay", err)
	}
	defer done()
	run := newJob("read", call)
	box := newOutbox(p, run.tally, run.events())
	box.drops = f.speed > 0 // at full speed nothing is late: what is read can wait
	run.watch(func() {
		box.run(ctx, func(ctx context.Context, add addFunc) {
			for {
				before := run.tally.snapshot().made
				replayOnce(ctx, f, recordings, run, add)
				if !f.loop || ctx.Err() != nil || run.tally.snapshot().made == before {
					return
				}
			}
		})
	})
	return run.end(ctx)
}

// replayOnce plays all recordings from their beginning to their end.
func replayOnce(ctx context.Context, f replayFlags, recordings []*recording, run *job, add addFunc) {
	pace := pacer{speed: f.speed}
	m := newMerge(recordings)
	defer m.close()
	m.bad = func(name string, err *tickfile.LineError) {
		switch n := run.tally.badLine(); {
		case n <= badLinesShown:
			run.console.say("%s:%d: %s", name, err.Line, err.Reason)
		case n == badLinesShown+1:
			run.console.say("further bad lines are only counted")
		}
	}
	m.broken = func(err error) {
		run.console.say("broadcaster: feed replay: %v", err)
		run.failed = true
	}
	one := make([]feed.Quote, 1)
	for {
		q, ok := m.next()
		if !ok || pace.wait(ctx, q.Time) != nil {
			return
		}
		run.tally.made(1)
		if !f.keepTime {
			q.Time = time.Time{}
		}
		q.Source = f.source
		one[0] = q
		if add(ctx, one) != nil {
			return
		}
	}
}

// pacer keeps the gaps between quotes, divided by speed. Where times go back
// there is no gap.
type pacer struct {
	speed    float64   // 0 = no waiting
	due, was time.Time // of the last quote: when it was due, and its own time
}

// wait returns when a quote of time t is due. Its error is ctx's.
func (p *pacer) wait(ctx context.Context, t time.Time) error {
	if p.speed == 0 {
		return ctx.Err()
	}
	if p.was.IsZero() {
		p.due = time.Now()
	} else if gap := t.Sub(p.was); gap > 0 {
		const longest = float64(1 << 61)
		p.due = p.due.Add(time.Duration(min(float64(gap)/p.speed, longest)))
	}
	p.was = t
	left := time.Until(p.due)
	if left < time.Millisecond { // timers are no finer
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
