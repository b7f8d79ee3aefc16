package hub

import "slices"

// A view is what the clients of an aligned pace may have of a topic: the ticks accepted before the
// instant that their pace has reached.
type view struct {
	pace     *pace
	newest   []*tick // the newest one of them, if there is one
	later    []*tick // the newest of each interval after it, oldest first
	users    int     // subscriptions
	advanced bool    // by the beat under way
}

// view returns the view of a topic for a pace with align, for one more subscription. Every tick is
// kept for it, since the newest of an interval counts.
func (s *shard) view(p *shardTopic, of *pace) *view {
	for _, v := range p.views {
		if v.pace == of {
			v.users++
			return v
		}
	}
	v := &view{pace: of, users: 1}
	p.views, of.views = append(p.views, v), append(of.views, v)
	if len(p.views) == 1 {
		s.keep(p)
		s.refresh(p)
	}
	v.later = v.later[:0]
	for _, t := range p.log {
		v.add(t)
	}
	instant, _ := s.next(of, 0)
	if v.advance(instant.Microseconds()) {
		s.set(of, v.later[0].at)
	}
	v.advanced = false
	return v
}

// unview ends the use of a view by a subscription.
func (s *shard) unview(sub *subscription) {
	v := sub.view
	if v.users--; v.users > 0 {
		return
	}
	v.pace.views = without(v.pace.views, v)
	if sub.topic.views = without(sub.topic.views, v); len(sub.topic.views) == 0 {
		s.keep(sub.topic)
	}
}

// add adds a tick that was just received. A clock that went back cannot hold it back for long: it
// replaces ticks that claim to be later.
func (v *view) add(t *tick) {
	every := v.pace.every.Microseconds()
	for n := len(v.later); n > 0 && v.later[n-1].at/every >= t.at/every; n-- {
		v.later = v.later[:n-1]
	}
	v.later = append(v.later, t)
}

// advance lets clients have what was accepted before an instant, and reports whether there is more.
func (v *view) advance(instant int64) (more bool) {
	n := 0
	for n < len(v.later) && v.later[n].at < instant {
		n++
	}
	if n > 0 {
		v.newest = append(v.newest[:0], v.later[n-1])
		v.later = slices.Delete(v.later, 0, n)
		v.advanced = true
	}
	return len(v.later) > 0
}

// of returns that part of the log of a topic which a client with this mark may have.
func (v *view) of(log []*tick, all bool, m *mark) []*tick {
	if len(v.newest) == 0 || v.passedBy(m) {
		return nil
	}
	if !all {
		return v.newest
	}
	for i, t := range slices.Backward(log) {
		if t == v.newest[0] {
			return log[:i+1]
		}
	}
	return nil
}

// passedBy reports whether a client has a tick of an epoch that the view has not reached yet, from a
// snapshot.
func (v *view) passedBy(m *mark) bool {
	return m.epoch != nil && !m.isEpoch(v.newest[0].epoch) &&
		slices.ContainsFunc(v.later, func(t *tick) bool { return m.isEpoch(t.epoch) })
}
