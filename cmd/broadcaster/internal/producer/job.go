package producer

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
)

// job is one run of a producer command: its counts and what it shows.
type job struct {
	word    string // "made" or "read"
	stdout  io.Writer
	console *console
	tally   *tally
	start   time.Time
	failed  bool // set by whoever runs in watch
}

func newJob(word string, call cli.Call) *job {
	return &job{word: word, stdout: call.Stdout, console: newConsole(call.Stderr), tally: newTally(), start: time.Now()}
}

func (r *job) events() outboxEvents {
	return outboxEvents{
		lost: func(err error) { r.console.say("Redis does not take quotes, trying again until it does: %v", err) },
		back: func(away time.Duration, dropped uint64) {
			r.console.say("Redis takes quotes again after %v, %d were dropped", away, dropped)
		},
		rejected: func(q feed.Quote, rejection *feed.Rejection) {
			r.console.say("rejected: %s: %s (further ones for this reason are only counted)", q.Symbol, rejection)
		},
	}
}

// watch calls work and shows the progress until it returns: every second on a
// terminal, else every 5.
func (r *job) watch(work func()) {
	every := 5 * time.Second
	if r.console.terminal {
		every = time.Second
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		before, then := uint64(0), r.start
		for {
			select {
			case <-done:
				r.console.clear()
				return
			case now := <-tick.C:
				c := r.tally.snapshot()
				r.console.progress(fmt.Sprintf("%4.0f s: %s, %.0f ticks/s", now.Sub(r.start).Seconds(), c.text(r.word),
					float64(c.accepted-before)/now.Sub(then).Seconds()))
				before, then = c.accepted, now
			}
		}
	})
	work()
	close(done)
	wg.Wait()
}

// end prints the totals and returns the exit code.
func (r *job) end(ctx context.Context) int {
	seconds := time.Since(r.start).Seconds()
	c := r.tally.snapshot()
	fmt.Fprintf(r.stdout, "%s in %.1f s, %.0f ticks/s\n", c.text(r.word), seconds, float64(c.accepted)/max(seconds, 1e-3))
	if r.failed || ctx.Err() == nil && c.unsent+c.unknown > 0 {
		return cli.Failed
	}
	return cli.OK
}
