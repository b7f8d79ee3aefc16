package producer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/protocol"
)

// Bounds of an outbox.
const (
	outboxSize     = 10_000 // quotes that wait
	outboxBatch    = 256    // quotes per Publish, which is one round trip
	retryFirst     = 100 * time.Millisecond
	retryMost      = 2 * time.Second
	heldWait       = 20 * time.Millisecond // between scans of the quotes that are held back
	flushGrace     = 30 * time.Second      // to publish the rest at the end
	interruptGrace = time.Second           // the same after an interrupt
)

// quotePublisher is *accept.Publisher.
type quotePublisher interface {
	Publish(ctx context.Context, quotes []feed.Quote) ([]accept.Outcome, error)
}

// addFunc adds quotes, which it copies, to an outbox. It may wait. Its error is ctx's.
type addFunc func(ctx context.Context, quotes []feed.Quote) error

// outboxEvents are callbacks of the publishing goroutine, one at a time.
type outboxEvents struct {
	lost     func(err error)                               // Redis stopped accepting some quotes
	back     func(outage)                                  // Redis accepts all quotes again
	rejected func(q feed.Quote, rejection *feed.Rejection) // the first rejection of each reason
}

// outage is a time in which Redis did not accept some quotes, and what became of them.
type outage struct {
	away    time.Duration
	dropped uint64 // by a full outbox, or overtaken by a later quote of their symbol
	unknown uint64 // may have been accepted, and are not sent again
}

// since counts what has become of quotes since the outbox had these counts.
func (o *outbox) since(before tallyCounts, began time.Time) outage {
	now := o.tally.snapshot()
	return outage{
		away:    time.Since(began).Round(time.Millisecond),
		dropped: now.dropped + now.unsent - before.dropped - before.unsent,
		unknown: now.unknown - before.unknown,
	}
}

// outbox queues quotes between their producer and a publisher. A full outbox makes the producer
// wait. With drops it does so only while Redis accepts quotes. During an outage it drops and counts
// the older half of each symbol's quotes, and keeps the newest of every symbol.
//
// A quote that Redis has certainly not executed is published again, in the order of its symbol. One
// that Redis may have executed is counted as unknown and not repeated.
//
// If Redis did not accept a quote, its symbol is held back for a while. The other symbols continue,
// also while it is tried again, because a part of a cluster may be away, or one key may be damaged.
type outbox struct {
	publisher quotePublisher
	tally     *tally
	events    outboxEvents
	drops     bool
	untimed   bool                // publish quotes without their times; they get the time of acceptance
	rejects   *accept.RejectedLog // may be nil
	via       accept.Via          // for rejects

	some, room chan struct{} // hold one token: a change for which the other side may wait

	mu    sync.Mutex // guards the fields below
	queue []feed.Quote
	away  bool      // a symbol is held back
	ended bool      // no further quotes will be added
	left  time.Time // the earliest time of a quote that was counted as unsent; zero if none was

	held map[feed.Symbol]time.Time // until when; owned by send
}

func newOutbox(p quotePublisher, t *tally, events outboxEvents) *outbox {
	return &outbox{
		publisher: p, tally: t, events: events,
		some: make(chan struct{}, 1), room: make(chan struct{}, 1), held: map[feed.Symbol]time.Time{},
	}
}

// run calls produce and publishes the quotes that it adds. It returns when produce has returned and
// all quotes are published, but at most flushGrace later, or interruptGrace after the end of ctx.
// The quotes that are left then count as unsent.
//
//	run
//	* produce    adds quotes             (the caller's goroutine)
//	* send       publishes them in order (1 goroutine, and 1 that tries what was held back)
func (o *outbox) run(ctx context.Context, produce func(ctx context.Context, add addFunc)) {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { o.send(sending) })
	produce(ctx, o.add)
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	wake(o.some)
	timeout := time.AfterFunc(flushGrace, stop)
	defer timeout.Stop()
	defer context.AfterFunc(ctx, func() { timeout.Reset(interruptGrace) })()
	wg.Wait()
}

// send publishes until the outbox has ended and is empty, or ctx ends. Quotes of symbols that were
// held back are tried apart from the others: where a master of a cluster does not answer, a batch
// takes as long as the publisher's patience.
func (o *outbox) send(ctx context.Context) {
	var since time.Time // start of the outage; zero without one
	var before tallyCounts
	retry := retryFirst
	seen := map[feed.Reason]bool{}
	took := func(p published) {
		if since.IsZero() && p.err != nil {
			before = o.tally.snapshot()
		}
		o.putBack(o.settle(p.batch, p.outcomes, p.err, seen))
		if ctx.Err() != nil {
			return
		}
		o.hold(p.batch, p.outcomes, p.err, retry)
		switch {
		case p.err != nil && since.IsZero():
			since = time.Now()
			o.setAway(true)
			o.events.lost(p.err)
		case p.err != nil:
			retry = min(2*retry, retryMost)
		case len(o.held) == 0 && !since.IsZero():
			o.setAway(false)
			o.events.back(o.since(before, since))
			since, retry = time.Time{}, retryFirst
		}
	}

	tried, trying := make(chan published, 1), false
	batch := make([]feed.Quote, 0, outboxBatch)
	for ctx.Err() == nil {
		select {
		case p := <-tried:
			trying = false
			took(p)
		default:
		}
		taken, trial, next, ended := o.take(batch[:0], time.Now(), trying)
		if len(trial) > 0 {
			trying = true
			go func() {
				tried <- o.publish(ctx, trial)
				wake(o.some)
			}()
		}
		switch {
		case len(taken) > 0:
			took(o.publish(ctx, taken))
		case ended && !trying && next.IsZero():
			return
		default:
			o.wait(ctx, next)
		}
	}
	if trying {
		took(<-tried)
	}
	o.leave()
}

// published is the result of publishing a batch.
type published struct {
	batch    []feed.Quote
	outcomes []accept.Outcome
	err      error
}

func (o *outbox) publish(ctx context.Context, batch []feed.Quote) published {
	outcomes, err := o.publisher.Publish(ctx, o.timed(batch))
	return published{batch, outcomes, err}
}

// timed returns a batch with the times to publish.
func (o *outbox) timed(batch []feed.Quote) []feed.Quote {
	if !o.untimed {
		return batch
	}
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Time = time.Time{}
	}
	return batch
}

// shown returns a quote in the form of the list of rejected quotes.
func shown(q feed.Quote) []byte {
	var at string
	if !q.Time.IsZero() {
		at = protocol.FormatTime(q.Time)
	}
	text, _ := json.Marshal(struct { // strings can always be encoded
		Symbol feed.Symbol `json:"symbol"`
		Bid    string      `json:"bid"`
		Ask    string      `json:"ask"`
		Time   string      `json:"ts,omitempty"`
	}{q.Symbol, q.Bid, q.Ask, at})
	return text
}

// wait waits until quotes are added, a trial has ended, the time next comes or ctx ends. A zero next
// never comes.
func (o *outbox) wait(ctx context.Context, next time.Time) {
	if next.IsZero() {
		select {
		case <-o.some:
		case <-ctx.Done():
		}
		return
	}
	due := time.NewTimer(time.Until(next))
	defer due.Stop()
	select {
	case <-o.some: // wait for more quotes, since the next scan goes over all that are held back
		due.Reset(min(heldWait, time.Until(next)))
	case <-due.C:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-due.C:
	case <-ctx.Done():
	}
}

// hold holds back the symbols of batch with a quote that Redis did not accept, and releases the
// others.
func (o *outbox) hold(batch []feed.Quote, outcomes []accept.Outcome, err error, retry time.Duration) {
	for _, q := range batch {
		delete(o.held, q.Symbol)
	}
	if err == nil {
		return
	}
	until := time.Now().Add(retry)
	for i, q := range batch {
		if i >= len(outcomes) || !outcomes[i].Known() {
			o.held[q.Symbol] = until
		}
	}
}

// settle counts the outcomes and returns the quotes to publish again. It gives up a quote if a
// later one of its symbol was accepted.
func (o *outbox) settle(batch []feed.Quote, outcomes []accept.Outcome, err error, seen map[feed.Reason]bool) (left []feed.Quote) {
	var accepted, unreplicated, unknown, overtaken int
	newest := map[feed.Symbol]int{} // index of a symbol's last accepted quote
	for i, out := range outcomes {
		if err != nil && out.Seq > 0 {
			newest[batch[i].Symbol] = i
		}
	}
	for i, q := range batch {
		var out accept.Outcome
		if i < len(outcomes) {
			out = outcomes[i]
		}
		switch {
		case out.Rejection != nil:
			o.tally.rejected(out.Rejection.Reason)
			o.rejects.Add(out.Rejection, q, o.via, shown(q))
			if !seen[out.Rejection.Reason] {
				seen[out.Rejection.Reason] = true
				o.events.rejected(q, out.Rejection)
			}
		case out.Known():
			o.rejects.Accepted(q, o.via)
			accepted++
			if out.Unreplicated {
				unreplicated++
			}
		case err == nil || errors.Is(err, accept.ErrOutcomeUnknown):
			unknown++
		case i < newest[q.Symbol]:
			overtaken++
		default:
			left = append(left, q)
		}
	}
	o.tally.published(accepted, unreplicated, unknown)
	o.tally.unsent(overtaken)
	return left
}
