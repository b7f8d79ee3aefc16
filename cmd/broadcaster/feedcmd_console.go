package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/fxcast/fxcast/feed"
)

// tally counts what became of the quotes of a producer. It is safe for
// concurrent use.
type tally struct {
	mu     sync.Mutex // guards counts
	counts tallyCounts
}

type tallyCounts struct {
	made, accepted, bad, dropped, unsent, unknown uint64
	rejected                                      map[feed.Reason]uint64
}

func newTally() *tally { return &tally{counts: tallyCounts{rejected: map[feed.Reason]uint64{}}} }

func (t *tally) change(f func(*tallyCounts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}

func (t *tally) made(n int)             { t.change(func(c *tallyCounts) { c.made += uint64(n) }) }
func (t *tally) dropped(n int)          { t.change(func(c *tallyCounts) { c.dropped += uint64(n) }) }
func (t *tally) unsent(n int)           { t.change(func(c *tallyCounts) { c.unsent += uint64(n) }) }
func (t *tally) rejected(r feed.Reason) { t.change(func(c *tallyCounts) { c.rejected[r]++ }) }

func (t *tally) published(accepted, unknown int) {
	t.change(func(c *tallyCounts) {
		c.accepted += uint64(accepted)
		c.unknown += uint64(unknown)
	})
}

// badLine counts a bad line and returns how many there have been.
func (t *tally) badLine() (n uint64) {
	t.change(func(c *tallyCounts) { c.bad++; n = c.bad })
	return n
}

func (t *tally) snapshot() (c tallyCounts) {
	t.change(func(now *tallyCounts) {
		c = *now
		c.rejected = maps.Clone(now.rejected)
	})
	return c
}

// text names all counts, the rare ones only if they are not zero. made is the
// word for where the quotes come from.
func (c tallyCounts) text(made string) string {
	var rejected uint64
	var reasons []string
	for _, r := range slices.Sorted(maps.Keys(c.rejected)) {
		rejected += c.rejected[r]
		reasons = append(reasons, fmt.Sprintf("%s %d", r, c.rejected[r]))
	}
	s := fmt.Sprintf("%s %d, accepted %d, rejected %d", made, c.made, c.accepted, rejected)
	if rejected > 0 {
		s += " (" + strings.Join(reasons, ", ") + ")"
	}
	if made == "read" {
		s += fmt.Sprintf(", bad lines %d", c.bad)
	}
	for _, rare := range []struct {
		word string
		n    uint64
	}{{"dropped", c.dropped}, {"not sent", c.unsent}, {"unknown whether accepted", c.unknown}} {
		if rare.n > 0 {
			s += fmt.Sprintf(", %s %d", rare.word, rare.n)
		}
	}
	return s
}

// console writes messages and, on a terminal, one line of progress that it
// rewrites. It is safe for concurrent use.
type console struct {
	terminal bool

	mu    sync.Mutex // guards the fields below
	w     io.Writer
	shown bool // a progress line stands at the cursor
}

func newConsole(w io.Writer) *console {
	f, ok := w.(interface{ Fd() uintptr })
	return &console{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

const clearLine = "\r\x1b[K"

func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	fmt.Fprintf(c.w, format+"\n", args...)
}

func (c *console) progress(text string) {
	if !c.terminal {
		c.say("%s", text)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	fmt.Fprint(c.w, text)
	c.shown = true
}

func (c *console) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
}

func (c *console) clearLocked() {
	if c.shown {
		fmt.Fprint(c.w, clearLine)
		c.shown = false
	}
}

// feedRun is one run of a producer command: its counts and what it shows.
type feedRun struct {
	word    string // "made" or "read"
	stdout  io.Writer
	console *console
	tally   *tally
	start   time.Time
	failed  bool // set by whoever runs in watch
}

func newFeedRun(word string, stdout, stderr io.Writer) *feedRun {
	return &feedRun{word: word, stdout: stdout, console: newConsole(stderr), tally: newTally(), start: time.Now()}
}

func (r *feedRun) events() outboxEvents {
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
func (r *feedRun) watch(work func()) {
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
func (r *feedRun) end(ctx context.Context) int {
	seconds := time.Since(r.start).Seconds()
	c := r.tally.snapshot()
	fmt.Fprintf(r.stdout, "%s in %.1f s, %.0f ticks/s\n", c.text(r.word), seconds, float64(c.accepted)/max(seconds, 1e-3))
	if r.failed || ctx.Err() == nil && c.unsent+c.unknown > 0 {
		return exitFailed
	}
	return exitOK
}
