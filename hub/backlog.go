package hub

import (
	"context"
	"slices"

	"github.com/fxcast/fxcast/protocol"
)

// maxBacklog is how many ticks may wait for a client in all its backlogs.
const maxBacklog = 8192

// A backlog is what waits of a subscription that wants every tick.
type backlog struct {
	ticks []*tick // in the order of acceptance; what the client has already is skipped when sent
	held  bool    // nothing is sent before Resume
	reset bool    // the snapshot that is due says that ticks were missed
	first bool    // the next quote is the first of a topic that was resumed: it tells its epoch
	late  bool    // a wildcard's, of a topic spoken of later: ticks before its first quote were not received
}

// A Missed tick is one that a client did not get before it came back.
type Missed struct {
	protocol.Position
	Body []byte // as of Publish; kept
	At   int64
}

// Await returns when a topic is followed, with the context's error if it is not in
// time, or with ErrClosed.
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

// Resume ends the waiting of a topic that Subscribe was told to hold. missed are
// all ticks after from, read after the topic was followed. The client is told that
// it has resumed, and gets them and whatever came since, without gap or double.
//
// It returns again when ticks are missing between missed and those that came
// since: read once more. If complete is false, or the topic is not held any more,
// there is nothing to resume: the client gets a snapshot that says so.
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

// after returns those of the held ticks that come after the ones that were read,
// and whether they do so without a gap. from stands for the last of none read; last
// is the newest the hub has.
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

// setAll gives a subscription a backlog, or takes it away, and reports whether
// that changed anything.
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
		// First every tick is kept, then all up to now is taken: none is lost between.
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

// pushAll gives every tick to those subscriptions that want them.
func (s *shard) pushAll(p *shardTopic, n news) {
	var slow []*Client // closing one takes its subscriptions out of the list
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

// settleOwed tells who waits for a snapshot of a topic that is followed now and has
// no value.
func (s *shard) settleOwed(p *shardTopic) {
	for _, sub := range p.subs {
		if !sub.snapshot || sub.pending != nil {
			continue
		}
		// After a reset the first tick still says so.
		sub.snapshot = sub.backlog != nil && sub.backlog.reset
		if sub.client.isMatch(p.name, p) {
			sub.statusDue = true
			s.enqueue(sub)
		}
	}
}

// joinBacklogs appends up to room ticks of the backlogs. Where ticks are missing
// before one, it goes out as a snapshot that says so.
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
			s.observe(t)
			quotes++
		}
		sub.forget(n)
	}
	flush()
	s.payload = p
	return quotes
}
