package hub

import (
	"math/bits"
	"time"
)

// offer makes the new ticks of a subscription due, at once or as soon as its throttle allows.
func (s *shard) offer(sub *subscription, now time.Duration) {
	switch t := sub.throttle; {
	case t == nil:
		s.touch(sub)
	case t.waiting:
		s.stats.conflated.n += uint64(sub.size())
	case t.due <= now:
		s.pass(t, now)
	default:
		s.wheel.add(&t.alarm)
	}
}

// await makes the throttle release the newest tick again, for a client that does not have it yet.
func (s *shard) await(sub *subscription, now time.Duration) {
	if sub.audience.pace != nil {
		s.delay(sub)
	} else if t := sub.throttle; !t.waiting {
		t.due = max(t.due, now)
		s.wheel.add(&t.alarm)
	}
}

// pass makes the newest tick of a subscription with max_rate due now.
func (s *shard) pass(t *throttle, now time.Duration) {
	t.allowed, t.due = t.due, now+t.interval
	s.touch(t.sub)
}

// ring implements ringer.
func (t *throttle) ring(s *shard, now time.Duration) { s.offer(t.sub, now) }

// touch adds a subscription to those that spread passes on.
func (s *shard) touch(sub *subscription) {
	a := sub.audience
	a.changed.add(int(sub.index))
	if !a.touched {
		a.touched = true
		s.touched = append(s.touched, a)
	}
}

// spread sets the bits of all that was offered since the last call for each client.
func (s *shard) spread() {
	for i, a := range s.touched {
		s.touched[i], a.touched = nil, false
		if n := len(a.clients); n > 0 {
			a.turn = (a.turn + 1) % n
			for _, c := range a.clients[a.turn:] {
				s.mark(a, c)
			}
			for _, c := range a.clients[:a.turn] {
				s.mark(a, c)
			}
		}
		clear(a.changed)
	}
	s.touched = s.touched[:0]
}

func (s *shard) mark(a *audience, c *Client) {
	for k, changed := range a.changed {
		if a.limited != nil {
			changed &^= c.unready(k, changed&a.limited[k])
		}
		if a.pace != nil && c.blocked { // else the bit would let out a tick that comes after the beat
			changed &^= c.upToDate(k, changed)
		}
		s.stats.conflated.n += uint64(bits.OnesCount64(c.pending[k] & changed &^ a.every[k]))
		c.pending[k] |= changed
	}
	s.wantWrite(c)
}

// unready returns those of a word of subscriptions with max_rate whose quote is not for this client: it has
// it already, or its connection takes nothing at the moment. Then the next one is for it, so that the
// time between two updates is never too short.
func (c *Client) unready(k int, limited uint64) (not uint64) {
	if c.blocked {
		return limited
	}
	return c.upToDate(k, limited)
}

// upToDate returns those of a word of subscriptions of which the client has everything.
func (c *Client) upToDate(k int, subs uint64) (has uint64) {
	for w := subs; w != 0; w &= w - 1 {
		i := k*64 + bits.TrailingZeros64(w)
		if m := &c.marks[i]; m.stage != resumed && len(c.audience.subs[i].due(m)) == 0 {
			has |= w & -w
		}
	}
	return has
}

// catchUp lets the throttles include a client whose connection takes data again.
func (s *shard) catchUp(c *Client) {
	now := s.now()
	for _, i := range c.audience.limited.appendTo(s.indexes[:0], 0) {
		if sub := c.audience.subs[i]; !c.pending.has(i) && len(sub.due(&c.marks[i])) > 0 {
			s.await(sub, now)
		}
	}
}

// owe makes the status of a topic due for a client.
func (s *shard) owe(c *Client, m *mark) {
	m.statusDue, c.statusDue = true, true
	s.wantWrite(c)
}
