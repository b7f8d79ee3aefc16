package client

import (
	"context"
	"sync"
)

// An item waits for a subscriber: a quote, the gap before it, or only an error.
type item struct {
	quote Quote
	gap   *GapError
	err   error
}

// A queue holds what waits for one subscriber.
//
// With All it holds so many quotes as the mode allows, and push waits for room. With Latest a newer
// quote replaces the waiting one of its symbol, so that it holds one per symbol. Beside quotes it
// holds at most one error per name of the subscription.
type queue struct {
	mode  Mode
	ready chan struct{} // something waits, or the end; has room for one
	room  chan struct{} // something was read; has room for one

	mu      sync.Mutex // guards what follows
	items   []*item
	pending map[string]*item // by symbol, with Latest
	dropped bool             // by Close of the subscription
	end     error            // returned after the last item
}

func newQueue(mode Mode) *queue {
	return &queue{mode: mode, ready: make(chan struct{}, 1), room: make(chan struct{}, 1), pending: map[string]*item{}}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// push adds a quote, and waits while the queue is full. It returns false if ctx has ended.
func (q *queue) push(ctx context.Context, quote Quote, gap *GapError) bool {
	for {
		q.mu.Lock()
		full := q.mode.all && len(q.items) >= q.mode.queue && !q.dropped
		if !full {
			q.add(quote, gap)
			q.mu.Unlock()
			signal(q.ready)
			return true
		}
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-ctx.Done():
			return false
		}
	}
}

// add adds a quote. The caller holds mu.
func (q *queue) add(quote Quote, gap *GapError) {
	if q.dropped || q.end != nil {
		return
	}
	old := q.pending[quote.Symbol]
	if old == nil {
		i := &item{quote: quote, gap: gap}
		q.items = append(q.items, i)
		if !q.mode.all {
			q.pending[quote.Symbol] = i
		}
		return
	}
	if quote.Epoch == old.quote.Epoch {
		quote.Skipped += old.quote.Skipped + 1
	}
	quote.Gap = quote.Gap || old.quote.Gap
	if old.gap != nil && gap != nil {
		gap.Missing += old.gap.Missing
		gap.After = old.gap.After
	} else if gap == nil && old.gap != nil {
		gap = old.gap
		gap.Before = Position{Epoch: quote.Epoch, Seq: quote.Seq}
	}
	old.quote, old.gap = quote, gap
}

// fail adds an error.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dropped && q.end == nil {
		q.items = append(q.items, &item{err: err})
		signal(q.ready)
	}
}

// finish sets the error that is returned after the last item.
func (q *queue) finish(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.end == nil {
		q.end = err
	}
	signal(q.ready)
	signal(q.room)
}

// drop forgets all items, and refuses more.
func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.dropped, q.end = nil, true, ErrClosed
	clear(q.pending)
	signal(q.ready)
	signal(q.room)
}

// pop returns the next quote or error. It waits until ctx ends.
func (q *queue) pop(ctx context.Context) (Quote, error) {
	for {
		q.mu.Lock()
		quote, err, ok := q.take()
		q.mu.Unlock()
		if ok {
			signal(q.room)
			signal(q.ready) // there may be more, for another caller
			return quote, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Quote{}, ctx.Err()
		}
	}
}

// take takes the first item, or the gap before it. The caller holds mu.
func (q *queue) take() (quote Quote, err error, ok bool) {
	if len(q.items) == 0 {
		return Quote{}, q.end, q.end != nil
	}
	first := q.items[0]
	if gap := first.gap; gap != nil {
		first.gap = nil
		return Quote{}, gap, true
	}
	q.items[0] = nil
	q.items = q.items[1:]
	if first.err == nil && q.pending[first.quote.Symbol] == first {
		delete(q.pending, first.quote.Symbol)
	}
	return first.quote, first.err, true
}
