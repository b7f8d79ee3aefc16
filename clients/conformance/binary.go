package conformance

import "github.com/fxcast/fxcast/protocol"

// A coder codes the snapshots and updates of one connection with the subprotocol fx.v1.pb.
type coder struct {
	numbers map[string]int
	sent    map[string]protocol.Quote // the last quote of each symbol that was sent in binary
}

func newCoder() *coder {
	return &coder{numbers: map[string]int{}, sent: map[string]protocol.Quote{}}
}

// code returns a message in binary. ok is false if it has to be sent in JSON: it is neither a
// snapshot nor an update, or a lie that the binary form cannot express.
func (c *coder) code(text []byte) (batch []byte, ok bool) {
	message, err := protocol.Decode(text)
	if err != nil {
		return nil, false
	}
	var quotes []protocol.Quote
	head := protocol.UpdateHead
	switch m := message.(type) {
	case protocol.Update:
		quotes = m.Data
	case protocol.Snapshot:
		quotes, head = m.Data, protocol.SnapshotHead
		if m.Reset {
			head = protocol.ResetHead
		}
	default:
		return nil, false
	}
	batch = protocol.AppendBatchHead(nil, head)
	last := map[string]protocol.Quote{} // of this message
	for _, q := range quotes {
		before, known := last[q.Symbol]
		if !known {
			before, known = c.sent[q.Symbol]
		}
		counted := head == protocol.UpdateHead && q.Epoch == ""
		coded, codes := protocol.Code(q.AppendBody(nil))
		switch {
		case !codes, !counted && q.Skipped != 0, counted && (!known || q.Seq <= before.Seq || q.Skipped != q.Seq-before.Seq-1):
			return nil, false
		}
		if _, named := c.numbers[q.Symbol]; !named {
			c.numbers[q.Symbol] = len(c.numbers) + 1
		}
		number := c.numbers[q.Symbol]
		if q.Epoch != "" || !known {
			batch = protocol.AppendSymbol(batch, number, q.Symbol)
		}
		tick := coded.AppendKey(nil, number)
		if base, ok := protocol.Code(before.AppendBody(nil)); ok && counted && coded.Follows(&base) {
			tick = coded.AppendDifference(nil, number, &base)
		}
		batch = protocol.AppendTick(batch, tick, q.Extra)
		last[q.Symbol] = q
	}
	for symbol, q := range last {
		c.sent[symbol] = q
	}
	return batch, true
}
