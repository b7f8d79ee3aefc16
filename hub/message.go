package hub

import "github.com/fxcast/fxcast/protocol"

// appendQuote appends one quote with the fields that depend on the client: epoch, skipped, gap and
// status. epoch is present in the first quote of a connection, after it changed, and in a snapshot.
// gap also marks a jump among the skipped quotes. appendQuote records the position that the client
// reaches, and the skipped quotes.
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

// reached records the position of a subscription after the message being built. Its frame comes
// next in out.
func (s *shard) reached(sub *subscription) {
	s.positions = append(s.positions, Reached{len(s.out), sub.topic.name, protocol.Position{Epoch: *sub.epoch, Seq: sub.seq}})
}

// message returns the status message for subscribers of a topic.
func (c *statusChange) message(topic string) protocol.Status {
	return protocol.Status{Symbol: topic, Status: c.status, Source: c.source, Since: protocol.At(c.since)}
}

// linkStatus returns the status message about the source of quotes.
func linkStatus(degraded bool) protocol.Status {
	if degraded {
		return protocol.Status{Status: protocol.StatusDegraded}
	}
	return protocol.Status{Status: protocol.StatusOK}
}
