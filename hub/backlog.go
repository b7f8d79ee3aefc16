package hub

import (
	"context"
	"slices"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// maxBacklog bounds the ticks that wait for a client in all its backlogs together.
const maxBacklog = 8192

// A backlog holds the waiting ticks of a subscription that wants every tick.
type backlog struct {
	ticks   []*tick       // in the order of acceptance; ticks that the client already has are skipped when sent
	held    bool          // nothing is sent before Resume
	reset   bool          // the due snapshot reports that ticks were missed
	resumed time.Duration // when Resume added ticks that were missed, on the hub's clock; 0 = never
	first   bool          // the next quote is the first after a resume: it carries its epoch
	late    bool          // a wildcard matched the topic later: ticks before its first quote may be missing
}

// A Missed is a tick that a client missed before it reconnected.
type Missed struct {
	protocol.Position
	Body []byte // as in Publish, but kept
	At   int64  // acceptance in Unix microseconds
}

// Await waits until a topic is followed. It returns ctx's error if ctx ends first, and ErrClosed if
// the hub stops.
func (c *Client) Await(ctx context.Context, topic string) error {
	s := c.shard
	p := s.hub.topic(topic).inShard[s.index]
	followed := make(chan struct{})
	s.do(func() {
		s.take(p, s.now())
		if p.followed {
			close(followed)
			return
		}
		p.awaiting = append(p.awaiting, followed)
	})
	select {
	case <-followed:
		return nil
	case <-s.hub.done:
		return ErrClosed
	case <-ctx.Done():
		s.do(func() { p.awaiting = without(p.awaiting, followed) })
		return ctx.Err()
	}
}

// Resume continues a topic that Subscribe holds. missed are all ticks after from, in order; they
// must be read after Await returned. Their bodies are kept. The client receives protocol.Resumed,
// then these ticks and all that came since, without gap or duplicate.
//
// again is true if ticks are missing between missed and those that came since: read the missed
// ticks again and call Resume again. If complete is false, or if more ticks would wait than a
// backlog takes, the topic cannot be resumed: the client receives a snapshot that reports missed
// ticks. Resume does nothing if the topic is not held.
func (c *Client) Resume(topic string, from protocol.Position, missed []Missed, complete bool) (again bool) {
	p := c.shard.hub.topic(topic).inShard[c.shard.index]
	ticks := make([]*tick, 0, len(missed))
	epoch := &from.Epoch
	for _, m := range missed {
		if m.Epoch != *epoch {
			epoch = &m.Epoch
		}
		ticks = append(ticks, newTick(c.shard.hub.cfg.Framings[0], epoch, m.Seq, m.Body, m.At))
	}
	c.command(nil, func(s *shard) {
		s.take(p, s.now())
		sub := c.sub(p)
		if sub == nil || sub.backlog == nil || !sub.backlog.held {
			return
		}
		b := sub.backlog
		since, ok := after(b.ticks, &tick{epoch: &from.Epoch, seq: from.Seq}, ticks, p.last)
		switch {
		case !complete || int(c.backlogged)-len(b.ticks)+len(ticks)+len(since) > maxBacklog:
			c.snapshot(sub, true)
			b.reset, sub.snapshot = true, true // also where there is no value yet
		case !ok:
			again = true
		default:
			c.backlogged += int32(len(ticks) + len(since) - len(b.ticks))
			b.resumed = s.now()
			b.held, b.first, b.ticks = false, true, append(ticks, since...)
			sub.epoch, sub.seq = &from.Epoch, from.Seq
			c.reply(protocol.Resumed{Symbol: topic}.Append(nil))
			if sub.statusDue = p.status.status != protocol.StatusLive; sub.statusDue {
				s.enqueue(sub)
			}
			s.schedule(sub, s.now())
		}
	})
	return again
}

// after returns the held ticks that come after those that were read, and reports whether they do so
// without a gap. from stands in for the last read tick if none was read. last is the newest tick
// that the hub has.
func after(held []*tick, from *tick, read []*tick, last *tick) (since []*tick, ok bool) {
	end := from
	if len(read) > 0 {
		end = read[len(read)-1]
	}
	for i, t := range slices.Backward(held) {
		if *t.epoch == *end.epoch && t.seq <= end.seq {
			held = held[i+1:]
			break
		}
	}
	switch {
	case len(held) > 0:
		t := held[0]
		ok = *t.epoch == *end.epoch && t.seq == end.seq+1 || *t.epoch != *end.epoch && t.seq == 1
	case last == nil:
		ok = true
	default:
		ok = *last.epoch == *end.epoch && last.seq <= end.seq || last.at < end.at
	}
	return held, ok
}

// setAll adds or removes the backlog of a subscription and reports whether that changed anything.
func (sub *subscription) setAll(all bool) (changed bool) {
	s, p := sub.client.shard, sub.topic
	switch {
	case all == (sub.backlog != nil):
		return false
	case !all:
		sub.client.backlogged -= int32(len(sub.backlog.ticks))
		sub.backlog = nil
		if p.backlogs--; p.backlogs == 0 {
			s.mail.mu.Lock()
			p.wantsAll, p.all = false, nil
			s.mail.mu.Unlock()
		}
	default:
		// Keep every tick from now on, then collect all up to now: so none is lost in between.
		s.mail.mu.Lock()
		p.wantsAll = true
		s.mail.mu.Unlock()
		s.take(p, s.now())
		p.backlogs++
		sub.backlog, sub.pending = new(backlog), nil
	}
	return true
}

// hold makes a subscription wait for Resume.
func (sub *subscription) hold() {
	sub.forget(len(sub.backlog.ticks))
	sub.backlog.held, sub.backlog.reset, sub.backlog.first = true, false, false
	sub.pending, sub.snapshot = nil, false
}

// pushAll appends every tick to the subscriptions that want them all.
func (s *shard) pushAll(p *shardTopic, n news) {
	var slow []*Client // closing a client removes its subscriptions from p.subs
	for _, sub := range p.subs {
		if sub.backlog == nil {
			continue
		}
		full := n.overflowed
		for _, t := range n.all {
			full = full || !s.push(sub, t)
		}
		if full {
			slow = append(slow, sub.client)
		}
	}
	for _, c := range slow {
		s.end(c, protocol.CloseSlow)
	}
}

// push adds a tick to a backlog and reports whether there was room.
func (s *shard) push(sub *subscription, t *tick) bool {
	c, b := sub.client, sub.backlog
	if sub.snapshot && sub.pending == nil {
		sub.pending = t
		s.enqueue(sub)
		return true
	}
	if c.backlogged >= maxBacklog {
		return false
	}
	c.backlogged++
	b.ticks = append(b.ticks, t)
	s.schedule(sub, 0)
	return true
}

// forget drops the first n ticks of a backlog.
func (sub *subscription) forget(n int) {
	b := sub.backlog
	sub.client.backlogged -= int32(n)
	if n == len(b.ticks) {
		clear(b.ticks)
		b.ticks = b.ticks[:0]
		if cap(b.ticks) > 64 {
			b.ticks = nil
		}
		return
	}
	clear(b.ticks[:n])
	b.ticks = b.ticks[n:]
}

// settleOwed sends the status to subscriptions that wait for the snapshot of a topic which is now
// followed and has no value.
func (s *shard) settleOwed(p *shardTopic) {
	for _, sub := range p.subs {
		if !sub.snapshot || sub.pending != nil {
			continue
		}
		// With a reset due, the first tick still carries it.
		sub.snapshot = sub.backlog != nil && sub.backlog.reset
		if sub.client.isMatch(p.name, p) {
			sub.statusDue = true
			s.enqueue(sub)
		}
	}
}

// joinBacklogs appends up to room ticks of the backlogs. If ticks before one are missing, it goes
// out as a snapshot that reports so.
func (s *shard) joinBacklogs(batch []*subscription, room int) (quotes int) {
	p := append(s.payload[:0], protocol.UpdateHead...)
	flush := func() {
		if len(p) > len(protocol.UpdateHead) {
			s.append(append(p, protocol.QuotesEnd...))
		}
		p = append(s.payload[:0], protocol.UpdateHead...)
	}
	for _, sub := range batch {
		b := sub.backlog
		if sub.dead || b == nil || b.held || sub.snapshot {
			continue
		}
		n := 0
		for ; n < len(b.ticks) && quotes < room; n++ {
			t := b.ticks[n]
			switch {
			case sub.has(t):
				continue
			case sub.epoch == nil && !b.late || sub.precedes(t) || t.seq == 1:
				if len(p) > len(protocol.UpdateHead) {
					p = append(p, ',')
				}
				p = appendQuote(p, sub, t, false)
			default:
				flush()
				s.payload = append(appendQuote(append(s.payload[:0], protocol.ResetHead...), sub, t, true), protocol.QuotesEnd...)
				s.append(s.payload)
				p = append(s.payload[:0], protocol.UpdateHead...)
			}
			s.observe(t, b.resumed)
			quotes++
		}
		sub.forget(n)
	}
	flush()
	s.payload = p
	return quotes
}
