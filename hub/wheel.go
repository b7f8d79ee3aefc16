package hub

import (
	"math/bits"
	"time"
)

// A wheel holds the alarms that are set. One turn is about a second, in slots of one millisecond; an
// alarm that is due later goes around again. The cost of adding and firing does not depend on how
// many alarms are set.
type wheel struct {
	slots  [wheelSlots]*alarm
	filled [wheelSlots / 64]uint64 // one bit per slot that is not empty
	cursor int64                   // time up to which slots have fired, milliseconds of the hub's clock
}

const wheelSlots = 1024

// An alarm is an entry of a wheel.
type alarm struct {
	ringer  ringer
	due     time.Duration // on the hub's clock
	waiting bool          // is in the wheel
	slot    uint16        // of the wheel, while waiting
	next    *alarm        // in the wheel's slot
}

// A ringer is called when its alarm is due, or after one turn of the wheel.
type ringer interface {
	ring(s *shard, now time.Duration)
}

// add inserts s so that it fires at s.due or up to a millisecond later, but after one turn at the
// latest.
func (w *wheel) add(s *alarm) {
	at := int64((s.due + time.Millisecond - 1) / time.Millisecond)
	at = min(max(at, w.cursor+1), w.cursor+wheelSlots-1)
	i := at % wheelSlots
	s.waiting, s.slot = true, uint16(i)
	s.next, w.slots[i] = w.slots[i], s
	w.filled[i/64] |= 1 << (i % 64)
}

// remove takes a waiting s out again. It scans the alarms that share its slot.
func (w *wheel) remove(s *alarm) {
	at := &w.slots[s.slot]
	for *at != s {
		at = &(*at).next
	}
	*at = s.next
	s.next, s.waiting = nil, false
	if w.slots[s.slot] == nil {
		w.filled[s.slot/64] &^= 1 << (s.slot % 64)
	}
}

// fire calls f for each alarm in the slots up to now.
func (w *wheel) fire(now time.Duration, f func(*alarm)) {
	to := int64(now / time.Millisecond)
	from := max(w.cursor+1, to-wheelSlots+1)
	w.cursor = max(to, w.cursor)
	for at := from; at <= to; at++ {
		i := at % wheelSlots
		if w.filled[i/64]&(1<<(i%64)) == 0 {
			continue
		}
		s := w.slots[i]
		w.slots[i] = nil
		w.filled[i/64] &^= 1 << (i % 64)
		for s != nil {
			next := s.next
			s.next, s.waiting = nil, false
			f(s)
			s = next
		}
	}
}

// wait returns how long after now the next slot fires; ok is false when nothing waits.
func (w *wheel) wait(now time.Duration) (d time.Duration, ok bool) {
	for n := int64(1); n <= wheelSlots; {
		i := (w.cursor + n) % wheelSlots
		word := w.filled[i/64] >> (i % 64)
		if word != 0 {
			at := w.cursor + n + int64(bits.TrailingZeros64(word))
			return max(0, time.Duration(at)*time.Millisecond-now), true
		}
		n += 64 - i%64
	}
	return 0, false
}
