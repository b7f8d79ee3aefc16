package hub

import "github.com/fxcast/fxcast/protocol"

// appendQuote appends one quote with the fields that say something only to this
// client: epoch (in the first quote of the connection, after a change, in a snapshot),
// skipped, a jump of the price among these, and status. It records what the client then has, and what was skipped.
func appendQuote(dst []byte, s *subscription, t *tick, snapshot bool) []byte {
	same := s.isEpoch(t.epoch)
	first := s.backlog != nil && s.backlog.first
	if first {
		s.backlog.first = false
	}
	extra := protocol.Extra{Status: s.topic.status.status}
	if snapshot || !same || first {
		extra.Epoch = *t.epoch
	}
	if !snapshot && same && t.seq > s.seq+1 {
		extra.Skipped = t.seq - s.seq - 1
		s.client.skipped += extra.Skipped
		extra.Gap = s.topic.jump.between(s.seq, t)
	}
	s.epoch, s.seq = t.epoch, t.seq
	if s.client.positions {
		s.client.shard.reached(s)
	}
	return protocol.AppendQuote(dst, t.body, extra)
}

// reached notes the position of a subscription after the message that is being built,
// whose frame comes next in out.
func (s *shard) reached(sub *subscription) {
	s.positions = append(s.positions, Reached{len(s.out), sub.topic.name, protocol.Position{Epoch: *sub.epoch, Seq: sub.seq}})
}

// message is the status as subscribers of a topic get it.
func (c *statusChange) message(topic string) protocol.Status {
	return protocol.Status{Symbol: topic, Status: c.status, Source: c.source, Since: protocol.At(c.since)}
}

// linkStatus is the status of the source of quotes.
func linkStatus(degraded bool) protocol.Status {
	if degraded {
		return protocol.Status{Status: protocol.StatusDegraded}
	}
	return protocol.Status{Status: protocol.StatusOK}
}
