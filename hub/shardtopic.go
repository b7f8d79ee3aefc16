package hub

import (
	"slices"
	"strings"

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
	next       *tick         // newest tick not collected yet; replaces an older one
	all        []*tick       // all ticks not collected yet, if wantsAll; next is the last
	nextStatus *statusChange // newest
	nextFollow *bool         // newest
	nextJump   jump          // newest
	dropped    bool          // forget last before next is applied
	queued     bool          // is in shard.mail.changed
	wanted     bool          // has subscriptions, so a change wakes the shard
	wantsAll   bool          // has backlogs or is about to
	overflowed bool          // all was full and its ticks were dropped

	// Owned by shard.run.
	last     *tick
	jump     jump
	expanded bool // wildcards match it
	followed bool // every tick is published
	status   statusChange
	subs     []*subscription
	backlogs int             // subs that want every tick
	turn     int             // where the next fan-out starts, so that no client is always last
	awaiting []chan struct{} // closed when the topic is followed
}

// families returns the two wildcards other than "*" that match a topic: "EUR/*" and "*/USD".
func (p *shardTopic) families() [2]string {
	base, quote, _ := strings.Cut(p.name, "/")
	return [2]string{base + "/*", "*/" + quote}
}

// adopt adds a topic to those this shard knows.
func (s *shard) adopt(p *shardTopic) { s.topics[p.name] = p }

// expand lets wildcards match a topic. Clients with a matching wildcard get a subscription, and the
// first quote as an update. Ticks may have been accepted before this node followed the topic: for a
// subscription to every tick the first quote then comes as a reset.
func (s *shard) expand(p *shardTopic) {
	if p.expanded {
		return
	}
	p.expanded = true
	families := p.families()
	for _, family := range append(families[:], "*") {
		s.families[family] = append(s.families[family], p)
		for _, c := range slices.Clone(s.watchers[family]) { // a slow client may be closed meanwhile
			if c.gone {
				continue
			}
			had := c.sub(p) != nil
			sub := c.resolve(p)
			if sub != nil && !had && sub.backlog != nil {
				sub.backlog.late = true
			}
			switch {
			case sub == nil || had:
			case p.last != nil && sub.backlog != nil:
				s.push(sub, p.last)
			case p.last != nil:
				s.offer(sub, p.last, s.now())
			case p.status.status != protocol.StatusUnknown:
				sub.statusDue = true // the client may have an older status of this topic
				s.enqueue(sub)
			}
		}
	}
}

// contract ends the matching of wildcards. A client whose only match is a wildcard receives the
// status that is due, and loses its subscription.
func (s *shard) contract(p *shardTopic) {
	if p.topic.listed.Load() { // it is listed again
		return
	}
	s.take(p, s.now())
	p.expanded = false
	families := p.families()
	for _, family := range append(families[:], "*") {
		s.families[family] = without(s.families[family], p)
	}
	for _, sub := range slices.Clone(p.subs) {
		c := sub.client
		if c.match(p) != nil {
			continue
		}
		if sub.statusDue {
			c.reply(p.status.message(p.name).Append(nil))
		}
		s.unsubscribe(sub)
	}
}

// listen makes a topic wanted: from now on a change wakes the shard. It also collects what was
// published while the topic had no subscription.
func (s *shard) listen(p *shardTopic) {
	s.mail.mu.Lock()
	wanted := p.wanted
	p.wanted = true
	s.mail.mu.Unlock()
	if wanted {
		return
	}
	s.update(p)
	if p.topic.listeners.Add(1) == 1 && s.hub.cfg.Interest != nil {
		s.hub.cfg.Interest(p.name)
	}
}

func (s *shard) ignore(p *shardTopic) {
	s.mail.mu.Lock()
	p.wanted, p.wantsAll, p.all = false, false, nil
	s.mail.mu.Unlock()
	if p.topic.listeners.Add(-1) == 0 && s.hub.cfg.Interest != nil {
		s.hub.cfg.Interest(p.name)
	}
}

// news is what was published of a topic since it was last collected.
type news struct {
	tick       *tick   // the newest one
	all        []*tick // every tick, if a subscription wants them
	status     bool    // there is a status to send
	overflowed bool    // some ticks of all were dropped
	followed   bool    // the topic is followed from now on
}

// update moves what was published of a topic into the fields that the shard owns.
func (s *shard) update(p *shardTopic) news {
	s.mail.mu.Lock()
	n := news{tick: p.next, all: p.all, overflowed: p.overflowed}
	status, follow, dropped, jumped := p.nextStatus, p.nextFollow, p.dropped, p.nextJump
	p.next, p.all, p.nextStatus, p.nextFollow, p.dropped, p.overflowed = nil, nil, nil, nil, false, false
	p.nextJump = jump{}
	s.mail.mu.Unlock()
	if dropped {
		p.last = nil
	}
	if status != nil {
		n.status = p.status.status != status.status || status.source != ""
		p.status = *status
	}
	if n.tick != nil {
		p.last = n.tick
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
