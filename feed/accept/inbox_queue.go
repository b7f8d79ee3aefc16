package accept

import (
	"context"
	"sync"

	"github.com/fxcast/fxcast/feed"
)

// maxInboxQueue bounds the quotes of the inbox that wait to be published. One message may hold
// MaxInputItems, and they arrive faster than they can be published.
const maxInboxQueue = 16384

// inboxQuote is a quote of the inbox with the beginning of its input.
type inboxQuote struct {
	quote feed.Quote
	input []byte
}

// inboxQueue is a bounded queue. When it is full it drops the oldest quote, since the newest price
// matters most. It is safe for concurrent use.
type inboxQueue struct {
	wake chan struct{} // holds a token after a quote was put

	mu    sync.Mutex   // guards the fields below
	ring  []inboxQuote // nil before the first quote
	first int
	count int
}

func newInboxQueue() *inboxQueue {
	return &inboxQueue{wake: make(chan struct{}, 1)}
}

// put appends e. If the queue was full, it returns the dropped oldest quote and true.
func (q *inboxQueue) put(e inboxQuote) (lost inboxQuote, full bool) {
	q.mu.Lock()
	if q.ring == nil {
		q.ring = make([]inboxQuote, maxInboxQueue)
	}
	if full = q.count == len(q.ring); full {
		lost = q.ring[q.first]
		q.first = (q.first + 1) % len(q.ring)
		q.count--
	}
	q.ring[(q.first+q.count)%len(q.ring)] = e
	q.count++
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return lost, full
}

// take moves up to maxPipeline quotes to dst. It waits for the first quote until ctx ends.
func (q *inboxQueue) take(ctx context.Context, dst []inboxQuote) []inboxQuote {
	for {
		q.mu.Lock()
		for q.count > 0 && len(dst) < maxPipeline {
			dst = append(dst, q.ring[q.first])
			q.ring[q.first] = inboxQuote{}
			q.first = (q.first + 1) % len(q.ring)
			q.count--
		}
		q.mu.Unlock()
		if len(dst) > 0 {
			return dst
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return dst
		}
	}
}

// discard empties the queue and returns how many quotes it held.
func (q *inboxQueue) discard() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.count
	clear(q.ring)
	q.first, q.count = 0, 0
	return n
}
