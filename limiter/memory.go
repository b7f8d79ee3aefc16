package limiter

import (
	"sync"
	"time"
)

// memoryStore keeps windows of this node, at most max of them. It is safe for
// concurrent use. When it is full, the one of a few that was charged longest
// ago makes room, so its subject starts anew.
type memoryStore struct {
	max   int
	start time.Time // its monotonic clock is the store's clock

	mu      sync.Mutex
	windows map[windowKey]*entry // guarded by mu
	evicted int64                // guarded by mu
}

type entry struct {
	window
	scale
}

func newMemoryStore(max int) *memoryStore {
	return &memoryStore{max: max, start: time.Now(), windows: map[windowKey]*entry{}}
}

// now is in microseconds, never goes back and is not wall-clock time.
func (m *memoryStore) now() int64 { return time.Since(m.start).Microseconds() }

// decide is redisStore.decide for windows of this node.
func (m *memoryStore) decide(slots []slot, charge bool) outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := outcome{allowed: true, now: m.now(), verdicts: make([]verdict, len(slots))}
	for i := range slots {
		sl := &slots[i]
		w := &window{}
		if e, ok := m.windows[sl.windowKey]; ok {
			w = &e.window
		}
		w.advance(sl.scale, o.now)
		o.verdicts[i] = w.judge(sl.scale, o.now, sl.cost)
		o.allowed = o.allowed && o.verdicts[i].retry == 0
	}
	if charge && o.allowed {
		for i := range slots {
			w := m.chargeLocked(&slots[i], o.now)
			v := &o.verdicts[i]
			v.remaining = slots[i].scale.limit - w.total
			v.reset = slots[i].until(w.marks[0], o.now)
		}
	}
	return o
}

// record charges what another source has allowed, so that this store can take
// over with it.
func (m *memoryStore) record(slots []slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for i := range slots {
		m.chargeLocked(&slots[i], now)
	}
}

func (m *memoryStore) chargeLocked(sl *slot, now int64) *window {
	e, ok := m.windows[sl.windowKey]
	if !ok {
		m.makeRoomLocked(now)
		e = &entry{scale: sl.scale}
		m.windows[sl.windowKey] = e
	}
	e.advance(sl.scale, now)
	e.charge(sl.scale, now, sl.cost)
	return &e.window
}

// makeRoomLocked looks at a few windows, drops those that are over, and one
// more if the store is full. A map is walked from a random place.
func (m *memoryStore) makeRoomLocked(now int64) {
	const look = 8
	var oldest windowKey
	oldestAt, seen := int64(-1), 0
	for k, e := range m.windows {
		if seen++; seen > look {
			break
		}
		n := len(e.marks)
		if n == 0 || now-e.marks[n-1].at >= e.scale.window {
			delete(m.windows, k)
			continue
		}
		if at := e.marks[n-1].at; oldestAt < 0 || at < oldestAt {
			oldest, oldestAt = k, at
		}
	}
	if len(m.windows) >= m.max && oldestAt >= 0 {
		delete(m.windows, oldest)
		m.evicted++
	}
}

// reset forgets all windows of a subject.
func (m *memoryStore) reset(subject string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.windows {
		if k.subject == subject {
			delete(m.windows, k)
		}
	}
}

func (m *memoryStore) stats() (windows int, evicted int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.windows), m.evicted
}
