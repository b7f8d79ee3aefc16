package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// Bounds of an outbox.
const (
	outboxSize     = 10_000 // quotes that wait
	outboxBatch    = 256    // quotes of one Publish, which is one round trip
	retryFirst     = 100 * time.Millisecond
	retryMost      = 2 * time.Second
	flushGrace     = 30 * time.Second // for what waits when no more comes
	interruptGrace = time.Second      // the same when the user wants it to end
)

// quotePublisher is *feed.Publisher.
type quotePublisher interface {
	Publish(ctx context.Context, quotes []feed.Quote) ([]feed.Outcome, error)
}

// addFunc hands quotes, which it copies, to an outbox. It may wait; its error is
// ctx's.
type addFunc func(ctx context.Context, quotes []feed.Quote) error

// outboxEvents are called by the goroutine that publishes, one at a time.
type outboxEvents struct {
	lost     func(err error)                               // Redis does not take quotes any more
	back     func(away time.Duration, dropped uint64)      // it does again
	rejected func(q feed.Quote, rejection *feed.Rejection) // the first of each reason
}

// outbox holds quotes between their producer and a publisher. A full outbox makes
// the producer wait. If drops is set it does so only while Redis answers: when
// Redis is gone the older half of each symbol's quotes is dropped and counted, so
// that the newest of every symbol stay. What Redis has certainly not executed is
// published again; what it may have is counted as unknown and not repeated.
type outbox struct {
	publisher quotePublisher
	tally     *tally
	events    outboxEvents
	drops     bool

	some, room chan struct{} // of one token: a change that the other side may wait for

	mu    sync.Mutex // guards the fields below
	queue []feed.Quote
	away  bool // the last Publish failed
	ended bool // no more will be added
}

func newOutbox(p quotePublisher, t *tally, events outboxEvents) *outbox {
	return &outbox{
		publisher: p, tally: t, events: events,
		some: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
}

// run calls produce and publishes what it adds. It returns when produce has and
// all is published, or after flushGrace, or interruptGrace after ctx has ended;
// what is then left is counted as unsent.
//
//	run
//	* produce    adds quotes             (the caller's goroutine)
//	* send       publishes them in order (1 goroutine)
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

func (o *outbox) add(ctx context.Context, quotes []feed.Quote) error {
	for {
		o.mu.Lock()
		if o.drops && o.away && len(o.queue)+len(quotes) > outboxSize {
			o.thinLocked()
		}
		n := min(len(quotes), outboxSize-min(len(o.queue), outboxSize))
		o.queue = append(o.queue, quotes[:n]...)
		o.mu.Unlock()
		quotes = quotes[n:]
		if n > 0 {
			wake(o.some)
		}
		if len(quotes) == 0 {
			return nil
		}
		select {
		case <-o.room:
		case <-ctx.Done():
			o.tally.unsent(len(quotes))
			return ctx.Err()
		}
	}
}

// thinLocked drops the older half of each symbol's quotes, but not the newest of a
// symbol unless there are too many symbols. mu is held.
func (o *outbox) thinLocked() {
	drop := map[feed.Symbol]int{}
	for _, q := range o.queue {
		drop[q.Symbol]++
	}
	for s, n := range drop {
		drop[s] = n / 2
	}
	kept := o.queue[:0]
	for _, q := range o.queue {
		if drop[q.Symbol] > 0 {
			drop[q.Symbol]--
			continue
		}
		kept = append(kept, q)
	}
	dropped := len(o.queue) - len(kept)
	if dropped == 0 { // one quote of each of very many symbols
		dropped = len(kept) / 2
		kept = kept[:copy(kept, kept[dropped:])]
	}
	clear(o.queue[len(kept):])
	o.queue = kept
	o.tally.dropped(dropped)
}

// send publishes until the outbox has ended and is empty, or ctx ends.
func (o *outbox) send(ctx context.Context) {
	var since time.Time // of the failure; zero while all is well
	var droppedBefore uint64
	retry := retryFirst
	seen := map[feed.Reason]bool{}
	batch := make([]feed.Quote, 0, outboxBatch)
	for {
		var ended bool
		batch, ended = o.take(batch[:0])
		if len(batch) == 0 {
			if ended {
				return
			}
			select {
			case <-o.some:
				continue
			case <-ctx.Done():
				o.leave()
				return
			}
		}
		outcomes, err := o.publisher.Publish(ctx, batch)
		left := o.settle(batch, outcomes, err, seen)
		if err == nil {
			if !since.IsZero() {
				o.setAway(false)
				o.events.back(time.Since(since).Round(time.Millisecond), o.tally.snapshot().dropped-droppedBefore)
				since, retry = time.Time{}, retryFirst
			}
			continue
		}
		if len(left) > 0 {
			o.putBack(left)
		}
		if ctx.Err() != nil {
			o.leave()
			return
		}
		if since.IsZero() {
			since, droppedBefore = time.Now(), o.tally.snapshot().dropped
			o.setAway(true)
			o.events.lost(err)
		}
		select {
		case <-time.After(retry):
			retry = min(2*retry, retryMost)
		case <-ctx.Done():
			o.leave()
			return
		}
	}
}

// settle counts the outcomes and returns the quotes to publish again.
func (o *outbox) settle(batch []feed.Quote, outcomes []feed.Outcome, err error, seen map[feed.Reason]bool) (left []feed.Quote) {
	var accepted, unknown int
	for i, q := range batch {
		var out feed.Outcome
		if i < len(outcomes) {
			out = outcomes[i]
		}
		switch {
		case out.Rejection != nil:
			o.tally.rejected(out.Rejection.Reason)
			if !seen[out.Rejection.Reason] {
				seen[out.Rejection.Reason] = true
				o.events.rejected(q, out.Rejection)
			}
		case out.Known():
			accepted++
		case err == nil || errors.Is(err, feed.ErrOutcomeUnknown):
			unknown++
		default:
			left = append(left, q)
		}
	}
	o.tally.published(accepted, unknown)
	return left
}

// take moves the oldest quotes into batch.
func (o *outbox) take(batch []feed.Quote) (taken []feed.Quote, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.queue), outboxBatch)
	batch = append(batch, o.queue[:n]...)
	o.queue = o.queue[n:]
	if len(o.queue) == 0 {
		o.queue = nil
	}
	wake(o.room)
	return batch, o.ended
}

// putBack puts quotes before those that wait.
func (o *outbox) putBack(quotes []feed.Quote) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(quotes, o.queue...)
}

// leave counts what waits as unsent.
func (o *outbox) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tally.unsent(len(o.queue))
	o.queue = nil
}

func (o *outbox) setAway(away bool) {
	o.mu.Lock()
	o.away = away
	o.mu.Unlock()
	wake(o.room) // whoever waits for room may now drop instead
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
