package main

import (
	"container/heap"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

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

func parseReplay(args []string) (f replayFlags, err error) {
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	speed := fs.String("speed", "1", "")
	symbol := fs.String("symbol", "", "")
	fs.BoolVar(&f.keepTime, "keep-time", false, "")
	fs.StringVar(&f.source, "source", "replay", "")
	fs.BoolVar(&f.loop, "loop", false, "")
	if f.files, err = parseMixed(fs, args); err != nil {
		return f, err
	}
	if f.speed, err = parseSpeed(*speed); err != nil {
		return f, err
	}
	if *symbol != "" {
		if f.symbol, err = feed.ParseSymbol(*symbol); err != nil {
			return f, fmt.Errorf("--symbol: %w", err)
		}
	}
	switch {
	case len(f.files) == 0:
		return f, errors.New("no FILE, want at least one file of recorded quotes")
	case f.loop && f.keepTime:
		return f, errors.New("--loop: not together with --keep-time, since times must not go back")
	}
	return f, checkSource(f.source)
}

func replayCommand(ctx context.Context, args []string, open openFunc, stdout, stderr io.Writer) int {
	f, err := parseReplay(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, replayUsage)
		return exitOK
	}
	var recordings []*recording
	for _, name := range f.files {
		if err != nil {
			break
		}
		var r *recording
		r, err = newRecording(name, len(recordings), f.symbol)
		recordings = append(recordings, r)
	}
	if err != nil {
		return usageFault(stderr, "feed replay: %v", err)
	}
	p, done, err := open(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "broadcaster: feed replay:", err)
		return exitFailed
	}
	defer done()
	run := newFeedRun("read", stdout, stderr)
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
func replayOnce(ctx context.Context, f replayFlags, recordings []*recording, run *feedRun, add addFunc) {
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

// recording is one file. It is open only from its first quote to its last, so
// that thousands of hourly files can be replayed.
type recording struct {
	name   string
	number int // in the order of the command line
	symbol feed.Symbol
	first  time.Time // of its first quote; zero if it has none

	// Owned by the merge that plays it.
	reader *tickfile.Reader
	head   feed.Quote
	at     time.Time // of head, or of the first quote before the file is open
}

// newRecording checks that the file can be read and when it begins.
func newRecording(name string, number int, symbol feed.Symbol) (*recording, error) {
	r := &recording{name: name, number: number, symbol: symbol}
	if err := r.open(); err != nil {
		if errors.Is(err, tickfile.ErrNoSymbol) {
			err = fmt.Errorf("%w with --symbol", err)
		}
		return nil, err
	}
	defer r.close()
	for {
		q, err := r.reader.Next()
		if err == nil {
			r.first = q.Time
			return r, nil
		}
		if _, bad := errors.AsType[*tickfile.LineError](err); !bad {
			return r, nil // reported when it is played
		}
	}
}

func (r *recording) open() (err error) {
	var opts []tickfile.Option
	if r.symbol != "" {
		opts = append(opts, tickfile.WithSymbol(r.symbol))
	}
	r.reader, err = tickfile.Open(r.name, opts...)
	return err
}

func (r *recording) close() {
	if r.reader != nil {
		r.reader.Close() // it was only read from
		r.reader = nil
	}
}

// merge plays recordings together, in the order of time.
type merge struct {
	waiting recordingHeap
	bad     func(name string, err *tickfile.LineError)
	broken  func(err error) // a file ended before its end
}

func newMerge(recordings []*recording) *merge {
	m := &merge{}
	for _, r := range recordings {
		r.at = r.first
		m.waiting = append(m.waiting, r)
	}
	heap.Init(&m.waiting)
	return m
}

// next returns the earliest quote that is left.
func (m *merge) next() (q feed.Quote, ok bool) {
	for len(m.waiting) > 0 {
		r := m.waiting[0]
		if r.reader != nil {
			q = r.head
			m.advance(r)
			return q, true
		}
		if err := r.open(); err != nil {
			m.broken(err)
			heap.Pop(&m.waiting)
			continue
		}
		m.advance(r)
	}
	return q, false
}

// advance reads the next quote of r, the earliest recording, and puts it in its
// new place.
func (m *merge) advance(r *recording) {
	for {
		q, err := r.reader.Next()
		bad, isLine := errors.AsType[*tickfile.LineError](err)
		switch {
		case err == nil:
			r.head, r.at = q, q.Time
			heap.Fix(&m.waiting, 0)
			return
		case isLine:
			m.bad(r.name, bad)
		default:
			if err != io.EOF {
				m.broken(fmt.Errorf("%s: %w", r.name, err))
			}
			r.close()
			heap.Pop(&m.waiting)
			return
		}
	}
}

func (m *merge) close() {
	for _, r := range m.waiting {
		r.close()
	}
}

// recordingHeap has the earliest recording first; of equal ones the first on the
// command line.
type recordingHeap []*recording

func (h recordingHeap) Len() int { return len(h) }
func (h recordingHeap) Less(i, j int) bool {
	if c := h[i].at.Compare(h[j].at); c != 0 {
		return c < 0
	}
	return h[i].number < h[j].number
}
func (h recordingHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *recordingHeap) Push(x any)   { *h = append(*h, x.(*recording)) }
func (h *recordingHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}
