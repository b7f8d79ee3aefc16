package limiter

import (
	"slices"
	"sync"
	"time"
)

// memoryStore keeps windows of this node, at most max of them, and at most
// maxSlots of one subject. It is safe for concurrent use. When it is full, the
// one of a few that was charged longest ago makes room, so its subject starts
// anew. Every connected client has windows here, so they are kept small: those
// of a subject lie together.
type memoryStore struct {
	max   int
	start time.Time // its monotonic clock is the store's clock

	mu       sync.Mutex
	subjects map[string][]entry // guarded by mu; no empty slices
	windows  int                // guarded by mu; of all subjects
	evicted  int64              // guarded by mu
}

// An entry is a subject's window of one tier.
type entry struct {
	limit, span int64 // as in its windowKey
	window
}

// charged is when it was last charged, before everything if that is over.
func (e *entry) charged(now int64) int64 {
	n := len(e.marks)
	if n == 0 || now-e.marks[n-1].at >= e.span {
		return -1
	}
	return e.marks[n-1].at
}

func newMemoryStore(max int) *memoryStore {
	return &memoryStore{max: max, start: time.Now(), subjects: map[string][]entry{}}
}

// now is in microseconds, never goes back and is not wall-clock time.
func (m *memoryStore) now() int64 { return time.Since(m.start).Microseconds() }

// findLocked returns a window, which is good until the next is made, or nil.
func (m *memoryStore) findLocked(k *windowKey) *window {
	entries := m.subjects[k.subject]
	for i := range entries {
		if e := &entries[i]; e.limit == k.limit && e.span == k.window {
			return &e.window
		}
	}
	return nil
}

// decide is redisStore.decide for windows of this node.
func (m *memoryStore) decide(slots []slot, charge bool) outcome {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := outcome{allowed: true, now: m.now(), verdicts: make([]verdict, len(slots))}
	for i := range slots {
		sl := &slots[i]
		w := m.findLocked(&sl.windowKey)
		if w == nil {
			w = &window{}
		}
		w.advance(sl.scale, o.now)
		o.verdicts[i] = w.judge(sl.scale, o.now, sl.cost)
		o.allowed = o.allowed && o.verdicts[i].retry == 0
	}
	if charge && o.allowed {
		for i := range slots {
			w := m.chargeLocked(slots[i:], o.now)
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
		m.chargeLocked(slots[i:], now)
	}
}

// chargeLocked charges the first of slots, after which the others come.
func (m *memoryStore) chargeLocked(slots []slot, now int64) *window {
	sl := &slots[0]
	w := m.findLocked(&sl.windowKey)
	if w == nil {
		m.makeRoomLocked(sl.subject, now)
		entries := m.subjects[sl.subject]
		if entries == nil {
			entries = make([]entry, 0, sameSubjects(slots))
		}
		entries = append(entries, entry{limit: sl.windowKey.limit, span: sl.windowKey.window})
		m.subjects[sl.subject] = entries
		m.windows++
		w = &entries[len(entries)-1].window
	}
	w.advance(sl.scale, now)
	w.charge(sl.scale, now, sl.cost)
	return w
}

// sameSubjects is how many of the first slots are of the same subject.
func sameSubjects(slots []slot) int {
	n := slices.IndexFunc(slots, func(s slot) bool { return s.subject != slots[0].subject })
	if n < 0 {
		return len(slots)
	}
	return n
}

// makeRoomLocked looks at the windows of a few subjects, drops those that are
// over, and one more if the store, or what the subject may have, is full. A map
// is walked from a random place.
func (m *memoryStore) makeRoomLocked(subject string, now int64) {
	if len(m.subjects[subject]) >= maxSlots {
		if i, _ := m.tidyLocked(subject, now); len(m.subjects[subject]) >= maxSlots {
			m.dropLocked(subject, i)
			m.evicted++
		}
	}
	const look = 8
	oldest, index, oldestAt, seen := "", 0, int64(-1), 0
	for s := range m.subjects {
		if seen++; seen > look {
			break
		}
		if i, at := m.tidyLocked(s, now); at >= 0 && (oldestAt < 0 || at < oldestAt) {
			oldest, index, oldestAt = s, i, at
		}
	}
	if m.windows >= m.max && oldestAt >= 0 {
		m.dropLocked(oldest, index)
		m.evicted++
	}
}

// tidyLocked drops a subject's windows that are over. It returns which of the
// others was charged longest ago, and when; -1 if there is none.
func (m *memoryStore) tidyLocked(subject string, now int64) (index int, at int64) {
	index, at = -1, -1
	for i := len(m.subjects[subject]) - 1; i >= 0; i-- {
		charged := m.subjects[subject][i].charged(now)
		switch {
		case charged < 0:
			m.dropLocked(subject, i)
			index-- // what comes after it has moved
		case at < 0 || charged <= at:
			index, at = i, charged
		}
	}
	return index, at
}

func (m *memoryStore) dropLocked(subject string, i int) {
	entries := slices.Delete(m.subjects[subject], i, i+1)
	m.windows--
	if len(entries) == 0 {
		delete(m.subjects, subject)
		return
	}
	m.subjects[subject] = entries
}

// reset forgets all windows of a subject.
func (m *memoryStore) reset(subject string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.windows -= len(m.subjects[subject])
	delete(m.subjects, subject)
}

func (m *memoryStore) stats() (windows int, evicted int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.windows, m.evicted
}
