package hub

import (
	"strings"
	"sync/atomic"
	"time"
)

// A tick is one quote on its way out. It is immutable and shared by all clients.
type tick struct {
	epoch string
	seq   uint64
	at    int64  // acceptance, Unix µs
	body  []byte // the quote's JSON object without the closing brace
	frame []byte // a whole update message with just this quote

	packed atomic.Pointer[[]byte] // frame compressed, made when the first client wants it
}

// packedFrame is frame for clients that take compressed messages.
func (t *tick) packedFrame(f Framing) []byte {
	if p := t.packed.Load(); p != nil {
		return *p
	}
	message := append(append(append([]byte(updateHead), t.body...), '}'), tail...)
	p := f.AppendPacked(nil, message)
	t.packed.Store(&p) // two shards may both make it: the same bytes
	return p
}

func newTick(f Framing, epoch string, seq uint64, body []byte, at int64) *tick {
	payload := make([]byte, 0, len(updateHead)+len(body)+len(tail)+1)
	payload = append(payload, updateHead...)
	payload = append(payload, body...)
	payload = append(payload, '}')
	payload = append(payload, tail...)
	return &tick{
		epoch: epoch, seq: seq, at: at,
		body:  payload[len(updateHead) : len(updateHead)+len(body)],
		frame: f.AppendMessage(make([]byte, 0, len(payload)+16), payload),
	}
}

type statusChange struct {
	status string
	since  time.Time
}

const (
	statusLive    = "live"
	statusUnknown = "unknown" // until told otherwise
)

// A topic has one part per shard, so that shards share nothing.
type topic struct {
	name   string
	parts  []*part
	quoted atomic.Bool // the feed has spoken of it
}

func newTopic(name string, shards []*shard) *topic {
	t := &topic{name: name}
	for _, s := range shards {
		t.parts = append(t.parts, &part{name: name, shard: s, status: statusChange{status: statusUnknown}})
	}
	return t
}

// A part is what one shard knows of a topic.
type part struct {
	// Static after construction.
	name  string
	shard *shard

	// Guarded by shard.mail.mu.
	next       *tick         // newest that the shard has not collected; replaces an older one
	nextStatus *statusChange // likewise
	dropped    bool          // last is to be forgotten before next is applied
	queued     bool          // stands in shard.mail.changed
	wanted     bool          // has subscriptions: the shard is woken for it

	// Owned by shard.run.
	last     *tick
	expanded bool // wildcards match it
	status   statusChange
	subs     []*subscription
	turn     int // where the next fan-out starts, so that no client is always last
}

// halves returns the two wildcards that match an exact topic, "EUR/*" and "*/USD".
func halves(name string) (base, quote string) {
	b, q, _ := strings.Cut(name, "/")
	return b + "/*", "*/" + q
}

// IsWildcard reports whether a pattern is "*", "EUR/*" or "*/USD" and so stands
// for topics that may not exist yet.
func IsWildcard(pattern string) bool { return strings.Contains(pattern, "*") }

// A subscription is one topic for one client; owned by shard.run. A wildcard has
// one for each topic it matches.
type subscription struct {
	client   *Client
	part     *part
	place    int           // index in part.subs
	interval time.Duration // least time between two updates; 0: every tick

	pending *tick // not yet sent; a newer tick replaces it
	// What is due besides: the topic's status, a snapshot instead of an update.
	tellStatus, snapshot bool
	queued               bool          // stands in client.pending
	waiting              bool          // stands in the wheel
	slot                 uint16        // where, while it waits
	dead                 bool          // removed; whoever still holds it skips it
	due                  time.Duration // earliest time of the next update, on the hub's clock
	next                 *subscription // in the wheel's slot

	// What the client has: the last quote sent.
	epoch string
	seq   uint64
}

// plain reports whether t can go out as the frame all clients share.
func (s *subscription) plain(t *tick) bool {
	return t.seq == s.seq+1 && t.epoch == s.epoch && !s.snapshot && !s.tellStatus && s.part.status.status == statusLive
}
