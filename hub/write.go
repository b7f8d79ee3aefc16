package hub

import (
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
	s.framing, s.binary = c.framing, s.hub.binary[c.framing]
	s.out, s.positions, s.sent = s.out[:0], s.positions[:0], s.sent[:0]
	frames, quotes := s.fill(c)
	if len(frames) == 0 { // everything was removed or is not due yet
		if c.hasPending() {
			s.wantWrite(c)
		}
		return
	}
	// Blocked before the write: the connection may call Ready before Write returns.
	c.blocked = true
	batch := Batch{Frames: frames}
	if c.positions {
		batch.Positions = s.positions
	}
	ready, err := c.conn.Write(batch)
	s.stats.writes.n++
	s.stats.quotes.n += uint64(quotes)
	s.stats.bytes.n += uint64(len(frames))
	if quotes > 0 {
		s.stats.joined.observe(float64(quotes), 1)
	}
	if err != nil {
		s.end(c, protocol.CloseLost)
		return
	}
	c.written = s.wall.Sub(s.hub.start)
	if !ready {
		s.clients[c.place].look = 0 // until it is ready again
		return
	}
	c.blocked = false
	if c.hasPending() {
		s.wantWrite(c)
	}
}

// caught recovers from a panic of a client's connection and ends this client alone.
func (s *shard) caught(c *Client) {
	if v := recover(); v != nil {
		s.stats.panics.Add(1)
		s.end(c, protocol.ClosePanic)
	}
}

// fill returns the frames for a client: in the usual case those that it shares with others.
func (s *shard) fill(c *Client) (frames []byte, quotes int) {
	s.indexes = c.pending.appendTo(s.indexes[:0], 0)
	if c.hasMessages() || len(s.indexes) == 0 || len(s.indexes) > c.room() || c.turn > 0 {
		s.fillMessages(c)
		return s.out, s.fillQuotes(c)
	}
	if t := s.single(c); t != nil {
		return t.framed(s.hub.cfg.Framings, c.framing), 1
	}
	return s.share(c)
}

// observe records the latency of a tick that is sent to some clients now, from its acceptance, or from
// due, a time of the hub's clock, if that is later: no client may get it before. Snapshots have no
// latency, since they answer a command and may be old.
func (s *shard) observe(t *tick, due time.Duration, clients int) {
	took := float64(s.wall.UnixMicro()-t.at) / 1e6
	if due > 0 {
		took = min(took, (s.wall.Sub(s.hub.start) - due).Seconds())
	}
	s.stats.latency.observe(took, clients)
}

// fillMessages appends everything but quotes: replies, the link's status, relayed messages, candles
// and day figures, a heartbeat and a ping.
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
		if x.watching != nil {
			s.fillNotices(c)
		} else if len(x.channels)+len(x.missed) == 0 {
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

// hasMessages reports whether any message other than a quote is due.
func (c *Client) hasMessages() bool {
	return c.linkDue || c.statusDue || c.beat || c.ping ||
		c.extras != nil && (len(c.extras.replies)+len(c.extras.relays) > 0 || c.hasNotices())
}

func (c *Client) hasPending() bool { return !c.pending.empty() || c.hasMessages() }

// append frames one message for the client being served. The message may be built in s.payload.
func (s *shard) append(message []byte) {
	s.payload = s.payload[:0]
	s.out = s.appendFramed(s.out, message)
}

func (s *shard) appendFramed(dst, message []byte) []byte {
	return s.hub.cfg.Framings[s.framing].AppendMessage(dst, message)
}
