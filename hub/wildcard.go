package hub

import (
	"slices"
	"strings"

	"github.com/fxcast/fxcast/protocol"
)

// IsWildcard reports whether a pattern is a wildcard ("*", "EUR/*" or "*/USD"). A wildcard also
// matches topics that do not exist yet.
func IsWildcard(pattern string) bool { return strings.Contains(pattern, "*") }

// families returns the two wildcards other than "*" that match a topic: "EUR/*" and "*/USD".
func (p *shardTopic) families() [2]string {
	base, quote, _ := strings.Cut(p.name, "/")
	return [2]string{base + "/*", "*/" + quote}
}

// expand lets wildcards match a topic. Clients with a matching wildcard get a subscription, and the
// first quote as an update. Ticks may have been accepted before this node followed the topic: for a
// subscription to every tick the first quote then comes as a reset.
func (s *shard) expand(p *shardTopic) {
	if p.expanded {
		return
	}
	p.expanded = true
	s.rounds++
	families := p.families()
	for _, family := range append(families[:], "*") {
		s.families[family] = append(s.families[family], p)
		for _, a := range slices.Clone(s.watchers[family]) { // a client that is too slow is closed, and its audience ends
			f := a.filters.match(p)
			if a.round == s.rounds || f.pattern == p.name {
				continue
			}
			a.round = s.rounds
			s.addLate(a, p, f)
		}
	}
	s.watchNew(p)
	s.spread()
}

// addLate adds a topic that wildcards now match.
func (s *shard) addLate(a *audience, p *shardTopic, f *filter) {
	sub := s.add(a, p, f)
	for _, c := range a.clients {
		m := &c.marks[sub.index]
		if p.begin(m); sub.all {
			m.stage = late
		}
		if p.value() == nil && p.status.status != protocol.StatusUnknown { // it may have an older status of this topic
			s.owe(c, m)
		}
	}
	switch {
	case p.value() == nil:
	case a.pace != nil:
		s.delay(sub)
	default:
		s.offer(sub, s.now())
	}
}

// contract ends the matching of wildcards. A client whose only match is a wildcard receives the
// status that is due, and loses its subscription.
func (s *shard) contract(p *shardTopic) {
	if p.topic.listed.Load() { // it is listed again
		return
	}
	s.take(p, s.now())
	s.spread()
	p.expanded = false
	families := p.families()
	for _, family := range append(families[:], "*") {
		s.families[family] = without(s.families[family], p)
	}
	for _, sub := range slices.Clone(p.subs) {
		if sub.audience.filters.match(p) != nil {
			continue
		}
		for _, c := range sub.audience.clients {
			if c.marks[sub.index].statusDue {
				c.reply(p.status.message(p.name).Append(nil))
			}
		}
		s.unsubscribe(sub)
	}
	s.unwatchOld(p)
}
