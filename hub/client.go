package hub

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Settings apply to the patterns of one Subscribe call.
type Settings struct {
	// MaxRate limits the updates per second and topic; 0 means no limit.
	MaxRate float64
	// All requests every tick instead of the newest one and disables MaxRate. A client that is too
	// slow for it is closed with protocol.CloseSlow.
	All bool
	// Reset marks the snapshots of a subscription with All: ticks before them may have been missed.
	Reset bool
	// Hold lists topics for which nothing is sent, not even a snapshot, before Resume is called.
	// Resume must be called for each of them. Hold is ignored without All.
	Hold []string
}

// A Client is one joined connection. Its methods are safe for concurrent use.
//
// Commands (Subscribe, Unsubscribe, WatchCandles, UnwatchCandles, WatchDay, UnwatchDay,
// SubscribeChannels, UnsubscribeChannels, Send) run on the client's shard, in the order of one
// goroutine's calls. Each returns once it has been carried out. While more than 32 KiB of replies
// are unwritten, it waits for them to be written. So a caller that reads commands from a connection
// stops reading from a client that does not read its replies.
type Client struct {
	// Owned by shard.run; shard and conn are static. The fields that each tick touches come first: they
	// are the first two of three cache lines.
	shard    *shard
	conn     Conn
	audience *audience // nil before it has joined and after it has left
	marks    []mark    // by index in audience.subs
	extras   *extras   // nil for a client with nothing but quotes
	pending  bitset    // indexes of the subscriptions that may have quotes to write

	dirty      bool // is in shard.dirty
	blocked    bool // its connection takes nothing until Ready
	gone       bool
	linkDue    bool // the link's status is due
	statusDue  bool // so are statuses of topics
	beat, ping bool // a heartbeat or a ping is due
	positions  bool // its batches carry positions
	framing    uint8

	place int32 // index in shard.clients, -1 before and after
	seat  int32 // index in audience.clients
	turn  int32 // the pending subscription that is written first

	written time.Duration // when it was last written to
	words   [4]uint64     // memory of pending for up to 256 subscriptions

	interval time.Duration // the least time between two of its running candles of one series
	skipped  uint64        // quotes reported to it as skipped
	pinged   time.Duration

	left  atomic.Bool
	alive atomic.Int64 // when the peer last answered, ns of the hub's clock
}

// extras holds what only few clients need at a time.
type extras struct {
	replies    [][]byte
	replied    int             // bytes of replies
	waiters    []chan struct{} // one per command that waits for the replies to be written
	channels   []string
	relays     []relayed
	relayDrops int
	missed     []*missed // own queues of topics that were resumed
	watching   *watching // nil: no series
}

// relayed is a message of a relayed channel that waits for a client.
type relayed struct {
	channel string
	data    []byte
}

func newClient(s *shard, conn Conn, o JoinOptions) *Client {
	c := &Client{shard: s, conn: conn, framing: uint8(o.Framing), positions: o.Positions, interval: interval(o.MaxRate), place: -1}
	c.alive.Store(int64(s.now()))
	return c
}

// interval returns the time between two quotes at a rate, 0 for every quote.
func interval(maxRate float64) time.Duration {
	if maxRate <= 0 {
		return 0
	}
	return time.Duration(min(math.Ceil(float64(time.Second)/maxRate), math.MaxInt64/4))
}

// Subscribe adds patterns (a topic, "*", "EUR/*" or "*/USD") with the settings and answers with
// ack. The ack goes out first, then snapshots, then updates; no tick in between is lost or sent
// twice.
//
// If several patterns match a topic, the exact one applies, else the narrower wildcard, else the
// one added last. Subscribing to a pattern again replaces its settings and sends a snapshot.
func (c *Client) Subscribe(patterns []string, settings Settings, ack []byte) {
	interval := interval(settings.MaxRate)
	h := c.shard.hub
	for _, p := range patterns {
		if !IsWildcard(p) {
			h.topic(p) // so that the shard knows it before the command runs
		}
	}
	if settings.All {
		interval = 0
	}
	named := make(map[string]bool, len(patterns))
	for _, p := range patterns {
		named[p] = true
	}
	c.command(ack, func(s *shard) {
		for p := range named {
			for _, topic := range s.matching(p) {
				s.take(topic, s.now()) // the snapshot includes what has been published by now
			}
		}
		s.spread()
		if c.gone {
			return
		}
		s.move(c, c.audience.filters.with(patterns, interval, settings.All), c.audience.rhythm())
		if c.gone {
			return
		}
		for _, sub := range c.audience.subs {
			switch {
			case !named[sub.filter.pattern]:
			case sub.all && slices.Contains(settings.Hold, sub.topic.name):
				c.hold(sub)
			default:
				c.snapshot(sub, !IsWildcard(sub.filter.pattern))
				if m := &c.marks[sub.index]; settings.Reset && sub.all && m.stage == fresh {
					m.stage = reset
				}
			}
		}
	})
}

// Unsubscribe removes exactly these patterns and answers with ack. A topic that another pattern
// still matches continues with that pattern's settings.
func (c *Client) Unsubscribe(patterns []string, ack []byte) {
	c.command(ack, func(s *shard) { s.move(c, c.audience.filters.without(patterns), c.audience.rhythm()) })
}

// snapshot makes the topic's last value due. If there is none and unknown is set, the status is due
// instead. If the topic is not followed yet, the snapshot waits until it is.
func (c *Client) snapshot(sub *subscription, unknown bool) {
	s, p, m := c.shard, sub.topic, &c.marks[sub.index]
	c.forgetMissed(p)
	switch {
	case p.value() != nil:
		m.before(p.value())
		m.stage = fresh
		c.pending.add(int(sub.index))
		s.wantWrite(c)
	case !p.followed:
		*m = mark{stage: fresh, statusDue: m.statusDue}
		c.pending.remove(int(sub.index))
	default:
		if m.stage == held || m.stage == resumed {
			p.begin(m)
		}
		if unknown {
			s.owe(c, m)
		}
	}
}

// SubscribeChannels adds relayed channels and answers with ack.
func (c *Client) SubscribeChannels(names []string, ack []byte) {
	c.command(ack, func(s *shard) {
		x := c.extra()
		for _, n := range names {
			if !slices.Contains(x.channels, n) {
				x.channels = append(x.channels, n)
				s.channels[n] = append(s.channels[n], c)
			}
		}
	})
}

// UnsubscribeChannels removes relayed channels with their waiting messages and answers with ack.
func (c *Client) UnsubscribeChannels(names []string, ack []byte) {
	c.command(ack, func(s *shard) {
		x := c.extra()
		for _, n := range names {
			x.channels = without(x.channels, n)
			s.channels[n] = without(s.channels[n], c)
			x.relays = slices.DeleteFunc(x.relays, func(m relayed) bool { return m.channel == n })
		}
	})
}

// Send queues one message, such as an error or a pong. It keeps the message.
func (c *Client) Send(message []byte) { c.command(message, func(*shard) {}) }

// command queues the reply, runs f on the shard and waits for both.
func (c *Client) command(reply []byte, f func(*shard)) {
	s := c.shard
	done := make(chan struct{})
	s.do(func() {
		if !c.gone {
			c.reply(reply)
			f(s)
		}
		if x := c.extras; x != nil && x.replied > replyBytes {
			x.waiters = append(x.waiters, done)
			return
		}
		close(done)
	})
	select {
	case <-done: // at the latest when the client ends, which the write timeout ensures
	case <-s.hub.done:
	}
}

func (c *Client) reply(message []byte) {
	if len(message) == 0 {
		return
	}
	x := c.extra()
	x.replies = append(x.replies, message)
	x.replied += len(message)
	c.shard.wantWrite(c)
}

func (c *Client) extra() *extras {
	if c.extras == nil {
		c.extras = new(extras)
	}
	return c.extras
}

// release lets commands continue that wait for the replies to be written.
func (x *extras) release() {
	x.replied = 0
	for _, done := range x.waiters {
		close(done)
	}
	x.waiters = nil
}

// Alive records that the peer is alive, as a pong or a message shows.
func (c *Client) Alive() { c.alive.Store(int64(c.shard.now())) }

// Silence returns how long the peer has shown no sign of life. The hub closes the connection after
// three times Config.Ping.
func (c *Client) Silence() time.Duration { return c.shard.now() - time.Duration(c.alive.Load()) }

// Ready resumes writing. The connection calls it when it has written everything it had taken.
func (c *Client) Ready() {
	s := c.shard
	s.mail.mu.Lock()
	s.mail.ready = append(s.mail.ready, c)
	s.post()
}

// Close removes the client from the hub and closes its connection. Calls after the first have no
// effect.
func (c *Client) Close(why protocol.Close) {
	s := c.shard
	s.do(func() { s.end(c, why) })
}

// CloseAfter sends a message that advises when to reconnect, and then closes the client.
func (c *Client) CloseAfter(why protocol.Close, reconnect time.Duration) {
	s := c.shard
	s.do(func() {
		if c.gone {
			return
		}
		s.serve(c)
		c.reply(protocol.Closing{Code: why.Code, Reason: why.Reason, ReconnectAfterMS: reconnect.Milliseconds()}.Append(nil))
		s.end(c, why)
	})
}

// CloseRestart closes the client of a node that shuts down; see CloseAfter.
func (c *Client) CloseRestart(reconnect time.Duration) {
	c.CloseAfter(protocol.CloseRestart, reconnect)
}

// Leave removes a client whose connection ends. It returns when the hub no longer uses the
// connection, with the framed replies that the connection has not taken yet. Calls after the first
// have no effect.
func (c *Client) Leave() (replies []byte) {
	if c.left.Swap(true) {
		return nil
	}
	s := c.shard
	left := make(chan []byte, 1)
	s.do(func() {
		unwritten := s.unwritten(c)
		s.remove(c)
		left <- unwritten
	})
	select {
	case replies = <-left:
	case <-s.hub.done:
	}
	s.size.Add(-1)
	return replies
}
