package hub

import (
	"slices"
	"time"
)

// A subscription is one topic for all clients of an audience. What each client has of the topic is
// in its mark with the same index; owned by shard.run. Clients with different symbols have as many of
// them as symbols, so the order of the fields saves memory.
type subscription struct {
	audience *audience
	topic    *shardTopic
	filter   *filter   // of the audience; the one that applies
	throttle *throttle // nil: no max_rate
	view     *view     // nil unless the audience has an aligned pace
	index    int32     // in audience.subs and in each client's marks
	place    int32     // in topic.subs
	gathered int32     // with a pace: ticks since the last beat, if every tick is wanted
	early    bool      // they go out before the next beat, whatever the view holds back
	all      bool      // every tick is wanted, not only the newest
}

// A throttle is the max_rate of a subscription. All its clients receive updates at the same times.
type throttle struct {
	alarm    // due at the earliest time of the next update
	sub      *subscription
	interval time.Duration // shortest time between two updates
	allowed  time.Duration // since when the last one was; a quote cannot have been due before
	reached  time.Duration // instant of the pace that the last one was for; 0: none
}

func newThrottle(sub *subscription, interval time.Duration) *throttle {
	t := &throttle{sub: sub, interval: interval}
	t.ringer = t
	return t
}

// due returns the ticks to be sent to a client with this mark, oldest first. The log of a topic is
// the one queue for all of its clients, and this is where the two modes differ: one takes the
// newest tick, the other takes every tick after the mark.
func (sub *subscription) due(m *mark) []*tick {
	log := sub.topic.log
	if v := sub.visible(m); v != nil {
		log = v.of(log, sub.all, m)
	}
	if len(log) == 0 {
		return nil
	}
	end := len(log) - 1
	if last := log[end]; m.has(last) {
		return nil
	} else if sub.all {
		return log[after(log, m):]
	}
	return log[end:]
}

// visible returns the view that bounds what a client with this mark may have, nil for no bound.
func (sub *subscription) visible(m *mark) *view {
	if sub.early || m.snapshot() || m.stage == held {
		return nil
	}
	return sub.view
}

// allowed returns since when the newest tick could be sent, on the hub's clock; 0 means since it
// was accepted.
func (sub *subscription) allowed() time.Duration {
	switch {
	case sub.audience.pace != nil:
		return sub.audience.pace.beat
	case sub.throttle != nil:
		return sub.throttle.allowed
	}
	return 0
}

// after returns the index in the log of the first tick after a mark.
func after(log []*tick, m *mark) int {
	end := len(log)
	if m.epoch == nil || end == 0 {
		return 0
	}
	if last := log[end-1]; m.isEpoch(last.epoch) && last.seq > m.seq { // without gaps the index is known
		if i := end - int(min(last.seq-m.seq, uint64(end))); i > 0 && m.has(log[i-1]) && !m.has(log[i]) {
			return i
		}
	}
	begins := 0 // where the mark's epoch begins, if nothing up to the mark is in the log any more
	for i, t := range slices.Backward(log) {
		if m.has(t) {
			return i + 1
		} else if m.isEpoch(t.epoch) {
			begins = i
		}
	}
	return begins
}

// size is the number of clients.
func (sub *subscription) size() int { return len(sub.audience.clients) }
