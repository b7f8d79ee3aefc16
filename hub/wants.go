package hub

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A want is what a client asked of one pattern.
type want struct {
	pattern  string
	interval time.Duration
	every    bool
	asked    int32
}

func (c *Client) findWant(pattern string) (i int, ok bool) {
	return slices.BinarySearchFunc(c.wants, pattern, func(w want, p string) int { return strings.Compare(w.pattern, p) })
}

// want notes what is wanted and reports whether its pattern was wanted before.
func (c *Client) want(w want) (again bool) {
	i, again := c.findWant(w.pattern)
	if again {
		c.wants[i] = w
	} else {
		c.wants = slices.Insert(c.wants, i, w)
	}
	return again
}

// unwant forgets a pattern and reports whether it was wanted.
func (c *Client) unwant(pattern string) bool {
	i, ok := c.findWant(pattern)
	if ok {
		c.wants = slices.Delete(c.wants, i, i+1)
	}
	return ok
}

// deciding is the client's want that counts for a topic: the exact one, else the
// narrower wildcard, else the one asked for last. It is nil where none matches.
func (c *Client) deciding(p *part) *want {
	if i, ok := c.findWant(p.name); ok {
		return &c.wants[i]
	}
	if !p.expanded {
		return nil
	}
	var best *want
	for _, family := range p.families() {
		i, ok := c.findWant(family)
		if ok && (best == nil || best.asked < c.wants[i].asked) {
			best = &c.wants[i]
		}
	}
	if best != nil {
		return best
	}
	if i, ok := c.findWant("*"); ok {
		return &c.wants[i]
	}
	return nil
}

func (c *Client) decides(pattern string, p *part) bool {
	w := c.deciding(p)
	return w != nil && w.pattern == pattern
}

func (c *Client) findSub(p *part) (i int, ok bool) {
	return slices.BinarySearchFunc(c.subs, p, func(s *subscription, p *part) int { return cmp.Compare(s.part.number, p.number) })
}

// sub is the client's subscription to a topic, nil if it has none.
func (c *Client) sub(p *part) *subscription {
	if i, ok := c.findSub(p); ok {
		return c.subs[i]
	}
	return nil
}

// resolve makes the client's subscription to a topic what its patterns say, and
// returns it, or nil where none matches.
func (c *Client) resolve(p *part) *subscription {
	w, sub := c.deciding(p), c.sub(p)
	had := sub != nil
	switch {
	case w == nil && sub == nil:
		return nil
	case w == nil:
		c.shard.unsubscribe(sub)
		return nil
	case sub == nil:
		sub = c.shard.subscribe(c, p)
	}
	sub.setInterval(w.interval)
	if sub.setEvery(w.every) && had {
		c.snapshot(sub, false)
	}
	return sub
}

// snapshot makes the topic's last value, or if told so that there is none, due.
// Where the topic is not followed yet, it waits until it is.
func (c *Client) snapshot(sub *subscription, tellUnknown bool) {
	if b := sub.backlog; b != nil {
		sub.forget(len(b.ticks))
		b.held, b.first = false, false
	}
	switch last := sub.part.last; {
	case last != nil:
		sub.pending, sub.snapshot = last, true
		c.shard.enqueue(sub)
	case !sub.part.followed:
		sub.pending, sub.snapshot = nil, true
	case tellUnknown:
		sub.tellStatus = true
		c.shard.enqueue(sub)
	}
}
