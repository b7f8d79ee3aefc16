package hub

import (
	"crypto/sha256"
	"slices"
)

// An audienceKey is the same for equal filters and rhythms only. It is a hash, since their text would
// take more memory than they do.
type audienceKey [sha256.Size]byte

// An audience is all clients of a shard with the same filters. They share their subscriptions: a
// quote is offered once to an audience, and then a bit is set for each of its clients. Owned by
// shard.run.
type audience struct {
	key     audienceKey
	filters filters
	pace    *pace // nil: none
	subs    []*subscription
	clients []*Client

	changed bitset // indexes of subs with ticks that the clients do not know yet
	touched bool   // is in shard.touched
	limited bitset // indexes of subs with max_rate; nil: none has
	every   bitset // indexes of subs to every tick
	turn    int    // where the next round starts, so that no client is always last
	round   uint64 // of expand, when it was last visited
	delayed bitset // with a pace: indexes of subs that are due with its next beat
}

// audience returns the audience with these filters and this rhythm. A new one takes over the throttles of the one
// that its first client leaves.
func (s *shard) audience(fs filters, r rhythm, from *audience) *audience {
	s.text = fs.ranked().appendKey(r.appendKey(s.text[:0]))
	key := audienceKey(sha256.Sum256(s.text))
	if a := s.audiences[key]; a != nil {
		return a
	}
	a := &audience{key: key, filters: fs, pace: s.paceOf(r)}
	s.audiences[a.key] = a
	if a.pace != nil {
		a.pace.audiences = append(a.pace.audiences, a)
	}
	a.subs = make([]*subscription, 0, len(fs))
	for i := range fs {
		f := &fs[i]
		if IsWildcard(f.pattern) {
			s.watchers[f.pattern] = append(s.watchers[f.pattern], a)
		}
		for _, p := range s.matching(f.pattern) {
			if fs.match(p) == f {
				if f.pattern == p.name {
					f.pattern = p.name // the topic's string, which many audiences share
				}
				s.add(a, p, f)
			}
		}
	}
	if from != nil {
		from.locate()
		for _, sub := range a.subs {
			if was := from.at(sub.topic); sub.throttle != nil && was != nil && was.throttle != nil && was.throttle.due > 0 {
				sub.throttle.due = was.throttle.due + sub.throttle.interval - was.throttle.interval
				if a.pace == from.pace {
					sub.throttle.reached = was.throttle.reached
				}
			}
		}
	}
	return a
}

// locate prepares at.
func (a *audience) locate() {
	for _, sub := range a.subs {
		sub.topic.found = sub
	}
}

// at returns the audience's subscription to a topic, nil if it has none. It follows a call of
// locate, with none for another audience in between.
func (a *audience) at(p *shardTopic) *subscription {
	if p.found == nil || p.found.audience != a {
		return nil
	}
	return p.found
}

// find returns the audience's subscription to a topic, nil if it has none.
func (a *audience) find(p *shardTopic) *subscription {
	for _, sub := range a.subs {
		if sub.topic == p {
			return sub
		}
	}
	return nil
}

// add adds a topic to an audience; its clients get a mark without a quote.
func (s *shard) add(a *audience, p *shardTopic, f *filter) *subscription {
	if len(p.subs) == 0 {
		s.listen(p)
	}
	if f.all {
		s.keepAll(p)
	}
	var v *view
	if a.pace != nil && a.pace.align {
		v = s.view(p, a.pace)
	}
	i := len(a.subs)
	sub := &subscription{audience: a, topic: p, filter: f, index: int32(i), place: int32(len(p.subs)), all: f.all, view: v}
	a.subs, p.subs = append(a.subs, sub), append(p.subs, sub)
	a.changed, a.every, a.delayed = a.changed.resized(i+1), a.every.resized(i+1), a.delayed.resized(i+1)
	a.every.set(i, f.all)
	if f.interval > 0 {
		sub.throttle = newThrottle(sub, f.interval)
	}
	if f.interval > 0 || a.limited != nil {
		a.limited = a.limited.resized(i + 1)
		a.limited.set(i, f.interval > 0)
	}
	for _, c := range a.clients {
		c.marks, c.pending = append(c.marks, mark{}), c.pending.resized(i+1)
	}
	s.stats.subscriptions.Add(int64(len(a.clients)))
	return sub
}

// unsubscribe removes a subscription from its audience and its topic. The last one takes its index.
func (s *shard) unsubscribe(sub *subscription) {
	a, i, last := sub.audience, int(sub.index), len(sub.audience.subs)-1
	for _, c := range a.clients {
		c.forgetMissed(sub.topic)
		c.marks[i] = c.marks[last]
		c.marks = c.marks[:last]
		c.pending.set(i, c.pending.has(last))
		c.pending = c.pending.resized(last)
		c.turn = 0
	}
	a.subs[i] = a.subs[last]
	a.subs[i].index = int32(i)
	a.subs[last] = nil
	a.subs = a.subs[:last]
	for _, set := range []*bitset{&a.changed, &a.every, &a.limited, &a.delayed} {
		if *set != nil {
			set.set(i, set.has(last))
			*set = set.resized(last)
		}
	}
	s.stats.subscriptions.Add(-int64(len(a.clients)))
	s.detach(sub)
}

// detach ends the use of a topic by a subscription.
func (s *shard) detach(sub *subscription) {
	p := sub.topic
	moved := p.subs[len(p.subs)-1]
	p.subs[sub.place], moved.place = moved, sub.place
	p.subs[len(p.subs)-1] = nil
	p.subs = p.subs[:len(p.subs)-1]
	if sub.throttle != nil && sub.throttle.waiting {
		s.wheel.remove(&sub.throttle.alarm)
	}
	if sub.view != nil {
		s.unview(sub)
	}
	if sub.all {
		s.keepNewest(p)
	}
	if len(p.subs) == 0 {
		s.ignore(p)
	}
}

// enter adds a client with its marks to an audience.
func (s *shard) enter(c *Client, a *audience, marks []mark, pending bitset) {
	c.audience, c.marks, c.pending = a, marks, append(c.words[:0], pending...)
	c.seat, c.turn = int32(len(a.clients)), 0
	a.clients = append(a.clients, c)
	s.stats.subscriptions.Add(int64(len(a.subs)))
}

// leave removes a client from its audience. The audience ends with its last client.
func (s *shard) leave(c *Client) {
	a := c.audience
	if a == nil { // it has not joined
		return
	}
	moved := a.clients[len(a.clients)-1]
	a.clients[c.seat], moved.seat = moved, c.seat
	a.clients[len(a.clients)-1] = nil
	a.clients = a.clients[:len(a.clients)-1]
	c.audience, c.marks, c.pending = nil, nil, nil
	s.stats.subscriptions.Add(-int64(len(a.subs)))
	s.dissolve(a)
}

// dissolve ends an audience without clients.
func (s *shard) dissolve(a *audience) {
	if len(a.clients) > 0 {
		return
	}
	for _, sub := range a.subs {
		s.detach(sub)
	}
	a.subs = nil
	for _, f := range a.filters {
		if IsWildcard(f.pattern) {
			s.watchers[f.pattern] = without(s.watchers[f.pattern], a)
		}
	}
	delete(s.audiences, a.key)
	s.endPace(a)
}

// move gives a client other filters, or another rhythm. What it has of a topic that the new filters match too stays,
// except that a change between every tick and the newest makes a snapshot due.
func (s *shard) move(c *Client, fs filters, r rhythm) {
	old := c.audience
	a := s.audience(fs, r, old)
	if a == old {
		return
	}
	if c.gone { // too slow for every tick
		s.dissolve(a)
		return
	}
	marks, pending := make([]mark, len(a.subs)), bitset(nil).resized(len(a.subs))
	var snapshots []int
	now := s.now()
	old.locate()
	for i, sub := range a.subs {
		was := old.at(sub.topic)
		if was == nil {
			sub.topic.begin(&marks[i])
			continue
		}
		m := c.marks[was.index]
		marks[i] = m
		switch {
		case sub.all != was.all:
			snapshots = append(snapshots, i)
		case a.pace != nil && !m.snapshot():
			if len(sub.due(&m)) > 0 || m.stage == resumed {
				s.delay(sub)
			}
		case sub.throttle == nil || m.stage != live && m.stage != first:
			pending.set(i, len(sub.due(&m)) > 0 || m.stage == resumed)
		case len(sub.due(&m)) > 0:
			s.await(sub, now)
		}
	}
	s.leave(c)
	s.enter(c, a, marks, pending)
	if x := c.extras; x != nil {
		x.missed = slices.DeleteFunc(x.missed, func(q *missed) bool { return a.find(q.topic) == nil })
	}
	for _, i := range snapshots {
		c.snapshot(a.subs[i], false)
	}
	s.wantWrite(c)
}
