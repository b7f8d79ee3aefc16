package hub

import (
	"time"
	"unsafe"

	"github.com/fxcast/fxcast/protocol"
)

// Post queues a message as Send does, but waits for nothing: for use inside Conn.Write.
func (c *Client) Post(message []byte) { c.shard.do(func() { c.reply(message) }) }

// Pending is how many subscriptions stand in a client's outbox; it asks the shard.
func (c *Client) Pending() int {
	n := make(chan int, 1)
	c.shard.do(func() { n <- len(c.pending) })
	return <-n
}

// Known is how many clients and queued writes the shards hold.
func (h *Hub) Known() (clients, dirty int) {
	for _, s := range h.shards {
		n := make(chan [2]int, 1)
		s.do(func() { n <- [2]int{len(s.clients), len(s.dirty)} })
		got := <-n
		clients, dirty = clients+got[0], dirty+got[1]
	}
	return clients, dirty
}

// Subscriptions is how many subscriptions there are, wildcards expanded.
func (h *Hub) Subscriptions() (n int64) {
	for _, s := range h.shards {
		n += s.stats.subscriptions.Load()
	}
	return n
}

// Ended is how many clients were ended for a lost connection, stall, silence, panic.
func (h *Hub) Ended() (lost, stalled, silent, panicked uint64) {
	for _, s := range h.shards {
		lost += s.stats.ended[protocol.CloseLost.Label].Load()
		stalled += s.stats.ended[protocol.CloseStalled.Label].Load()
		silent += s.stats.ended[protocol.CloseSilent.Label].Load()
		panicked += s.stats.ended[protocol.ClosePanic.Label].Load()
	}
	return lost, stalled, silent, panicked
}

// A Wheel is the wheel with names for its entries.
type Wheel struct {
	w   wheel
	all []*pace
	ids map[*pace]int
}

// Add puts a new entry in.
func (w *Wheel) Add(due time.Duration) {
	if w.ids == nil {
		w.ids = make(map[*pace]int)
	}
	s := &pace{due: due}
	w.ids[s] = len(w.all)
	w.all = append(w.all, s)
	w.w.add(s)
}

// Fire returns the entries due by now as release sees them: what fires early is
// put back.
func (w *Wheel) Fire(now time.Duration) (fired []int) {
	w.w.fire(now, func(s *pace) {
		if s.due > now {
			w.w.add(s)
			return
		}
		fired = append(fired, w.ids[s])
	})
	return fired
}

// Wait is wheel.wait.
func (w *Wheel) Wait(now time.Duration) (time.Duration, bool) { return w.w.wait(now) }

// SubscriptionSize is the size of a subscription in bytes.
const SubscriptionSize = unsafe.Sizeof(subscription{})

// Bucket is the index of the histogram bucket of a value.
var Bucket = bucket
