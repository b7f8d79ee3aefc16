package hub

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A tick is one quote on its way out. It is immutable and shared by all clients.
type tick struct {
	epoch *string // the topic's own copy: equal pointers are the usual way to be equal
	seq   uint64
	at    int64  // acceptance, Unix µs
	body  []byte // the quote's JSON object without the closing brace
	frame []byte // a whole update message with just this quote, in the usual framing

	others [maxFramings - 1]atomic.Pointer[[]byte] // the same in the others, made when first wanted
}

// framed is the tick's frame in a framing.
func (t *tick) framed(framings []Framing, i uint8) []byte {
	if i == 0 {
		return t.frame
	}
	if p := t.others[i-1].Load(); p != nil {
		return *p
	}
	p := framings[i].AppendMessage(nil, t.appendMessage(nil))
	t.others[i-1].Store(&p) // two shards may both make it: the same bytes
	return p
}

// appendMessage appends the message that frame frames.
func (t *tick) appendMessage(dst []byte) []byte {
	dst = append(append(dst, protocol.UpdateHead...), t.body...)
	return append(append(dst, '}'), protocol.QuotesEnd...)
}

func newTick(f Framing, epoch *string, seq uint64, body []byte, at int64) *tick {
	t := &tick{epoch: epoch, seq: seq, at: at, body: body}
	payload := t.appendMessage(make([]byte, 0, len(protocol.UpdateHead)+len(body)+len(protocol.QuotesEnd)+1))
	t.body = payload[len(protocol.UpdateHead) : len(protocol.UpdateHead)+len(body)]
	t.frame = f.AppendMessage(make([]byte, 0, len(payload)+16), payload)
	return t
}

// A jump is the last tick of a topic whose price jumped; the zero value is none.
type jump struct {
	epoch *string
	seq   uint64
}

// between reports whether the jump came after the number seq of t's epoch and before
// t: it was conflated into t then.
func (j jump) between(seq uint64, t *tick) bool {
	return j.epoch != nil && *j.epoch == *t.epoch && seq < j.seq && j.seq < t.seq
}

type statusChange struct {
	status string
	source string // told if not empty
	since  time.Time
}

// A topic has one shardTopic per shard, so that shards share nothing.
type topic struct {
	name    string
	inShard []*shardTopic // what each shard knows of it
	quoted  atomic.Bool   // the feed has spoken of it
	epoch   *string       // of the last tick; owned by who publishes the topic

	listeners atomic.Int32 // shards with subscriptions
}

// intern returns the topic's copy of an epoch's name.
func (t *topic) intern(epoch string) *string {
	if t.epoch == nil || *t.epoch != epoch {
		own := strings.Clone(epoch)
		t.epoch = &own
	}
	return t.epoch
}

// newTopic is followed from the start where nobody is told of interest.
func newTopic(name string, number int, h *Hub) *topic {
	t := &topic{name: name}
	for _, s := range h.shards {
		t.inShard = append(t.inShard, &shardTopic{name: name, number: int32(number), topic: t, shard: s,
			status: statusChange{status: protocol.StatusUnknown}, followed: h.cfg.Interest == nil})
	}
	return t
}

// quoted is topic for one that the feed knows: from then on wildcards match it.
// One that was only asked for costs nobody else anything.
func (h *Hub) quoted(name string) *topic {
	t := h.topic(name)
	if !t.quoted.Load() && t.quoted.CompareAndSwap(false, true) {
		for _, p := range t.inShard {
			p.shard.do(func() { p.shard.expand(p) })
		}
	}
	return t
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

// IsWildcard reports whether a pattern is "*", "EUR/*" or "*/USD" and so stands
// for topics that may not exist yet.
func IsWildcard(pattern string) bool { return strings.Contains(pattern, "*") }
