package hub

import "slices"

// join, end, remove, subscribe and unsubscribe are the shard's side of a client.

func (s *shard) join(c *Client, welcome []byte) {
	if c.gone { // closed as soon as its connection knew it
		return
	}
	c.place = len(s.clients)
	s.clients = append(s.clients, c)
	c.subs = make(map[*part]*subscription)
	c.written, c.pinged = s.now(), s.now()
	c.tellLink = s.degraded
	c.reply(welcome)
	s.stats.arrived.Add(1)
	if s.hub.draining.Load() { // it came between Join's look and Drain's
		c.CloseRestart(drainBackoff())
	}
}

func (s *shard) end(c *Client, why endReason) {
	switch why {
	case endStalled:
		s.endWith(c, why, codeTryLater, "nothing could be written")
	case endSilent:
		s.endWith(c, why, codeGoingAway, "no answer to pings")
	default:
		s.endWith(c, why, 1011, "internal")
	}
}

func (s *shard) endWith(c *Client, why endReason, code int, reason string) {
	if c.gone {
		return
	}
	var last []byte // replies that a full connection has not taken yet
	for _, reply := range c.replies {
		last = s.hub.cfg.Framing.AppendMessage(last, reply)
	}
	s.remove(c)
	s.stats.ended[why].Add(1)
	defer s.caught(c)
	c.conn.Close(code, reason, last)
}

func (s *shard) remove(c *Client) {
	if c.gone {
		return
	}
	c.gone = true
	c.release()
	for _, sub := range c.subs {
		s.unsubscribe(sub)
	}
	for p := range c.wants {
		if IsWildcard(p) {
			s.watchers[p] = without(s.watchers[p], c)
		}
	}
	for _, n := range c.channels {
		s.channels[n] = without(s.channels[n], c)
	}
	c.wants, c.pending, c.replies, c.relays = nil, nil, nil, nil
	if c.place >= 0 {
		moved := s.clients[len(s.clients)-1]
		s.clients[c.place], moved.place = moved, c.place
		s.clients[len(s.clients)-1] = nil
		s.clients = s.clients[:len(s.clients)-1]
		c.place = -1
	}
}

func (s *shard) subscribe(c *Client, p *part) *subscription {
	if len(p.subs) == 0 {
		s.listen(p)
	}
	sub := &subscription{client: c, part: p, place: len(p.subs)}
	p.subs = append(p.subs, sub)
	c.subs[p] = sub
	s.stats.subscriptions.Add(1)
	return sub
}

func (s *shard) unsubscribe(sub *subscription) {
	p := sub.part
	sub.dead, sub.pending = true, nil
	moved := p.subs[len(p.subs)-1]
	p.subs[sub.place], moved.place = moved, sub.place
	p.subs[len(p.subs)-1] = nil
	p.subs = p.subs[:len(p.subs)-1]
	delete(sub.client.subs, p)
	if len(p.subs) == 0 {
		s.ignore(p)
	}
	s.stats.subscriptions.Add(-1)
	if c := sub.client; sub.queued {
		// A client that takes nothing and changes its mind all the time must not grow.
		if c.dead++; c.dead > len(c.pending)/2 {
			c.pending = slices.DeleteFunc(c.pending, func(s *subscription) bool { return s.dead })
			c.dead = 0
		}
	}
}

// matching lists the topics this shard knows that a pattern matches.
func (s *shard) matching(pattern string) []*part {
	if IsWildcard(pattern) {
		return s.families[pattern]
	}
	if p := s.parts[pattern]; p != nil {
		return []*part{p}
	}
	return nil
}

// without removes v from a list whose order does not matter.
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
