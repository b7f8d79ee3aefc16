package hub

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// serve writes everything pending for a client in one Conn.Write.
func (s *shard) serve(c *Client) {
	c.dirty = false
	if c.gone || c.blocked {
		return
	}
	defer s.caught(c)
	s.framing = c.framing
	s.out, s.positions = s.out[:0], s.positions[:0]
	frames, quotes := s.fill(c)
	if len(frames) == 0 { // everything was removed or is not due yet
		if c.hasPending() {
			s.wantWrite(c)
		}
		return
	}
	// Blocked before the write: the connection may call Ready before Write returns.
	c.blocked = true
	ready, err := c.conn.Write(Batch{frames, s.positions})
	s.stats.writes.n++
	s.stats.quotes.n += uint64(quotes)
	s.stats.bytes.n += uint64(len(frames))
	if quotes > 0 {
		s.stats.joined.observe(float64(quotes))
	}
	if err != nil {
		s.end(c, protocol.CloseLost)
		return
	}
	c.written = s.wall.Sub(s.hub.start)
	if ready {
		c.blocked = false
		if c.hasPending() {
			s.wantWrite(c)
		}
	}
}

// caught recovers from a panic of a client's connection and ends this client alone.
func (s *shard) caught(c *Client) {
	if v := recover(); v != nil {
		s.stats.panics.Add(1)
		s.end(c, protocol.ClosePanic)
	}
}

// fill returns the frames for a client: in the usual case those that all clients share.
func (s *shard) fill(c *Client) (frames []byte, quotes int) {
	if frames, quotes = s.shared(c); quotes > 0 {
		return frames, quotes
	}
	s.fillMessages(c)
	quotes = s.fillQuotes(c)
	return s.out, quotes
}

// shared returns the frames for a client that is up to date and waits for nothing but quotes.
// Clients in step wait for the same quotes: the last joined message is kept and serves them all.
// quotes is 0 if the client needs a message of its own.
func (s *shard) shared(c *Client) (frames []byte, quotes int) {
	if len(c.pending) == 0 || len(c.pending) > batchQuotes || c.hasMessages() || !s.inStep(c) {
		return nil, 0
	}
	for _, sub := range c.pending {
		if b := sub.backlog; b != nil {
			for _, t := range b.ticks {
				s.observe(t, b.resumed)
			}
			sub.seq += uint64(len(b.ticks))
			sub.forget(len(b.ticks))
		} else {
			sub.seq++
			s.observe(sub.pending, sub.due())
			s.sent(sub)
		}
		if c.positions {
			s.reached(sub)
		}
		sub.queued = false
	}
	c.pending = c.pending[:0]
	if len(s.ticks) == 1 {
		return s.ticks[0].framed(s.hub.cfg.Framings, c.framing), 1
	}
	if c.framing != s.joinedFraming || !slices.Equal(s.ticks, s.joined) {
		s.joined, s.joinedFraming = append(s.joined[:0], s.ticks...), c.framing
		p := append(s.payload[:0], protocol.UpdateHead...)
		for i, t := range s.ticks {
			if i > 0 {
				p = append(p, ',')
			}
			p = append(append(p, t.body...), '}')
		}
		s.payload = append(p, protocol.QuotesEnd...)
		s.frame = s.appendFramed(s.frame[:0], s.payload)
	}
	return s.frame, len(s.ticks)
}

// inStep collects all pending ticks of a client into s.ticks. It reports whether each of them is
// due and follows the last one sent.
func (s *shard) inStep(c *Client) bool {
	now := s.wall.Sub(s.hub.start)
	s.ticks = s.ticks[:0]
	for _, sub := range c.pending {
		if sub.dead || !sub.plain() {
			return false
		}
		if b := sub.backlog; b != nil {
			for i, t := range b.ticks {
				if t.seq != sub.seq+1+uint64(i) || !sub.isEpoch(t.epoch) {
					return false
				}
			}
			if b.held || b.first || len(s.ticks)+len(b.ticks) > batchQuotes {
				return false
			}
			s.ticks = append(s.ticks, b.ticks...)
			continue
		}
		t := sub.pending
		if t == nil || !sub.precedes(t) || sub.pace != nil && sub.pace.due > now {
			return false
		}
		s.ticks = append(s.ticks, t)
	}
	return len(s.ticks) > 0
}

// sent marks the pending tick of a subscription as sent now.
func (s *shard) sent(sub *subscription) {
	sub.pending = nil
	if p := sub.pace; p != nil {
		p.due = s.wall.Sub(s.hub.start) + p.interval
	}
}

// observe records the latency of a tick that is sent now, from its acceptance, or from due, a time
// of the hub's clock, if that is later: no client may get it before. Snapshots have no latency,
// since they answer a command and may be old.
func (s *shard) observe(t *tick, due time.Duration) {
	took := float64(s.wall.UnixMicro()-t.at) / 1e6
	if due > 0 {
		took = min(took, (s.wall.Sub(s.hub.start) - due).Seconds())
	}
	s.stats.latency.observe(took)
}

// fillMessages appends everything but quotes: replies, the link's status, relayed messages, a
// heartbeat and a ping.
func (s *shard) fillMessages(c *Client) {
	x := c.extras
	if x != nil {
		for _, reply := range x.replies {
			s.append(reply)
		}
		x.replies = nil
		x.release()
	}
	if c.linkDue {
		c.linkDue = false
		s.append(linkStatus(s.degraded).Append(s.payload[:0]))
	}
	if x != nil {
		for i, m := range x.relays {
			s.append(protocol.Relayed{Channel: m.channel, Data: m.data, Dropped: x.relayDrops}.Append(s.payload[:0]))
			x.relays[i], x.relayDrops = relayed{}, 0
		}
		x.relays = x.relays[:0]
		if len(x.channels) == 0 {
			c.extras = nil
		}
	}
	if c.beat {
		c.beat = false
		s.append(s.heart)
	}
	if c.ping {
		c.ping = false
		s.out = append(s.out, s.hub.cfg.Framings[c.framing].Ping()...)
	}
}

// fillQuotes appends the quotes of one batch of the client's pending subscriptions: first statuses,
// then snapshots, then updates.
func (s *shard) fillQuotes(c *Client) (quotes int) {
	batch := c.pending
	if len(batch) > batchQuotes {
		batch = batch[:batchQuotes]
	}
	snapshots, backlogs := false, false
	for _, sub := range batch {
		if sub.dead {
			continue
		}
		if sub.statusDue {
			sub.statusDue = false
			s.append(sub.topic.status.message(sub.topic.name).Append(s.payload[:0]))
		}
		snapshots = snapshots || sub.snapshot
		backlogs = backlogs || sub.backlog != nil
	}
	if snapshots {
		quotes += s.sendResets(batch)
		quotes += s.joinQuotes(batch, protocol.SnapshotHead, true)
	}
	quotes += s.joinQuotes(batch, protocol.UpdateHead, false)
	if backlogs {
		quotes += s.joinBacklogs(batch, batchQuotes-quotes)
	}
	now := s.wall.Sub(s.hub.start)
	for i, sub := range batch {
		batch[i] = nil
		sub.queued = false
		if sub.dead {
			c.dead--
		}
		s.schedule(sub, now) // if only its status went out, the tick is not due yet
	}
	c.pending = append(c.pending[:0], c.pending[len(batch):]...)
	return quotes
}

// sendResets appends the snapshots that report missed ticks, each as a message of its own.
func (s *shard) sendResets(batch []*subscription) (quotes int) {
	for _, sub := range batch {
		b, t := sub.backlog, sub.pending
		if sub.dead || t == nil || !sub.snapshot || b == nil || !b.reset {
			continue
		}
		b.reset, sub.snapshot = false, false
		s.payload = append(appendQuote(append(s.payload[:0], protocol.ResetHead...), sub, t, true), protocol.QuotesEnd...)
		s.append(s.payload)
		s.sent(sub)
		quotes++
	}
	return quotes
}

// joinQuotes appends one message with the pending ticks of all subscriptions whose snapshot flag
// matches.
func (s *shard) joinQuotes(batch []*subscription, head string, snapshot bool) (quotes int) {
	p := append(s.payload[:0], head...)
	now := s.wall.Sub(s.hub.start)
	for _, sub := range batch {
		t := sub.pending
		if sub.dead || t == nil || sub.snapshot != snapshot || !snapshot && sub.due() > now {
			continue
		}
		if len(p) > len(head) {
			p = append(p, ',')
		}
		p = appendQuote(p, sub, t, snapshot)
		if !snapshot && sub.topic.status.status == protocol.StatusLive { // else it waited for its subscriber
			s.observe(t, sub.due())
		}
		s.sent(sub)
		if snapshot && sub.pace != nil {
			sub.pace.due = 0 // a snapshot is not an update: the next tick need not wait
		}
		sub.snapshot = false
		quotes++
	}
	s.payload = p
	if len(p) > len(head) {
		s.append(append(p, protocol.QuotesEnd...))
	}
	return quotes
}

// hasMessages reports whether any message other than a quote is due.
func (c *Client) hasMessages() bool {
	return c.linkDue || c.beat || c.ping || c.extras != nil && len(c.extras.replies)+len(c.extras.relays) > 0
}

func (c *Client) hasPending() bool { return len(c.pending) > 0 || c.hasMessages() }

// append frames one message for the client being served. The message may be built in s.payload.
func (s *shard) append(message []byte) {
	s.payload = s.payload[:0]
	s.out = s.appendFramed(s.out, message)
}

func (s *shard) appendFramed(dst, message []byte) []byte {
	return s.hub.cfg.Framings[s.framing].AppendMessage(dst, message)
}
