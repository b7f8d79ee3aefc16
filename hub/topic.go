package hub

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A tick is one quote to be sent. It is immutable and shared by all clients.
type tick struct {
	epoch *string // interned per topic, so that equal epochs usually are equal pointers
	seq   uint64
	at    int64  // acceptance, Unix µs
	body  []byte // the quote's JSON object without the closing brace
	frame []byte // an update message with this quote alone, in the first framing

	others [maxFramings - 1]atomic.Pointer[[]byte] // the same in the other framings, built on first use

	number int32                     // of its topic, from 1
	base   []byte                    // body of the quote with the number before, nil if it is not known
	binary atomic.Pointer[codedTick] // built on first use
}

// framed returns the tick's frame in framing i, for clients that have the quote just before.
func (t *tick) framed(framings []Framing, i uint8) []byte {
	if i == 0 {
		return t.frame
	}
	if p := t.others[i-1].Load(); p != nil {
		return *p
	}
	var p []byte
	if f, ok := framings[i].(BinaryFraming); ok {
		p = f.AppendBinary(nil, protocol.AppendTick(nil, t.coded().next(), protocol.Extra{}))
	} else {
		p = framings[i].AppendMessage(nil, t.appendMessage(nil))
	}
	t.others[i-1].Store(&p) // two shards may both build it, with the same bytes
	return p
}

// appendMessage appends the update message that frame contains.
func (t *tick) appendMessage(dst []byte) []byte {
	dst = append(append(dst, protocol.UpdateHead...), t.body...)
	return append(append(dst, '}'), protocol.QuotesEnd...)
}

// newTick returns a tick of the topic with a number. before is the one before it, or nil.
func newTick(f Framing, number int32, before *tick, epoch *string, seq uint64, body []byte, at int64) *tick {
	t := &tick{epoch: epoch, seq: seq, at: at, body: body, number: number}
	if before != nil && before.seq+1 == seq && *before.epoch == *epoch {
		t.base = before.body
	}
	payload := t.appendMessage(make([]byte, 0, len(protocol.UpdateHead)+len(body)+len(protocol.QuotesEnd)+1))
	t.body = payload[len(protocol.UpdateHead) : len(protocol.UpdateHead)+len(body)]
	t.frame = f.AppendMessage(make([]byte, 0, len(payload)+16), payload)
	return t
}

// A jump is the position of a topic's last tick whose price jumped; the zero value means none.
type jump struct {
	epoch *string
	seq   uint64
}

// between reports whether the jump came after number seq of t's epoch and before t. If so, it was
// conflated into t.
func (j jump) between(seq uint64, t *tick) bool {
	return j.epoch != nil && *j.epoch == *t.epoch && seq < j.seq && j.seq < t.seq
}

type statusChange struct {
	status string
	source string // sent if not empty
	since  time.Time
}

// A topic has one shardTopic per shard, so that shards share nothing.
type topic struct {
	name    string
	inShard []*shardTopic      // by index of the shard
	listed  atomic.Bool        // wildcards match it
	number  int32              // from 1; fx.v1.pb has it instead of the name
	newest  *tick              // owned by the goroutine that publishes the topic
	series  map[string]*series // by name, those that have had watchers; guarded by Hub.mu

	listeners atomic.Int32 // shards with uses
}

// intern returns the topic's own copy of an epoch.
func (t *topic) intern(epoch string) *string {
	if t.newest == nil || *t.newest.epoch != epoch {
		own := strings.Clone(epoch)
		return &own
	}
	return t.newest.epoch
}

// newTopic returns a topic for all shards. It is followed from the start unless the hub reports
// interest.
func newTopic(name string, number int, h *Hub) *topic {
	t := &topic{name: name, number: int32(number) + 1}
	for _, s := range h.shards {
		t.inShard = append(t.inShard, &shardTopic{name: name, number: int32(number), topic: t, shard: s,
			status: statusChange{status: protocol.StatusUnknown}, followed: h.cfg.Interest == nil})
	}
	return t
}

// list sets whether wildcards match the topic. A topic that only clients have named stays invisible
// to wildcards and costs other clients nothing.
func (t *topic) list(listed bool) {
	if t.listed.Load() == listed || !t.listed.CompareAndSwap(!listed, listed) {
		return
	}
	for _, p := range t.inShard {
		if listed {
			p.shard.do(func() { p.shard.expand(p) })
		} else {
			p.shard.do(func() { p.shard.contract(p) })
		}
	}
}

func (h *Hub) topic(name string) *topic {
	h.mu.RLock()
	t := h.topics[name]
	h.mu.RUnlock()
	if t != nil {
		return t
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if t = h.topics[name]; t == nil {
		t = newTopic(name, len(h.topics), h)
		h.topics[name] = t
		for _, p := range t.inShard {
			p.shard.do(func() { p.shard.adopt(p) })
		}
	}
	return t
}
