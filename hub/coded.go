package hub

import "github.com/fxcast/fxcast/protocol"

// A codedTick is a tick in the form of fx.proto, without what only some clients get.
type codedTick struct {
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
	q, _ := protocol.Code(t.body) // ok: Publish requires the layout
	c.key = q.AppendKey(make([]byte, 0, size), int(t.number))
	if t.base != nil {
		if base, ok := protocol.Code(t.base); ok && q.Follows(&base) {
			both := q.AppendDifference(c.key, int(t.number), &base)
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

// appendCoded appends a tick to the batch being built. follows reports that the client's last quote
// is the one just before.
//
// The name of the symbol goes with each epoch, and so with the first quote of a connection. Then
// what a client is sent depends on its marks alone, as in JSON.
func (s *shard) appendCoded(t *tick, sub *subscription, x protocol.Extra, follows bool) {
	if x.Epoch != "" {
		s.payload = protocol.AppendSymbol(s.payload, int(t.number), sub.topic.name)
	}
	tick := t.coded().key
	if follows {
		tick = t.coded().next()
	}
	s.payload = protocol.AppendTick(s.payload, tick, x)
}
