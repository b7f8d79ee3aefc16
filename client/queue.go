package client

import (
	"context"
	"sync"
)

// An item waits for a subscriber: a quote and the gap before it, a candle, or only an error.
type item struct {
	quote  Quote
	gap    *GapError
	candle Candle
	err    error
}

// A queue holds quotes and gaps that wait for one subscriber.
//
// With All it holds so many quotes as the mode allows, and push waits for room. With Latest a newer
// quote replaces the waiting one of its symbol, so that it holds one per symbol. A running candle is
// replaced too, and candles that have closed are kept, as many as the mode allows. Beside these it
// holds at most one error per name of the subscription.
type queue struct {
	mode  Mode
	ready chan struct{} // something waits, or the end; has room for one
	room  chan struct{} // something was read; has room for one

	mu      sync.Mutex // guards what follows
	items   []*item
	pending map[string]*item // by symbol, with Latest and of running candles
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
	return q.enter(ctx, func() { q.add(quote, gap) })
}

// pushCandle adds a candle, and waits while the queue is full.
func (q *queue) pushCandle(ctx context.Context, c Candle) {
	q.enter(ctx, func() { q.addCandle(c) })
}

// enter calls add once there is room. It returns false if ctx has ended.
func (q *queue) enter(ctx context.Context, add func()) bool {
	for {
		q.mu.Lock()
		full := q.mode.queue > 0 && len(q.items) >= q.mode.queue && !q.dropped
		if !full {
			add()
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

// addCandle adds a candle. The caller holds mu.
func (q *queue) addCandle(c Candle) {
	if q.dropped || q.end != nil {
		return
	}
	i := q.pending[c.Symbol]
	if i == nil {
		i = &item{}
		q.items = append(q.items, i)
		q.pending[c.Symbol] = i
	}
	if i.candle = c; !c.Data.Open {
		delete(q.pending, c.Symbol) // nothing replaces it
	}
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

// pop returns the next item, or its error. It waits until ctx ends.
func (q *queue) pop(ctx context.Context) (item, error) {
	for {
		q.mu.Lock()
		next, err, ok := q.take()
		q.mu.Unlock()
		if ok {
			signal(q.room)
			signal(q.ready) // there may be more, for another caller
			return next, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return item{}, ctx.Err()
		}
	}
}

// take takes the first item, or the gap before it. The caller holds mu.
func (q *queue) take() (next item, err error, ok bool) {
	if len(q.items) == 0 {
		return item{}, q.end, q.end != nil
	}
	first := q.items[0]
	if gap := first.gap; gap != nil {
		first.gap = nil
		return item{}, gap, true
	}
	q.items[0] = nil
	q.items = q.items[1:]
	for _, symbol := range []string{first.quote.Symbol, first.candle.Symbol} {
		if symbol != "" && q.pending[symbol] == first {
			delete(q.pending, symbol)
		}
	}
	return *first, first.err, true
}
