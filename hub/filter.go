package hub

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A filter is one pattern of a client's subscriptions with its settings.
type filter struct {
	pattern  string
	interval time.Duration
	all      bool
	asked    int32
}

func (c *Client) findFilter(pattern string) (i int, ok bool) {
	return slices.BinarySearchFunc(c.filters, pattern, func(f filter, p string) int { return strings.Compare(f.pattern, p) })
}

// setFilter adds a filter or replaces that of the same pattern, and reports whether it replaced
// one.
func (c *Client) setFilter(f filter) (replaced bool) {
	i, replaced := c.findFilter(f.pattern)
	if replaced {
		c.filters[i] = f
	} else {
		c.filters = slices.Insert(c.filters, i, f)
	}
	return replaced
}

// removeFilter removes the filter of a pattern and reports whether there was one.
func (c *Client) removeFilter(pattern string) bool {
	i, ok := c.findFilter(pattern)
	if ok {
		c.filters = slices.Delete(c.filters, i, i+1)
	}
	return ok
}

// match returns the client's filter that applies to a topic: the exact one, else the narrower
// wildcard, else the one added last. It returns nil if none matches.
func (c *Client) match(p *shardTopic) *filter {
	if i, ok := c.findFilter(p.name); ok {
		return &c.filters[i]
	}
	if !p.expanded {
		return nil
	}
	var best *filter
	for _, family := range p.families() {
		i, ok := c.findFilter(family)
		if ok && (best == nil || best.asked < c.filters[i].asked) {
			best = &c.filters[i]
		}
	}
	if best != nil {
		return best
	}
	if i, ok := c.findFilter("*"); ok {
		return &c.filters[i]
	}
	return nil
}

// isMatch reports whether the filter of a pattern is the one that applies to a topic.
func (c *Client) isMatch(pattern string, p *shardTopic) bool {
	f := c.match(p)
	return f != nil && f.pattern == pattern
}

func (c *Client) findSub(p *shardTopic) (i int, ok bool) {
	return slices.BinarySearchFunc(c.subs, p, func(s *subscription, p *shardTopic) int { return cmp.Compare(s.topic.number, p.number) })
}

// sub is the client's subscription to a topic, nil if it has none.
func (c *Client) sub(p *shardTopic) *subscription {
	if i, ok := c.findSub(p); ok {
		return c.subs[i]
	}
	return nil
}

// resolve brings the client's subscription to a topic in line with its filters. It returns the
// subscription, or nil if no filter matches.
func (c *Client) resolve(p *shardTopic) *subscription {
	f, sub := c.match(p), c.sub(p)
	had := sub != nil
	switch {
	case f == nil && sub == nil:
		return nil
	case f == nil:
		c.shard.unsubscribe(sub)
		return nil
	case sub == nil:
		sub = c.shard.subscribe(c, p)
	}
	sub.setInterval(f.interval)
	if sub.setAll(f.all) && had {
		c.snapshot(sub, false)
	}
	return sub
}

// snapshot makes the topic's last value due. If there is none and unknown is set, the status is due
// instead. If the topic is not followed yet, the snapshot waits until it is.
func (c *Client) snapshot(sub *subscription, unknown bool) {
	if b := sub.backlog; b != nil {
		sub.forget(len(b.ticks))
		b.held, b.first = false, false
	}
	switch last := sub.topic.last; {
	case last != nil:
		sub.pending, sub.snapshot = last, true
		c.shard.enqueue(sub)
	case !sub.topic.followed:
		sub.pending, sub.snapshot = nil, true
	case unknown:
		sub.statusDue = true
		c.shard.enqueue(sub)
	}
}
