package hub

import (
	"slices"

	"github.com/fxcast/fxcast/protocol"
)

// A shardTopic is the state of a topic in one shard.
type shardTopic struct {
	// Static after construction.
	name   string
	number int32 // the topic's number; orders a client's subscriptions
	topic  *topic
	shard  *shard

	// Guarded by shard.mail.mu.
	next       []*tick       // not collected yet: every tick if wantsAll, else only the newest
	nextStatus *statusChange // newest
	nextFollow *bool         // newest
	nextJump   jump          // newest
	dropped    bool          // the last quote, if no tick is next, and all before are no snapshots any more
	cleared    bool          // forget the log before next is applied
	queued     bool          // is in shard.mail.changed
	wanted     bool          // has uses, so a change wakes the shard
	wantsAll   bool          // some of them want every tick
	overflowed bool          // next was full and its ticks were dropped

	// Owned by shard.run.
	log      []*tick // those that some client may not have yet, at least the newest; oldest first
	trimAt   int     // length of the log at which trim is worth its cost
	current  bool    // the newest tick is the topic's value: it may be a snapshot
	jump     jump
	expanded bool // wildcards match it
	followed bool // every tick is published
	status   statusChange
	subs     []*subscription // one per audience
	every    int             // subs that want every tick
	views    []*view         // of aligned paces
	awaiting []chan struct{} // closed when the topic is followed
	found    *subscription   // of the audience that was located last
	kept     sentTicks       // for clients of binary quotes
	uses     int             // 1 if there are subs, and 1 for each series with watchers
}

// last returns the newest tick of the topic, or nil.
func (p *shardTopic) last() *tick {
	if len(p.log) == 0 {
		return nil
	}
	return p.log[len(p.log)-1]
}

// value returns the tick that a snapshot shows, or nil.
func (p *shardTopic) value() *tick {
	if !p.current {
		return nil
	}
	return p.last()
}

// begin makes a mark that of a client without a quote of this topic: the value is due, if there is
// one, and nothing before it.
func (p *shardTopic) begin(m *mark) {
	*m = mark{statusDue: m.statusDue}
	if p.value() != nil {
		m.before(p.value())
	} else if p.last() != nil {
		m.at(p.last())
	}
}

// adopt adds a topic to those this shard knows.
func (s *shard) adopt(p *shardTopic) { s.topics[p.name] = p }

// listen adds a use of a topic. The first one makes it wanted: from now on a change wakes the shard.
// It also collects what was published while the topic had no use.
func (s *shard) listen(p *shardTopic) {
	if p.uses++; p.uses > 1 {
		return
	}
	s.mail.mu.Lock()
	p.wanted = true
	s.mail.mu.Unlock()
	s.update(p)
	if p.topic.listeners.Add(1) == 1 && s.hub.cfg.Interest != nil {
		s.hub.cfg.Interest(p.name)
	}
}

// ignore undoes one listen.
func (s *shard) ignore(p *shardTopic) {
	if p.uses--; p.uses > 0 {
		return
	}
	s.mail.mu.Lock()
	p.wanted = false
	s.mail.mu.Unlock()
	if p.topic.listeners.Add(-1) == 0 && s.hub.cfg.Interest != nil {
		s.hub.cfg.Interest(p.name)
	}
}

// keepAll keeps every tick of a topic from now on, then collects all up to now: so none is lost in
// between.
func (s *shard) keepAll(p *shardTopic) {
	if p.every++; p.every > 1 {
		return
	}
	s.keep(p)
	p.trimAt = logTicks
	s.refresh(p)
}

// keepNewest undoes one keepAll. After the last one only the newest tick is kept.
func (s *shard) keepNewest(p *shardTopic) {
	if p.every--; p.every > 0 {
		return
	}
	s.keep(p)
	if n := len(p.log); n > 1 {
		p.log = []*tick{p.log[n-1]}
	}
}

// keep decides which ticks of a topic are kept until they are collected: all, or only the newest.
func (s *shard) keep(p *shardTopic) {
	s.mail.mu.Lock()
	defer s.mail.mu.Unlock()
	p.wantsAll = p.every+len(p.views) > 0
	if n := len(p.next); n > 1 && !p.wantsAll {
		p.next = slices.Delete(p.next, 0, n-1)
	}
}

// logTicks is the length up to which a log is not trimmed.
const logTicks = 64

// trim removes the ticks of a log that every client has. Clients for which more than allTicks wait
// are closed, and after an overflow all that want every tick.
func (s *shard) trim(p *shardTopic, overflowed bool) {
	keep := min(1, len(p.log))
	var slow []*Client // closing a client changes the audiences
	for _, sub := range p.subs {
		if !sub.all {
			continue
		}
		for _, c := range sub.audience.clients {
			n := len(p.log) - after(p.log, c.needs(sub))
			if n > allTicks || overflowed {
				slow = append(slow, c)
			} else {
				keep = max(keep, n)
			}
		}
	}
	if n := len(p.log) - keep; n > 0 {
		p.log = slices.Delete(p.log, 0, n)
		if cap(p.log) > 2*logTicks && cap(p.log) > 4*keep {
			p.log = slices.Clone(p.log)
		}
	}
	p.trimAt = min(2*keep+logTicks, allTicks)
	for _, c := range slow {
		s.end(c, protocol.CloseSlow)
	}
}

// needs returns the mark of a client after which it needs the log of a topic.
func (c *Client) needs(sub *subscription) *mark {
	m := &c.marks[sub.index]
	if m.stage != resumed {
		return m
	}
	if q := c.missed(sub.topic); q != nil && len(q.ticks) > 0 {
		end := mark{}
		end.at(q.ticks[len(q.ticks)-1])
		return &end
	}
	return m
}

// settle sends the status to clients that wait for the snapshot of a topic which is now followed
// and has no value.
func (s *shard) settle(p *shardTopic) {
	for _, sub := range p.subs {
		for _, c := range sub.audience.clients {
			m := &c.marks[sub.index]
			if !m.snapshot() || len(sub.due(m)) > 0 {
				continue
			}
			if m.stage == fresh { // with a reset due, the first tick still carries it
				p.begin(m)
			}
			if sub.filter.pattern == p.name {
				s.owe(c, m)
			}
		}
	}
}

// news is what was published of a topic since it was last collected.
type news struct {
	ticks      int  // how many were added to the log
	status     bool // there is a status to send
	overflowed bool // some ticks were dropped
	followed   bool // the topic is followed from now on
}

// update moves what was published of a topic into the fields that the shard owns.
func (s *shard) update(p *shardTopic) news {
	s.mail.mu.Lock()
	s.news = append(s.news[:0], p.next...)
	clear(p.next)
	if p.next = p.next[:0]; cap(p.next) > logTicks {
		p.next = nil
	}
	n := news{ticks: len(s.news), overflowed: p.overflowed}
	status, follow, dropped, cleared, jumped := p.nextStatus, p.nextFollow, p.dropped, p.cleared, p.nextJump
	p.nextStatus, p.nextFollow, p.dropped, p.cleared, p.overflowed, p.nextJump = nil, nil, false, false, false, jump{}
	s.mail.mu.Unlock()
	if cleared {
		p.log = nil
	}
	for _, v := range p.views {
		if cleared {
			v.newest, v.later = v.newest[:0], v.later[:0]
		}
		for _, t := range s.news {
			v.add(t)
		}
	}
	if p.every == 0 && n.ticks > 0 {
		p.log = append(p.log[:0], s.news[n.ticks-1])
	} else {
		p.log = append(p.log, s.news...)
	}
	clear(s.news)
	p.current = !dropped && (p.current || n.ticks > 0)
	if status != nil {
		n.status = p.status.status != status.status || status.source != ""
		p.status = *status
	}
	if jumped.epoch != nil {
		p.jump = jumped
	}
	if follow != nil {
		n.followed = *follow && !p.followed
		p.followed = *follow
	}
	if n.followed {
		for _, ch := range p.awaiting {
			close(ch)
		}
		p.awaiting = nil
	}
	return n
}
