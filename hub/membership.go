package hub

import (
	"slices"

	"github.com/fxcast/fxcast/protocol"
)

// join, end, remove, subscribe and unsubscribe are the shard's side of a client.

func (s *shard) join(c *Client, welcome []byte) {
	if c.gone { // closed before it joined
		return
	}
	c.place = int32(len(s.clients))
	s.clients = append(s.clients, c)
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
	for len(c.subs) > 0 {
		s.unsubscribe(c.subs[len(c.subs)-1])
	}
	for _, w := range c.filters {
		if IsWildcard(w.pattern) {
			s.watchers[w.pattern] = without(s.watchers[w.pattern], c)
		}
	}
	if x := c.extras; x != nil {
		x.release()
		for _, n := range x.channels {
			s.channels[n] = without(s.channels[n], c)
		}
	}
	c.filters, c.subs, c.pending, c.extras = nil, nil, nil, nil
	if c.place >= 0 {
		moved := s.clients[len(s.clients)-1]
		s.clients[c.place], moved.place = moved, c.place
		s.clients[len(s.clients)-1] = nil
		s.clients = s.clients[:len(s.clients)-1]
		c.place = -1
	}
}

func (s *shard) subscribe(c *Client, p *shardTopic) *subscription {
	if len(p.subs) == 0 {
		s.listen(p)
	}
	sub := &subscription{client: c, topic: p, place: uint32(len(p.subs))}
	p.subs = append(p.subs, sub)
	i, _ := c.findSub(p)
	c.subs = slices.Insert(c.subs, i, sub)
	s.stats.subscriptions.Add(1)
	return sub
}

func (s *shard) unsubscribe(sub *subscription) {
	p := sub.topic
	sub.dead, sub.pending = true, nil
	sub.setAll(false)
	if sub.pace != nil && sub.pace.waiting {
		s.wheel.remove(sub.pace)
	}
	moved := p.subs[len(p.subs)-1]
	p.subs[sub.place], moved.place = moved, sub.place
	p.subs[len(p.subs)-1] = nil
	p.subs = p.subs[:len(p.subs)-1]
	c := sub.client
	if i, ok := c.findSub(p); ok {
		c.subs = slices.Delete(c.subs, i, i+1)
	}
	if len(p.subs) == 0 {
		s.ignore(p)
	}
	s.stats.subscriptions.Add(-1)
	if sub.queued {
		// pending must not grow without bound while a blocked client keeps changing its
		// subscriptions.
		if c.dead++; int(c.dead) > len(c.pending)/2 {
			c.pending = slices.DeleteFunc(c.pending, func(s *subscription) bool { return s.dead })
			c.dead = 0
		}
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
