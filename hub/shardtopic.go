package hub

import (
	"slices"
	"strings"

	"github.com/fxcast/fxcast/protocol"
)

// A shardTopic is what one shard knows of a topic.
type shardTopic struct {
	// Static after construction.
	name   string
	number int32 // of the topic; orders a client's subscriptions
	topic  *topic
	shard  *shard

	// Guarded by shard.mail.mu.
	next       *tick         // newest that the shard has not collected; replaces an older one
	all        []*tick       // all that it has not collected, if wantsAll; next is the last
	nextStatus *statusChange // newest
	nextFollow *bool         // newest
	nextJump   jump          // newest
	dropped    bool          // last is to be forgotten before next is applied
	queued     bool          // stands in shard.mail.changed
	wanted     bool          // has subscriptions: the shard is woken for it
	wantsAll   bool          // has, or is about to have, backlogs
	overflowed bool          // all was full and was dropped

	// Owned by shard.run.
	last     *tick
	jump     jump
	expanded bool // wildcards match it
	followed bool // every tick comes
	status   statusChange
	subs     []*subscription
	backlogs int             // of subs: want every tick
	turn     int             // where the next fan-out starts, so that no client is always last
	awaiting []chan struct{} // closed when it is followed
}

// families returns the two wildcards that match a topic beside "*": "EUR/*" and "*/USD".
func (p *shardTopic) families() [2]string {
	base, quote, _ := strings.Cut(p.name, "/")
	return [2]string{base + "/*", "*/" + quote}
}

// adopt makes a topic known to this shard.
func (s *shard) adopt(p *shardTopic) { s.topics[p.name] = p }

// expand makes a topic known to wildcards: clients whose wildcards match it get a
// subscription, and its first quote as an update. Ticks may have been accepted before
// this node followed it: who wants every tick is told that with the first.
func (s *shard) expand(p *shardTopic) {
	p.expanded = true
	families := p.families()
	for _, family := range append(families[:], "*") {
		s.families[family] = append(s.families[family], p)
		for _, c := range slices.Clone(s.watchers[family]) { // a slow one may be closed meanwhile
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
				sub.statusDue = true // it may have been told otherwise, before the topic was spoken of
				s.enqueue(sub)
			}
		}
	}
}

// listen makes a topic wanted: the shard is woken for it from now on, and has
// what was published while nobody listened.
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

// News is what was published of a topic since the last look.
type news struct {
	tick       *tick   // the newest
	all        []*tick // all, if somebody wants them
	status     bool    // to be told
	overflowed bool    // some of all were dropped
	followed   bool    // it is from now on
}

// update moves what was published of a topic into the fields the shard owns.
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
