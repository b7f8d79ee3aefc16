package hub

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A subscription is one topic for one client; owned by shard.run. A wildcard has a subscription for
// each topic it matches.
//
// Each tick touches every subscription of its topic, and there are more of them than of anything
// else. So the fields needed in the usual case fit into one cache line of 64 bytes, and all others
// are kept elsewhere (TestSubscriptionSize).
type subscription struct {
	client  *Client
	topic   *shardTopic
	pending *tick    // not yet sent; a newer tick replaces it
	pace    *pace    // nil: no max_rate
	backlog *backlog // nil: only the newest tick is wanted

	// The last quote sent to the client; epoch is nil before the first.
	epoch *string
	seq   uint64

	place uint32 // index in topic.subs
	// The topic's status is due; a snapshot is due instead of an update. A snapshot without a
	// pending tick waits for the topic to be followed.
	statusDue, snapshot bool
	queued              bool // is in client.pending
	dead                bool // removed; lists that still contain it skip it
}

// A pace is the max_rate of a subscription.
type pace struct {
	sub      *subscription
	interval time.Duration // shortest time between two updates
	due      time.Duration // earliest time of the next update, on the hub's clock
	waiting  bool          // is in the wheel
	slot     uint16        // of the wheel, while waiting
	next     *pace         // in the wheel's slot
}

// due returns the earliest time of the next update, on the hub's clock.
func (s *subscription) due() time.Duration {
	if s.pace == nil {
		return 0
	}
	return s.pace.due
}

// waits reports whether nothing may be sent yet: before the snapshot of a topic that is not
// followed yet, which also carries the status, and before Resume.
func (s *subscription) waits() bool {
	return s.snapshot && s.pending == nil || s.backlog != nil && s.backlog.held
}

// plain reports whether the next ticks can be sent as the frames that all clients share.
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

// setInterval sets the shortest time between two updates, as the client requested. A waiting tick
// follows the new interval, counted from the last update.
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
