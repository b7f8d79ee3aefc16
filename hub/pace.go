package hub

import (
	"encoding/binary"
	"math"
	"time"
)

// pacedQuotes bounds the quotes of one batch to a client with a pace, and so what waits for a client
// that does not read; the rest follows at once.
const pacedQuotes = 2048

// A rhythm is what a client asks of its pace. The zero value means no pace.
type rhythm struct {
	every time.Duration
	align bool // the frame of an instant has what was accepted before it
}

// A pace is a rhythm for all clients of a shard that asked for it. Between two beats quotes wait in
// their audiences, so a tick costs nothing per client. A beat makes them due for all clients, which
// then share what is built. It is set only while something waits.
//
// Without align, beats are at multiples of every on the hub's clock. With align, they are just after
// the instants that are multiples of every on the clock of Redis, and a view of each topic holds
// back what was accepted later.
type pace struct {
	alarm
	rhythm
	audiences []*audience
	views     []*view
	instant   time.Duration // that the next beat is for; with align, since 1970
	reached   time.Duration // that the last beat was for
	beat      time.Duration // when the last one was; a quote cannot have been due before
}

// appendKey appends a text that is the same for equal rhythms only, and of the same length for all.
func (r rhythm) appendKey(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.every)<<1)
	if r.align {
		dst[len(dst)-1]++
	}
	return dst
}

// paceOf returns the pace with a rhythm, nil for none.
func (s *shard) paceOf(r rhythm) *pace {
	if r.every == 0 {
		return nil
	}
	p := s.paces[r]
	if p == nil {
		p = &pace{rhythm: r}
		p.ringer = p
		s.paces[r] = p
	}
	return p
}

// rhythm returns what the clients of an audience asked for.
func (a *audience) rhythm() rhythm {
	if a.pace == nil {
		return rhythm{}
	}
	return a.pace.rhythm
}

// endPace ends the use of its pace by an audience.
func (s *shard) endPace(a *audience) {
	p := a.pace
	if p == nil {
		return
	}
	p.audiences = without(p.audiences, a)
	if len(p.audiences) > 0 {
		return
	}
	if p.waiting {
		s.wheel.remove(&p.alarm)
	}
	delete(s.paces, p.rhythm)
}

// delay makes a subscription with a pace due with the next beat.
func (s *shard) delay(sub *subscription) {
	sub.audience.delayed.add(int(sub.index))
	s.set(sub.audience.pace, 0)
}

// set sets the next beat, for a tick that was accepted at, in Unix microseconds, or earlier.
func (s *shard) set(p *pace, at int64) {
	if p.waiting {
		return
	}
	p.instant, p.due = s.next(p, at)
	s.wheel.add(&p.alarm)
	if p.align {
		s.upcoming = min(s.upcoming, p.instant)
	}
}

// hasten makes the beats of aligned paces due whose ticks have all been received, as the newest one
// shows. It leaves some time for a tick that another goroutine is about to publish.
func (s *shard) hasten(newest, now time.Duration) {
	const soon = 2 * time.Millisecond
	s.upcoming = math.MaxInt64
	for _, p := range s.paces {
		switch {
		case !p.align || !p.waiting || p.due <= now+soon:
		case p.instant > newest:
			s.upcoming = min(s.upcoming, p.instant)
		default:
			s.wheel.remove(&p.alarm)
			p.due = now + soon
			s.wheel.add(&p.alarm)
		}
	}
}

// next returns the instant that the next beat is for, and when the beat is due, on the hub's clock.
func (s *shard) next(p *pace, at int64) (instant, due time.Duration) {
	now := s.now()
	if p.waiting {
		return p.instant, p.due
	} else if !p.align {
		instant = now - now%p.every + p.every
		return instant, instant
	}
	ahead := s.hub.clock.ahead(s.hub.start)
	from := max(microseconds(at), now+ahead-redisWait)
	instant = from - from%p.every + p.every
	if instant <= p.reached && p.reached <= from+p.every { // else the clock went back
		instant = p.reached + p.every
	}
	return instant, instant - ahead + redisWait
}

// ring implements ringer: it is the beat.
func (p *pace) ring(s *shard, now time.Duration) {
	if p.due > now {
		s.wheel.add(&p.alarm)
		return
	}
	passed := now // what lies before the latest instant that has passed is due
	if p.align {
		passed += s.hub.clock.ahead(s.hub.start) - redisWait
	}
	p.reached, p.beat = max(p.instant, passed-passed%p.every), now
	waiting := false
	for _, v := range p.views {
		waiting = v.advance(p.reached.Microseconds()) || waiting
	}
	for _, a := range p.audiences {
		waiting = s.release(a) || waiting
	}
	for _, v := range p.views {
		v.advanced = false
	}
	s.generation++
	if waiting {
		s.set(p, 0)
	}
}

// release makes what waits in an audience due, unless max_rate holds it back: then it reports that
// something waits.
func (s *shard) release(a *audience) (waiting bool) {
	p := a.pace
	for _, sub := range a.subs {
		sub.early, sub.gathered = false, 0
		if sub.view != nil && sub.view.advanced {
			a.delayed.add(int(sub.index))
		}
	}
	s.indexes = a.delayed.appendTo(s.indexes[:0], 0)
	for _, i := range s.indexes {
		sub := a.subs[i]
		if t := sub.throttle; t != nil {
			if !t.allows(p) {
				waiting = true
				continue
			}
			t.reached, t.due = p.reached, p.beat+t.interval
		}
		a.delayed.remove(i)
		s.touch(sub)
	}
	return waiting
}

// allows reports whether max_rate allows an update with a beat. The instants count, not the moments
// of the beats, so that a rate which fits the pace is reached.
func (t *throttle) allows(p *pace) bool {
	if t.reached == 0 {
		return t.due <= p.beat
	}
	return t.reached > p.reached || t.reached+t.interval <= p.reached // the first: the clock went back
}

// gather makes new ticks of a subscription with a pace wait for the next beat. Every tick is wanted:
// they go out earlier when half of the queue is full. first means that the topic had no value: then
// clients may wait for it as their snapshot, which is not held back.
func (s *shard) gather(sub *subscription, ticks int, first bool) {
	a, i := sub.audience, int(sub.index)
	if first {
		for _, c := range a.clients {
			if c.marks[i].snapshot() {
				c.pending.add(i)
				s.wantWrite(c)
			}
		}
	}
	if sub.all {
		if sub.gathered += int32(ticks); sub.gathered >= allTicks/2 {
			sub.early, sub.gathered = true, 0
			s.touch(sub)
			return
		}
	} else if a.delayed.has(i) {
		s.stats.conflated.n += uint64(sub.size() * ticks)
	}
	if sub.view == nil {
		s.delay(sub)
	}
}

// Pace holds the client's quotes back, so that they come at most once per interval, all that changed
// in one message, and answers with ack. Nothing else is held back, and neither are snapshots. Mode
// all sends early what fills half of its queue. With align, the message of an instant, a multiple of
// every on the clock that stamps ticks, has of each topic the newest tick accepted before it. Every
// 0 ends the pace.
func (c *Client) Pace(every time.Duration, align bool, ack []byte) {
	r := rhythm{every, align && every > 0}
	c.command(ack, func(s *shard) { s.move(c, c.audience.filters, r) })
}
