package accept

import (
	"context"
	"sync"

	"github.com/fxcast/fxcast/feed"
)

// maxInboxQueue is how many quotes of the inbox may wait to be published. One
// message may hold MaxInputItems, which come faster than they can be published.
const maxInboxQueue = 16384

// inboxQuote is a quote of the inbox and the beginning of its message.
type inboxQuote struct {
	quote feed.Quote
	input []byte
}

// inboxQueue is a bounded queue; when it is full the oldest has to go, since
// the newest price matters most.
type inboxQueue struct {
	wake chan struct{} // holds a token when something was put

	mu    sync.Mutex // guards what follows
	ring  []inboxQuote
	first int
	count int
}

func newInboxQueue() *inboxQueue {
	return &inboxQueue{wake: make(chan struct{}, 1), ring: make([]inboxQuote, maxInboxQueue)}
}

// put appends e. If that pushed the oldest out, it returns it and true.
func (q *inboxQueue) put(e inboxQuote) (lost inboxQuote, full bool) {
	q.mu.Lock()
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

// take appends up to maxPipeline quotes to dst; it waits for the first until ctx ends.
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

// discard empties the queue and returns how many there were.
func (q *inboxQueue) discard() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.count
	clear(q.ring)
	q.first, q.count = 0, 0
	return n
}
