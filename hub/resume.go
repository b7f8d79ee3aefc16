package hub

import (
	"context"
	"slices"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// maxMissed bounds the ticks of a topic that a client can resume.
const maxMissed = 8192

// A Missed is a tick that a client missed before it reconnected.
type Missed struct {
	protocol.Position
	Body []byte // as in Publish, but kept
	At   int64  // acceptance in Unix microseconds
}

// missed is a client's own queue of the ticks of a topic that it missed. They are sent before those
// in the topic's log.
type missed struct {
	topic *shardTopic
	ticks []*tick
	at    time.Duration // when Resume was called, on the hub's clock: they were due then
}

// Await waits until a topic is followed. It returns ctx's error if ctx ends first, and ErrClosed if
// the hub stops.
func (c *Client) Await(ctx context.Context, topic string) error {
	s := c.shard
	p := s.hub.topic(topic).inShard[s.index]
	followed := make(chan struct{})
	s.do(func() {
		s.refresh(p)
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
// client may resume, the topic cannot be resumed: the client receives a snapshot that reports
// missed ticks. Resume does nothing if the topic is not held.
func (c *Client) Resume(topic string, from protocol.Position, missed []Missed, complete bool) (again bool) {
	p := c.shard.hub.topic(topic).inShard[c.shard.index]
	ticks := make([]*tick, 0, len(missed))
	epoch := &from.Epoch
	var before *tick
	for _, m := range missed {
		if m.Epoch != *epoch {
			epoch = &m.Epoch
		}
		before = newTick(c.shard.hub.cfg.Framings[0], p.topic.number, before, epoch, m.Seq, m.Body, m.At)
		ticks = append(ticks, before)
	}
	c.command(nil, func(s *shard) {
		s.refresh(p)
		if c.gone {
			return
		}
		sub := c.audience.find(p)
		if sub == nil || c.marks[sub.index].stage != held {
			return
		}
		m := &c.marks[sub.index]
		since, ok := continuation(sub.due(m), &tick{epoch: &from.Epoch, seq: from.Seq}, ticks, p.value())
		switch {
		case !complete || len(ticks)+len(since) > maxMissed:
			c.snapshot(sub, true)
			m.stage = reset // also where there is no value yet
		case !ok:
			again = true
		default:
			c.resume(sub, from, append(ticks, since...))
		}
	})
	return again
}

// resume makes the client's own queue of missed ticks due.
func (c *Client) resume(sub *subscription, from protocol.Position, ticks []*tick) {
	s, m := c.shard, &c.marks[sub.index]
	x := c.extra()
	x.missed = append(x.missed, &missed{topic: sub.topic, ticks: ticks, at: s.now()})
	m.epoch, m.seq, m.stage = &from.Epoch, from.Seq, resumed
	c.reply(protocol.Resumed{Symbol: sub.topic.name}.Append(nil))
	if m.statusDue = sub.topic.status.status != protocol.StatusLive; m.statusDue {
		c.statusDue = true
	}
	if c.audience.pace != nil {
		s.delay(sub)
	} else {
		c.pending.add(int(sub.index))
	}
	s.wantWrite(c)
}

// continuation returns the held ticks that come after those that were read, and reports whether
// they do so without a gap. from stands in for the last read tick if none was read. last is the
// newest tick that the hub has.
func continuation(held []*tick, from *tick, read []*tick, last *tick) (since []*tick, ok bool) {
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

// hold makes a subscription of a client wait for Resume.
func (c *Client) hold(sub *subscription) {
	m := &c.marks[sub.index]
	c.forgetMissed(sub.topic)
	if sub.topic.begin(m); sub.topic.value() != nil {
		m.at(sub.topic.value())
	}
	m.stage = held
	c.pending.remove(int(sub.index))
}

// missed returns the client's own queue of a topic, nil if it has none.
func (c *Client) missed(p *shardTopic) *missed {
	if c.extras != nil {
		for _, q := range c.extras.missed {
			if q.topic == p {
				return q
			}
		}
	}
	return nil
}

func (c *Client) forgetMissed(p *shardTopic) {
	if c.extras != nil {
		c.extras.missed = slices.DeleteFunc(c.extras.missed, func(q *missed) bool { return q.topic == p })
	}
}
