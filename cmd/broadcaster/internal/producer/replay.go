package producer

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/tickfile"
)

// badLinesShown is the number of bad lines that are reported individually.
const badLinesShown = 20

// replay is one run of `feed replay`.
type replay struct {
	replayFlags
	job        *job
	out        *output
	recordings []*recording
	unread     int // inputs of which nothing could be read
	position   position

	cut        bool      // interrupted before the end of the inputs
	next, last time.Time // times of the next quote then, and of the last published one; zero if unknown
}

// replayCommand runs `feed replay`.
func replayCommand(ctx context.Context, call cli.Call, open openFunc) int {
	instruments, fault := call.Instruments()
	f, err := parseReplay(call.Args, instruments)
	if errors.Is(err, flag.ErrHelp) {
		return call.Help()
	}
	if fault != nil {
		return call.Fail("feed replay", fault)
	}
	if err != nil {
		return call.Misused("feed replay: %v", err)
	}
	r := &replay{replayFlags: f, job: newJob("read", call)}
	// Files come first, since they can be read again. Streams are not opened before Redis is
	// reached.
	r.openInputs(ctx, false)
	if r.unread == len(f.files) {
		return r.nothingRead()
	}
	if r.out, err = open(ctx); err != nil && ctx.Err() == nil {
		return call.Fail("feed replay", err)
	}
	if err == nil {
		defer r.out.close()
		r.openInputs(ctx, true)
		if r.unread == len(f.files) {
			return r.nothingRead()
		}
	}
	r.cut = ctx.Err() != nil
	box := r.run(ctx)
	return r.end(ctx, box)
}

// openInputs opens either the streams or the files among the inputs, and reports unreadable ones.
func (r *replay) openInputs(ctx context.Context, streams bool) {
	options := r.options()
	for i, name := range r.files {
		if isStream(name) != streams || ctx.Err() != nil {
			continue
		}
		waiting := time.AfterFunc(longWait, func() { r.job.console.say("waiting for %s to send", name) })
		one, err := newRecording(ctx, name, i, options)
		waiting.Stop()
		switch {
		case err == nil:
			r.recordings = append(r.recordings, one)
		case ctx.Err() == nil:
			r.unreadable(err)
			r.unread++
		}
	}
}

func (r *replay) unreadable(err error) {
	r.job.console.say("broadcaster: feed replay: %v", err)
	r.job.tally.file()
}

// run plays all recordings and returns the outbox that it used.
func (r *replay) run(ctx context.Context) *outbox {
	box := newOutbox(nil, r.job.tally, r.job.events())
	if r.cut {
		newMerge(r.recordings).close()
		return box
	}
	box.publisher, box.rejects, box.via = r.out.publisher, r.out.rejected, accept.ViaReplay
	box.drops = r.speed > 0 // at full speed no quote is late, so reading can wait
	box.untimed = !r.keepTime
	r.job.watch(r.position.text, func() {
		box.run(ctx, func(ctx context.Context, add addFunc) {
			for {
				before := r.job.tally.snapshot().made
				r.play(ctx, add)
				if !r.loop || ctx.Err() != nil || r.job.tally.snapshot().made == before {
					return
				}
			}
		})
	})
	return box
}

// play plays all recordings from their beginning to their end.
func (r *replay) play(ctx context.Context, add addFunc) {
	pace := pacer{speed: r.speed}
	m := newMerge(r.recordings)
	defer m.close()
	m.bad = r.badLine
	m.broken = func(one *recording, err error) {
		r.unreadable(err)
		if !one.read {
			r.unread++
		}
	}
	one := make([]feed.Quote, 1)
	for {
		if m.streams {
			r.position.await(m.waiting.name())
		}
		q, ok := m.next(ctx)
		if !ok {
			if ctx.Err() != nil && !m.streams && !r.last.IsZero() { // a file says at once what would come next
				q, ok = m.next(context.WithoutCancel(ctx))
				r.next = q.Time
			}
			r.cut = ok || len(m.waiting) > 0
			if !r.cut {
				r.position.finish()
			}
			return
		}
		r.position.reach(q.Time, m.read, m.total)
		if q.Time.Before(r.from) && !q.Time.IsZero() {
			r.job.tally.skipped()
			continue
		}
		due := pace.next(q.Time)
		r.position.play(due)
		if waitUntil(ctx, due) != nil {
			r.cut, r.next = true, q.Time
			return
		}
		r.job.tally.made(1)
		q.Source = r.source
		one[0] = q
		if add(ctx, one) != nil {
			r.cut = true
			return
		}
		r.last = q.Time
	}
}

// badLine reports a line that is not a tick, and lists it with the rejected quotes.
func (r *replay) badLine(name string, err *tickfile.LineError) {
	switch n := r.job.tally.badLine(); {
	case n <= badLinesShown:
		r.job.console.say("%s:%d: %s", name, err.Line, err.Reason)
	case n == badLinesShown+1:
		r.job.console.say("other bad lines are only counted")
	}
	const longest = 80
	if len(name) > longest {
		name = "…" + name[len(name)-longest:]
	}
	r.out.rejected.Add(feed.NewRejection(err.Kind, "%s", cli.Printable(fmt.Sprintf("%s, line %d: %s", name, err.Line, err.Reason))),
		feed.Quote{Symbol: r.symbol, Source: r.source}, accept.ViaReplay, []byte(err.Text))
}

// nothingRead prints the outcome of a replay whose inputs could not be opened or recognized.
func (r *replay) nothingRead() int {
	r.job.total(r.job.tally.snapshot())
	return cli.Misuse
}

// end prints the outcome of the replay and returns the exit code.
func (r *replay) end(ctx context.Context, box *outbox) int {
	c := r.job.tally.snapshot()
	interrupted := r.cut || ctx.Err() != nil && c.unsent > 0
	if interrupted {
		r.sayWhere(box.left)
	}
	r.job.total(c)
	switch {
	case interrupted:
		return cli.Interrupted
	case r.unread == len(r.files):
		return cli.Misuse
	case c.accepted == 0 || c.refused()+c.bad+c.files+c.dropped+c.unsent+c.unknown > 0:
		return cli.Failed
	}
	return cli.OK
}

// sayWhere prints the position of an interrupted replay, which is before the first quote that was
// not published. left is the earliest time of the unpublished quotes that were read.
func (r *replay) sayWhere(left time.Time) {
	at := r.next
	if at.IsZero() || !left.IsZero() && left.Before(at) {
		at = left
	}
	if at.IsZero() {
		at = r.last
	}
	switch {
	case !at.IsZero():
		r.job.console.say("interrupted at %s in the files; continue with --from %s", moment(at), moment(at))
	case !r.from.IsZero():
		r.job.console.say("interrupted before --from %s was reached", moment(r.from))
	default:
		r.job.console.say("interrupted before the first quote")
	}
}
