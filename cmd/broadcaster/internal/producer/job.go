package producer

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
)

// job is one run of a producer command: its counts and its output.
type job struct {
	word    string // "made", "read" or "received"
	stdout  io.Writer
	console *console
	tally   *tally
	start   time.Time
}

func newJob(word string, call cli.Call) *job {
	return &job{word: word, stdout: call.Stdout, console: newConsole(call.Stderr), tally: newTally(), start: time.Now()}
}

func (r *job) events() outboxEvents {
	return outboxEvents{
		lost: func(err error) { r.console.say("Redis does not accept quotes, retrying until it does: %v", err) },
		back: func(o outage) {
			r.console.say("Redis accepts quotes again after %v, %d were dropped, unknown whether accepted %d", o.away, o.dropped, o.unknown)
		},
		rejected: func(q feed.Quote, rejection *feed.Rejection) {
			r.console.say("rejected: %s: %s (others with this reason are only counted)", q.Symbol, rejection)
		},
	}
}

// progressText returns a line of progress from the counts and the rate in ticks per second.
type progressText func(now time.Time, c tallyCounts, rate float64) string

// text returns the progress of a command that knows only its counts.
func (r *job) text(now time.Time, c tallyCounts, rate float64) string {
	return fmt.Sprintf("%4.0f s: %s, %.0f ticks/s", now.Sub(r.start).Seconds(), c.text(r.word), rate)
}

// watch calls work and shows the progress until work returns: every second on a terminal, else
// every 10 s.
func (r *job) watch(text progressText, work func()) {
	every := 10 * time.Second
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
				r.console.progress(text(now, c, float64(c.accepted-before)/now.Sub(then).Seconds()))
				before, then = c.accepted, now
			}
		}
	})
	work()
	close(done)
	wg.Wait()
}

// total prints the counts, which are the last line.
func (r *job) total(c tallyCounts) {
	seconds := time.Since(r.start).Seconds()
	fmt.Fprintf(r.stdout, "%s in %.1f s, %.0f ticks/s\n", c.text(r.word), seconds, float64(c.accepted)/max(seconds, 1e-3))
}
