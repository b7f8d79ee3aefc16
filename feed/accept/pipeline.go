package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

// pending is one quote to publish: the i-th of its job.
type pending struct {
	job *publishJob
	i   int
}

func (e pending) quote() *feed.Quote { return &e.job.quotes[e.i] }

// execute gives every quote an outcome or its job an error, within Timeout, and then wakes the
// callers.
func (l *lane) execute(ctx context.Context, jobs []*publishJob) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	n := 0
	for _, j := range jobs {
		n += len(j.quotes)
	}
	left := make([]pending, 0, n)
	for _, j := range jobs {
		j.outcomes = make([]Outcome, len(j.quotes))
		for i := range j.quotes {
			left = append(left, pending{j, i})
		}
	}
	l.metrics.pipelineQuotes.Observe(float64(len(left)))
	began := time.Now()

	var err error // why left is not empty
	for attempt := 0; len(left) > 0; attempt++ {
		if attempt > 0 {
			l.metrics.retried.Add(float64(len(left)))
		}
		if left := time.Until(began.Add(l.cfg.Timeout)); redislink.Refusal(err) != "" && left < l.cfg.Timeout/4 {
			break // a reply that comes too late would leave the outcome unknown
		}
		if attempt > 1 && !redislink.Sleep(ctx, publishRetryWait) || ctx.Err() != nil {
			break
		}
		var now error
		sent := len(left)
		if left, now = l.send(ctx, left); l.masters.held {
			l.masters.held = false
			l.metrics.held.Add(float64(sent))
		}
		if redislink.Refusal(err) == "" || redislink.Code(now) != "" {
			err = now // the deadline does not hide why Redis refused
		}
	}
	l.failed.Store(nil)
	if len(left) > 0 {
		l.failed.Store(&err)
		failure := redislink.Unavailable("not published", err) // err itself is read by callers that wait
		for _, e := range left {
			e.job.fail(failure)
		}
	}
	l.metrics.seconds.Observe(time.Since(began).Seconds())
	l.list(ctx, jobs)
	l.replicate()
	for _, j := range jobs {
		l.router.leave(j.quotes)
	}
	for _, j := range jobs {
		j.settled = true
		j.finish()
	}
}

// send sends quotes in one round trip to each master, all concurrently. A second one follows for
// calls whose slot is on its way to another master. It returns the quotes that may be sent again,
// with the reason.
func (l *lane) send(ctx context.Context, quotes []pending) (again []pending, reason error) {
	trips := l.trips(ctx, quotes)
	again, reason = l.carryOutAll(ctx, trips)
	if asking := l.asked(trips); len(asking) > 0 {
		more, err := l.carryOutAll(ctx, asking)
		if again = append(again, more...); err != nil {
			reason = err
		}
	}
	if len(again) == 0 {
		return nil, nil
	}
	l.masters.doubt(ctx)
	left := map[pending]bool{}
	for _, e := range again {
		left[e] = true
	}
	var sent []pending
	for _, t := range trips {
		for _, c := range t.calls {
			for _, one := range c.parts {
				sent = append(sent, one.pending...)
			}
		}
	}
	again = slices.DeleteFunc(slices.Clone(sent), func(e pending) bool { return !left[e] })
	return inOrder(sent, again), reason
}

// finish settles the calls of a trip. It returns the quotes that may be sent again, with the
// reason, and leaves those that another master is to be asked for.
func (l *lane) finish(ctx context.Context, t *trip) (again []pending, reason error) {
	noScript, refused := false, map[feed.Symbol]bool{}
	for _, c := range t.calls {
		at, replies, err := int64(0), make([]any, len(c.parts)), t.err
		if err == nil {
			var reply any
			if reply, err = c.answer.Result(); err == nil {
				at, replies, err = readReplies(reply, len(c.parts))
			}
		}
		if c.askedAt = ""; !t.asking && err != nil && !refused[c.parts[0].symbol()] {
			if addr, ok := redislink.AskedOf(err); ok {
				c.askedAt = addr
				continue
			}
		}
		noScript = noScript || redislink.Code(err) == "NOSCRIPT"
		if err != nil && t.over != nil && redislink.Code(err) == "" {
			t.over.connected = false
		}
		for i, one := range c.parts {
			failed := err
			if failed == nil {
				failed = l.settle(t, one, at, replies[i])
			}
			switch {
			case failed == nil:
			case redislink.MayRetry(failed):
				refused[one.symbol()] = true // later quotes must not overtake these
				again, reason = append(again, one.pending...), failed
			case redislink.Code(failed) != "" || errors.Is(failed, errBadReply):
				one.fail(redislink.Unavailable("not published", failed))
			default:
				one.fail(fmt.Errorf("%w: %w: the connection failed while quotes were in flight: %w", redislink.ErrUnavailable, ErrOutcomeUnknown, failed))
			}
		}
	}
	if noScript {
		if err := publishScript.Load(ctx, t.over.client).Err(); err != nil {
			reason = err
		}
	}
	return again, reason
}

// inOrder returns the quotes of again that no later quote of the same symbol has overtaken. again
// is a subsequence of quotes. It fails all others: sent again they would be numbered after quotes
// that followed them.
func inOrder(quotes, again []pending) []pending {
	if len(again) == 0 || len(again) == len(quotes) {
		return again
	}
	var kept []pending
	passed := map[feed.Symbol]bool{}
	for i, k := len(quotes)-1, len(again)-1; i >= 0; i-- {
		e := quotes[i]
		if k < 0 || again[k] != e {
			passed[e.quote().Symbol] = true
			continue
		}
		k--
		if passed[e.quote().Symbol] {
			e.job.fail(fmt.Errorf("%w: not published: later quotes of %s were", redislink.ErrUnavailable, e.quote().Symbol))
			continue
		}
		kept = append(kept, e)
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	return kept
}

// settle stores the outcomes of a part of a trip in its jobs.
func (l *lane) settle(t *trip, of *part, at int64, reply any) error {
	answers, err := l.rules.readAnswers(of.quotes, at, reply)
	if err != nil {
		return err
	}
	var last Outcome // of the accepted quotes
	for i, a := range answers {
		e := of.pending[i]
		if a.err != nil {
			e.job.fail(redislink.Unavailable("not published", a.err))
			continue
		}
		e.job.outcomes[e.i] = a.Outcome
		if a.Rejection != nil {
			continue
		}
		if a.Seq > 0 {
			last = a.Outcome
		}
		if a.Seq == 1 {
			l.begun(of.symbol(), last)
		}
		if l.cfg.Replicated {
			l.wrote(t, e)
		}
	}
	if last.Seq > 0 {
		l.numbers.saw(of.symbol(), last)
	}
	return nil
}

// fail records why quotes of the job have no outcome. The first cause stays, except that an unknown
// outcome outweighs a known failure.
func (j *publishJob) fail(err error) {
	if j.err == nil || errors.Is(err, ErrOutcomeUnknown) && !errors.Is(j.err, ErrOutcomeUnknown) {
		j.err = err
	}
}
