package hub

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Settings of a subscription.
type Settings struct {
	// MaxRate is the most updates per second and topic; 0 means no limit.
	MaxRate float64
	// All asks for every tick instead of the newest; MaxRate is ignored then. A
	// client that is too slow for it is closed with protocol.CloseSlow.
	All bool
	// Reset makes the snapshots of All say that ticks may have been missed.
	Reset bool
	// Hold lists topics that get nothing, no snapshot either, before Resume is
	// called for them; it must be. Without All it is ignored.
	Hold []string
}

// A Client is one joined connection. Its methods are safe for concurrent use.
// Commands (Subscribe, Unsubscribe, SubscribeChannels, UnsubscribeChannels, Send) are
// carried out in the order one goroutine gives them. They return when they have been
// carried out, and wait while more than 32 KiB of replies have not been written: so a
// client that asks and does not read is not read from.
type Client struct {
	// Owned by shard.run, but for shard and conn, which are static. What each tick
	// touches stands first.
	shard   *shard
	conn    Conn
	pending []*subscription // have something to be written, first come first served
	extras  *extras         // nil for a client that has and wants quotes only

	dirty      bool // stands in shard.dirty
	blocked    bool // its connection takes nothing now
	gone       bool
	linkDue    bool // the link's status is due
	beat, ping bool // a heartbeat, a ping is due
	positions  bool // its batches have positions
	framing    uint8

	place      int32 // index in shard.clients, -1 before and after
	dead       int32 // of pending: removed since, skipped
	backlogged int32 // ticks in backlogs
	asked      int32 // counts commands, to know the later of two wildcards

	skipped uint64        // quotes that its messages reported as skipped
	written time.Duration // when it was last written to
	pinged  time.Duration
	filters []filter        // sorted by pattern
	subs    []*subscription // sorted by topic

	left  atomic.Bool
	alive atomic.Int64 // hub clock, ns: when the peer last answered
}

// Extras are what only few clients have at a time.
type extras struct {
	replies    [][]byte
	replied    int             // bytes of replies
	waiters    []chan struct{} // commands that wait until the replies have been written
	channels   []string
	relays     []relayed
	relayDrops int
}

// A relayed message waits for a client.
type relayed struct {
	channel string
	data    []byte
}

func newClient(s *shard, conn Conn, o JoinOptions) *Client {
	c := &Client{shard: s, conn: conn, framing: uint8(o.Framing), positions: o.Positions, place: -1}
	c.alive.Store(int64(s.now()))
	return c
}

// Subscribe adds patterns (a topic, "*", "EUR/*", "*/USD") with the settings and
// answers with ack: ack goes out first, then snapshots, then updates, and no tick
// in between is lost or doubled. For a topic that several patterns match, the
// exact one counts, else the narrower wildcard, else the one asked for last.
// Subscribing to a pattern again replaces its settings and sends a snapshot.
func (c *Client) Subscribe(patterns []string, settings Settings, ack []byte) {
	interval := time.Duration(0)
	if settings.MaxRate > 0 {
		interval = time.Duration(min(math.Ceil(float64(time.Second)/settings.MaxRate), math.MaxInt64/4))
	}
	h := c.shard.hub
	for _, p := range patterns {
		if !IsWildcard(p) {
			h.topic(p) // known to the shard before the command is
		}
	}
	all, hold := settings.All, settings.Hold
	if all {
		interval = 0
	}
	c.command(ack, func(s *shard) {
		for _, p := range patterns {
			c.asked++
			again := c.setFilter(filter{p, interval, all, c.asked})
			if IsWildcard(p) && !again {
				s.watchers[p] = append(s.watchers[p], c)
			}
			for _, topic := range s.matching(p) {
				s.take(topic, s.now()) // the snapshot is of what is published by now
				if c.gone {
					return
				}
				sub := c.resolve(topic)
				switch {
				case sub == nil || !c.isMatch(p, topic):
				case all && slices.Contains(hold, topic.name):
					sub.hold()
				default:
					c.snapshot(sub, !IsWildcard(p))
					if sub.backlog != nil {
						sub.backlog.reset = settings.Reset
					}
				}
			}
		}
	})
}

// Unsubscribe removes exactly these patterns; topics that another pattern still
// matches go on with that one's settings.
func (c *Client) Unsubscribe(patterns []string, ack []byte) {
	c.command(ack, func(s *shard) {
		for _, p := range patterns {
			if !c.removeFilter(p) {
				continue
			}
			if IsWildcard(p) {
				s.watchers[p] = without(s.watchers[p], c)
			}
			for _, topic := range s.matching(p) {
				c.resolve(topic)
			}
		}
	})
}

// SubscribeChannels adds relayed channels.
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

// UnsubscribeChannels removes relayed channels.
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

// Send queues one message, such as an error or a pong. It is kept.
func (c *Client) Send(message []byte) { c.command(message, func(*shard) {}) }

// command runs f on the shard after queueing the reply, and waits for it.
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
	case <-done: // at the latest when the client ends, which the write timeout sees to
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

// release lets the commands go on that wait for the replies.
func (x *extras) release() {
	x.replied = 0
	for _, done := range x.waiters {
		close(done)
	}
	x.waiters = nil
}

// Alive notes a sign of life of the peer: a pong or a message.
func (c *Client) Alive() { c.alive.Store(int64(c.shard.now())) }

// Ready is called by the connection when everything it had taken is written.
func (c *Client) Ready() {
	s := c.shard
	s.mail.mu.Lock()
	s.mail.ready = append(s.mail.ready, c)
	s.post()
}

// Close ends the client. The first call counts.
func (c *Client) Close(why protocol.Close) {
	s := c.shard
	s.do(func() { s.end(c, why) })
}

// CloseAfter is Close after a closing message that advises when to come back.
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

// CloseRestart is CloseAfter for a node that goes down.
func (c *Client) CloseRestart(reconnect time.Duration) {
	c.CloseAfter(protocol.CloseRestart, reconnect)
}

// Leave removes the client; the caller's connection has ended. It returns when
// the hub has let go of the connection. Only the first call does something.
func (c *Client) Leave() {
	if c.left.Swap(true) {
		return
	}
	s := c.shard
	left := make(chan struct{})
	s.do(func() {
		s.remove(c)
		close(left)
	})
	select {
	case <-left:
	case <-s.hub.done:
	}
	s.size.Add(-1)
}
