package hub

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// fillQuotes appends what a client has pending, as far as one batch goes: statuses, then snapshots,
// then updates. s.indexes holds its pending subscriptions.
func (s *shard) fillQuotes(c *Client) (quotes int) {
	if c.statusDue {
		s.fillStatuses(c)
	}
	batch := s.indexes
	if c.turn > 0 { // begin where the last batch ended, so that a busy topic does not keep the others away
		k, _ := slices.BinarySearch(batch, int(c.turn))
		batch = append(batch, batch[:k]...)[k:]
	}
	c.turn = 0
	room := c.room()
	if len(batch) > room {
		c.turn, batch = int32(batch[room]), batch[:room]
	}
	s.kept = false
	for _, stage := range [...]stage{reset, fresh} {
		for _, i := range batch {
			sub, m := c.audience.subs[i], &c.marks[i]
			if m.stage != stage {
				continue
			}
			if due := sub.due(m); len(due) > 0 {
				s.quote(c, sub, due[0], 0)
				quotes++
				if c.audience.pace != nil { // what follows a snapshot waits for the next beat
					c.pending.remove(i)
					if len(sub.due(m)) > 0 {
						s.delay(sub)
						s.kept = true
					}
				}
			}
		}
	}
	for _, i := range batch {
		if c.pending.has(i) {
			quotes += s.fillUpdates(c, i, room-quotes)
		}
	}
	s.closeMessage()
	return quotes
}

// room returns how many quotes one batch may have.
func (c *Client) room() int {
	if c.audience.pace != nil {
		return pacedQuotes
	}
	return batchQuotes
}

// fillUpdates appends up to room ticks of one subscription as updates. Then its bit is set if
// others are left.
func (s *shard) fillUpdates(c *Client, i, room int) (quotes int) {
	sub, m := c.audience.subs[i], &c.marks[i]
	c.pending.remove(i)
	if m.stage == held || m.snapshot() {
		return 0
	}
	if q := c.missed(sub.topic); q != nil {
		n := 0
		for ; n < len(q.ticks) && quotes < room; n++ {
			if t := q.ticks[n]; !m.has(t) {
				s.quote(c, sub, t, q.at)
				quotes++
			}
		}
		if q.ticks = q.ticks[n:]; len(q.ticks) > 0 {
			c.postpone(i)
			return quotes
		}
	}
	due := sub.due(m)
	for _, t := range due[:min(len(due), room-quotes)] {
		s.quote(c, sub, t, sub.allowed())
		quotes++
	}
	if len(sub.due(m)) > 0 {
		c.postpone(i)
	}
	if m.stage == live {
		c.forgetMissed(sub.topic)
	}
	return quotes
}

// postpone keeps a subscription pending of which the batch could not take everything. The next batch
// begins with the first one.
func (c *Client) postpone(i int) {
	c.pending.add(i)
	if c.turn == 0 {
		c.turn = int32(i)
	}
}

// fillStatuses appends the statuses that are due.
func (s *shard) fillStatuses(c *Client) {
	c.statusDue = false
	for i, sub := range c.audience.subs {
		if m := &c.marks[i]; m.statusDue {
			m.statusDue = false
			s.append(sub.topic.status.message(sub.topic.name).Append(s.payload[:0]))
		}
	}
}

// quote appends one tick to the message being built, and moves the client's mark. A message holds
// many quotes, but one alone if it reports missed ticks. due is when the client could have the tick
// at the earliest, on the hub's clock; 0 means when it was accepted.
//
// A quote has the fields that depend on the client: the epoch in the first quote of a connection,
// after it changed, and in a snapshot; skipped; gap, also if a jump was skipped; the status, unless
// it is live.
func (s *shard) quote(c *Client, sub *subscription, t *tick, due time.Duration) {
	m := &c.marks[sub.index]
	head := m.head(sub, t)
	if s.head != head || head == protocol.ResetHead {
		s.closeMessage()
		s.openMessage(head)
	} else if s.binary == nil {
		s.payload = append(s.payload, ',')
	}
	extra := protocol.Extra{Status: sub.topic.status.status}
	same := m.isEpoch(t.epoch) && m.stage == live
	if head != protocol.UpdateHead || !same {
		extra.Epoch = *t.epoch
	} else if t.seq > m.seq+1 {
		extra.Skipped = t.seq - m.seq - 1
		extra.Gap = sub.topic.jump.between(m.seq, t)
		c.skipped += extra.Skipped
	}
	if s.binary != nil {
		s.appendCoded(t, sub, m, extra, same && head == protocol.UpdateHead)
	} else {
		s.payload = protocol.AppendQuote(s.payload, t.body, extra)
	}
	m.at(t)
	m.stage = live
	s.positions = append(s.positions, Reached{len(s.out), sub.topic.name, protocol.Position{Epoch: *t.epoch, Seq: t.seq}})
	if head == protocol.UpdateHead && extra.Status == protocol.StatusLive { // else the quote is as old as its client made it
		s.observe(t, due, 1)
		s.sent = append(s.sent, sent{t, due})
	}
}

// head returns the beginning of the message in which the next quote is sent. To a client that wants
// every tick, one that does not follow the last is sent as a reset.
func (m *mark) head(sub *subscription, t *tick) string {
	switch {
	case m.stage == fresh:
		return protocol.SnapshotHead
	case m.stage == reset, m.stage == late && t.seq != 1, (m.stage == live || m.stage == resumed) && sub.all && !m.precedes(t) && t.seq != 1:
		return protocol.ResetHead
	}
	return protocol.UpdateHead
}

// openMessage begins a message of quotes.
func (s *shard) openMessage(head string) {
	s.head = head
	if s.binary != nil {
		s.payload = protocol.AppendBatchHead(s.payload[:0], head)
	} else {
		s.payload = append(s.payload[:0], head...)
	}
}

// closeMessage frames the message being built.
func (s *shard) closeMessage() {
	switch {
	case s.head == "":
		return
	case s.binary != nil:
		s.out = s.binary.AppendBinary(s.out, s.payload)
	default:
		s.append(append(s.payload, protocol.QuotesEnd...))
	}
	s.head = ""
}
