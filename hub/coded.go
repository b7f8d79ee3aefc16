package hub

import (
	"slices"

	"github.com/fxcast/fxcast/protocol"
)

// A codedTick is a tick in the form of fx.proto, without what only some clients get.
type codedTick struct {
	quote      protocol.Coded
	key        []byte
	difference []byte // to the quote with the number before; nil if it cannot be one
}

// coded returns the tick in the form of fx.proto, which is built on first use.
func (t *tick) coded() *codedTick {
	if c := t.binary.Load(); c != nil {
		return c
	}
	const size = 48 // of most keys, and of a key with its difference
	c := &codedTick{}
	c.quote, _ = protocol.Code(t.body) // ok: Publish requires the layout
	c.key = c.quote.AppendKey(make([]byte, 0, size), int(t.number))
	if t.base != nil {
		if base, ok := protocol.Code(t.base); ok && c.quote.Follows(&base) {
			both := c.quote.AppendDifference(c.key, int(t.number), &base)
			c.key, c.difference = both[:len(c.key):len(c.key)], both[len(c.key):]
		}
	}
	t.binary.Store(c) // two shards may both build it, with the same bytes
	return c
}

// next returns the tick for a client whose last quote is the one just before.
func (c *codedTick) next() []byte {
	if c.difference != nil {
		return c.difference
	}
	return c.key
}

// appendCoded appends a tick to the batch being built. m is the client's mark, and known means that
// it stands for the last quote of the symbol that the connection has.
//
// The name of the symbol goes with each epoch, and so with the first quote of a connection. Then
// what a client is sent depends on its marks alone, as in JSON.
func (s *shard) appendCoded(t *tick, sub *subscription, m *mark, x protocol.Extra, known bool) {
	if x.Epoch != "" {
		s.payload = protocol.AppendSymbol(s.payload, int(t.number), sub.topic.name)
	}
	c := t.coded()
	tick := c.key
	switch {
	case !known:
	case m.precedes(t):
		tick = c.next()
	default:
		if base := sub.topic.sent(m); base != nil && c.quote.Follows(&base.coded().quote) {
			s.difference = c.quote.AppendDifference(s.difference[:0], int(t.number), &base.coded().quote)
			tick = s.difference
		}
	}
	s.payload = protocol.AppendTick(s.payload, tick, x)
	sub.keepSent(t, m)
}

// A sentTicks holds the ticks of a topic that were sent last to clients that do not get each one.
// Their next quotes are coded as differences to these: clients with one pace or max_rate have the
// same, however many ticks they skip.
type sentTicks struct {
	ticks [4]*tick
	next  int
}

// sent returns the tick that a mark stands for, if it is kept; otherwise nil.
func (p *shardTopic) sent(m *mark) *tick {
	for _, t := range p.kept.ticks {
		if t != nil && t.seq == m.seq && m.isEpoch(t.epoch) {
			return t
		}
	}
	return nil
}

// keepSent keeps a tick that goes to a client with this mark, unless the next one probably goes to
// it too.
func (sub *subscription) keepSent(t *tick, m *mark) {
	kept := &sub.topic.kept
	if sub.throttle == nil && sub.audience.pace == nil && m.precedes(t) || slices.Contains(kept.ticks[:], t) {
		return
	}
	kept.ticks[kept.next] = t
	kept.next = (kept.next + 1) % len(kept.ticks)
}
