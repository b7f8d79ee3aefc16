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
	sub.keepSent(t)
}

// A sentTicks holds the ticks of a topic that were sent last. Quotes of clients that do not get each
// tick are coded as differences to these. Clients with a pace or max_rate have ticks of their own
// here, so that those of other clients do not push them out; with one pace they have the same ones.
type sentTicks struct{ steady, slow recentTicks }

// sent returns the tick that a mark stands for, if it is kept; otherwise nil.
func (p *shardTopic) sent(m *mark) *tick {
	if t := p.kept.slow.find(m); t != nil {
		return t
	}
	return p.kept.steady.find(m)
}

// keepSent keeps a tick that goes to a client of a subscription.
func (sub *subscription) keepSent(t *tick) {
	kept := &sub.topic.kept.steady
	if sub.throttle != nil || sub.audience.pace != nil {
		kept = &sub.topic.kept.slow
	}
	kept.add(t)
}

// recentTicks are the last few different ticks that were added.
type recentTicks struct {
	ticks [4]*tick
	next  int
}

func (r *recentTicks) add(t *tick) {
	if slices.Contains(r.ticks[:], t) {
		return
	}
	r.ticks[r.next] = t
	r.next = (r.next + 1) % len(r.ticks)
}

// find returns the tick that a mark stands for, nil if there is none.
func (r *recentTicks) find(m *mark) *tick {
	for _, t := range r.ticks {
		if t != nil && t.seq == m.seq && m.isEpoch(t.epoch) {
			return t
		}
	}
	return nil
}
