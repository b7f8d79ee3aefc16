package hub

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A subscription is one topic for one client; owned by shard.run. A wildcard has
// one for each topic it matches.
//
// Each tick touches every subscription of its topic, and there are more of them
// than of anything else: what a subscription usually needs is one cache line of
// 64 bytes, and the rest stands elsewhere (TestSubscriptionSize).
type subscription struct {
	client  *Client
	topic   *shardTopic
	pending *tick    // not yet sent; a newer tick replaces it
	pace    *pace    // nil: no max_rate
	backlog *backlog // nil: the newest is enough

	// What the client has: the last quote sent; epoch is nil before the first.
	epoch *string
	seq   uint64

	place uint32 // index in topic.subs
	// What is due besides: the topic's status, a snapshot instead of an update. A
	// snapshot with nothing pending waits for the topic to be followed.
	statusDue, snapshot bool
	queued              bool // stands in client.pending
	dead                bool // removed; whoever still holds it skips it
}

// A pace is the max_rate of a subscription.
type pace struct {
	sub      *subscription
	interval time.Duration // least time between two updates
	due      time.Duration // earliest time of the next, on the hub's clock
	waiting  bool          // stands in the wheel
	slot     uint16        // where, while it waits
	next     *pace         // in the wheel's slot
}

// due is the earliest time of the next update, on the hub's clock.
func (s *subscription) due() time.Duration {
	if s.pace == nil {
		return 0
	}
	return s.pace.due
}

// waits reports whether nothing is told yet: before the snapshot of a topic that is
// not followed yet, which tells the status too, and before Resume.
func (s *subscription) waits() bool {
	return s.snapshot && s.pending == nil || s.backlog != nil && s.backlog.held
}

// plain reports whether ticks that follow the last one sent can go out as the
// frames all clients share.
func (s *subscription) plain() bool {
	return !s.snapshot && !s.statusDue && s.topic.status.status == protocol.StatusLive
}

// precedes reports whether the last quote sent was the one just before t.
func (s *subscription) precedes(t *tick) bool { return t.seq == s.seq+1 && s.isEpoch(t.epoch) }

// has reports whether the client has t, or has had it.
func (s *subscription) has(t *tick) bool { return t.seq <= s.seq && s.isEpoch(t.epoch) }

// isEpoch reports whether the last quote sent was of this epoch.
func (s *subscription) isEpoch(epoch *string) bool {
	return s.epoch == epoch || s.epoch != nil && *s.epoch == *epoch
}

// setInterval makes the least time between two updates what its client asked for.
// A tick that waits goes by the new one, counted from the last update on.
func (s *subscription) setInterval(interval time.Duration) {
	shard := s.client.shard
	switch p := s.pace; {
	case p == nil && interval > 0:
		s.pace = &pace{sub: s, interval: interval}
	case p == nil || p.interval == interval:
	default:
		if p.due > 0 {
			p.due += interval - p.interval
		}
		p.interval = interval
		waited := p.waiting
		if waited {
			shard.wheel.remove(p)
		}
		if interval == 0 {
			s.pace = nil
		}
		if waited {
			shard.schedule(s, shard.now())
		}
	}
}
