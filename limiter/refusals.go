package limiter

import (
	"sync"
	"time"
)

// refusals remembers refusals by Redis until their retry-after, so that a flood of calls that would
// be refused costs Redis nothing. It keeps at most max refusals, each for at most hold. It is safe
// for concurrent use.
//
// A refusal holds for calls of the same cost on the same windows: Redis would refuse them too until
// its retry-after, since other calls only make the windows fuller. This node drops a refusal when
// it charges one of its windows. Another node may charge them unnoticed, if units are left for a
// smaller cost; the retry-after is then a lower bound, and the states are those at the refusal. A
// reset on another node takes effect here after hold at the latest.
type refusals struct {
	max  int
	hold time.Duration

	mu       sync.Mutex
	byWindow map[windowKey]*refusal // guarded by mu
	evicted  int64                  // guarded by mu
}

type refusal struct {
	cost     int64
	at       time.Time // before the call to Redis, so that the refusal never holds too long
	until    time.Time
	keys     []windowKey
	verdicts []verdict
}

func newRefusals(max int, hold time.Duration) *refusals {
	return &refusals{max: max, hold: hold, byWindow: map[windowKey]*refusal{}}
}

// answer returns the verdicts of a refusal that holds for p. If ok is false, Redis must decide.
func (f *refusals) answer(p *plan, now time.Time) (verdicts []verdict, ok bool) {
	if f.max <= 0 {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range p.slots {
		r, known := f.byWindow[p.slots[i].windowKey]
		if !known || p.slots[i].cost != r.cost {
			continue
		}
		if !now.Before(r.until) {
			delete(f.byWindow, p.slots[i].windowKey)
			continue
		}
		if verdicts, ok = r.answer(p, now); ok {
			return verdicts, true
		}
	}
	return nil, false
}

// answer returns the verdicts of the refusal on p's slots, aged to now. ok is false if the refused
// call did not include one of the slots.
func (r *refusal) answer(p *plan, now time.Time) ([]verdict, bool) {
	age := now.Sub(r.at).Microseconds()
	out := make([]verdict, len(p.slots))
next:
	for i := range p.slots {
		for j, k := range r.keys {
			if k != p.slots[i].windowKey {
				continue
			}
			v := r.verdicts[j]
			v.reset = max(v.reset-age, 0)
			if v.retry > 0 {
				v.retry = max(v.retry-age, 0)
			}
			out[i] = v
			continue next
		}
		return nil, false
	}
	return out, true
}

// remember keeps a refusal of p that was requested at the time at. It ignores a call that can never
// be allowed, because its cost is the reason and not the window.
func (f *refusals) remember(p *plan, verdicts []verdict, at time.Time) {
	if f.max <= 0 {
		return
	}
	worst := -1
	for i, v := range verdicts {
		if v.retry == never {
			return
		}
		if v.retry > 0 && (worst < 0 || v.retry > verdicts[worst].retry) {
			worst = i
		}
	}
	if worst < 0 {
		return
	}
	r := &refusal{cost: p.slots[worst].cost, at: at, verdicts: verdicts, keys: make([]windowKey, len(p.slots)),
		until: at.Add(min(time.Duration(verdicts[worst].retry)*time.Microsecond, f.hold))}
	for i := range p.slots {
		r.keys[i] = p.slots[i].windowKey
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.byWindow[r.keys[worst]]; !ok {
		f.makeRoomLocked(at)
	}
	f.byWindow[r.keys[worst]] = r
}

// makeRoomLocked samples a few refusals and drops those that no longer hold. If there are still
// max, it drops the one of the sample that ends first.
func (f *refusals) makeRoomLocked(now time.Time) {
	const look = 8
	var first windowKey
	var ends time.Time
	seen := 0
	for k, r := range f.byWindow {
		if seen++; seen > look {
			break
		}
		if !now.Before(r.until) {
			delete(f.byWindow, k)
			continue
		}
		if ends.IsZero() || r.until.Before(ends) {
			first, ends = k, r.until
		}
	}
	if len(f.byWindow) >= f.max && !ends.IsZero() {
		delete(f.byWindow, first)
		f.evicted++
	}
}

// admitted drops the refusals of windows that have been charged.
func (f *refusals) admitted(p *plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.byWindow) == 0 {
		return
	}
	for i := range p.slots {
		delete(f.byWindow, p.slots[i].windowKey)
	}
}

// forget drops the refusals of a subject.
func (f *refusals) forget(subject string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.byWindow {
		if k.subject == subject {
			delete(f.byWindow, k)
		}
	}
}

func (f *refusals) stats() (refusals int, evicted int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.byWindow), f.evicted
}
