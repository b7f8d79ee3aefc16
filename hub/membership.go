package hub

import (
	"slices"

	"github.com/fxcast/fxcast/protocol"
)

// join, end and remove are the shard's side of a client.

func (s *shard) join(c *Client, welcome []byte) {
	if c.gone { // closed before it joined
		return
	}
	c.place = int32(len(s.clients))
	s.clients = append(s.clients, member{client: c})
	s.enter(c, s.audience(nil, rhythm{}, nil), nil, nil)
	c.written, c.pinged = s.now(), s.now()
	c.linkDue = s.degraded
	c.reply(welcome)
	s.stats.arrived.Add(1)
	if s.hub.draining.Load() { // it joined after Join's check and before Drain's
		c.CloseRestart(drainBackoff())
	}
}

func (s *shard) end(c *Client, why protocol.Close) {
	if c.gone {
		return
	}
	last := s.unwritten(c)
	s.remove(c)
	s.stats.countDisconnect(why)
	defer s.caught(c)
	c.conn.Close(why, last)
}

// unwritten returns the framed replies that the connection has not taken yet.
func (s *shard) unwritten(c *Client) (frames []byte) {
	if c.extras != nil {
		for _, reply := range c.extras.replies {
			frames = s.hub.cfg.Framings[c.framing].AppendMessage(frames, reply)
		}
	}
	return frames
}

func (s *shard) remove(c *Client) {
	if c.gone {
		return
	}
	c.gone = true
	s.leave(c)
	s.endWatches(c)
	if x := c.extras; x != nil {
		x.release()
		for _, n := range x.channels {
			s.channels[n] = without(s.channels[n], c)
		}
	}
	c.extras = nil
	if c.place >= 0 {
		moved := s.clients[len(s.clients)-1]
		s.clients[c.place], moved.client.place = moved, c.place
		s.clients[len(s.clients)-1] = member{}
		s.clients = s.clients[:len(s.clients)-1]
		c.place = -1
	}
}

// matching returns the topics of this shard that a pattern matches.
func (s *shard) matching(pattern string) []*shardTopic {
	if IsWildcard(pattern) {
		return s.families[pattern]
	}
	if p := s.topics[pattern]; p != nil {
		return []*shardTopic{p}
	}
	return nil
}

// without removes v from a list whose order does not matter. It modifies the list.
func without[T comparable](list []T, v T) []T {
	i := slices.Index(list, v)
	if i < 0 {
		return list
	}
	var zero T
	last := len(list) - 1
	list[i], list[last] = list[last], zero
	return list[:last]
}
