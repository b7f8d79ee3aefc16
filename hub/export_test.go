package hub

import (
	"time"
	"unsafe"

	"github.com/fxcast/fxcast/protocol"
)

// Post queues a message as Send does, but waits for nothing: for use inside Conn.Write.
func (c *Client) Post(message []byte) { c.shard.do(func() { c.reply(message) }) }

// Pending returns how many of a client's subscriptions are pending; it asks the shard.
func (c *Client) Pending() int {
	n := make(chan int, 1)
	c.shard.do(func() { n <- c.pending.count() })
	return <-n
}

// Known returns how many clients and queued writes the shards hold.
func (h *Hub) Known() (clients, dirty int) {
	for _, s := range h.shards {
		n := make(chan [2]int, 1)
		s.do(func() { n <- [2]int{len(s.clients), len(s.dirty)} })
		got := <-n
		clients, dirty = clients+got[0], dirty+got[1]
	}
	return clients, dirty
}

// Subscriptions returns how many subscriptions there are, with wildcards expanded.
func (h *Hub) Subscriptions() (n int64) {
	for _, s := range h.shards {
		n += s.stats.subscriptions.Load()
	}
	return n
}

// Disconnects returns how many clients the hub disconnected for a lost connection, a stall, silence
// and a panic.
func (h *Hub) Disconnects() (lost, stalled, silent, panicked uint64) {
	for _, s := range h.shards {
		lost += s.stats.disconnects[protocol.CloseLost.Label].Load()
		stalled += s.stats.disconnects[protocol.CloseStalled.Label].Load()
		silent += s.stats.disconnects[protocol.CloseSilent.Label].Load()
		panicked += s.stats.disconnects[protocol.ClosePanic.Label].Load()
	}
	return lost, stalled, silent, panicked
}

// MinFinals is the number of closed candles that may wait for a client with few series.
const MinFinals = minFinals

// A Wheel is a wheel whose entries have names.
type Wheel struct {
	w   wheel
	all []*alarm
	ids map[*alarm]int
}

// Add adds an entry.
func (w *Wheel) Add(due time.Duration) {
	if w.ids == nil {
		w.ids = make(map[*alarm]int)
	}
	s := &alarm{due: due}
	w.ids[s] = len(w.all)
	w.all = append(w.all, s)
	w.w.add(s)
}

// Fire returns the entries due by now, as their ringers see them; entries that fire early are added
// again.
func (w *Wheel) Fire(now time.Duration) (fired []int) {
	w.w.fire(now, func(s *alarm) {
		if s.due > now {
			w.w.add(s)
			return
		}
		fired = append(fired, w.ids[s])
	})
	return fired
}

// Wait calls wheel.wait.
func (w *Wheel) Wait(now time.Duration) (time.Duration, bool) { return w.w.wait(now) }

// MarkSize is the size of a mark in bytes.
const MarkSize = unsafe.Sizeof(mark{})

// Bucket returns the index of the histogram bucket of a value.
var Bucket = bucket
