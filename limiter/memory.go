package limiter

import (
	"slices"
	"sync"
	"time"
)

// memoryStore keeps windows in this node's memory: at most max in all and maxSlots per subject.
// When it is full, it samples a few windows and drops the one that was charged longest ago; its
// subject then starts with an empty window. Each connected client has windows here, so they are
// kept small: the windows of a subject lie together. It is safe for concurrent use.
type memoryStore struct {
	max   int
	start time.Time // its monotonic clock is the store's clock

	mu       sync.Mutex
	subjects map[string][]entry // guarded by mu; no empty slices
	windows  int                // guarded by mu; of all subjects
	evicted  int64              // guarded by mu
}

// entry is a subject's window of one tier.
type entry struct {
	limit, span int64 // as in the windowKey
	window
}

// charged returns the time of the last charge, or -1 if the window has expired.
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

// now returns the microseconds since start. It is monotonic.
func (m *memoryStore) now() int64 { return time.Since(m.start).Microseconds() }

// findLocked returns the window of k, or nil. The pointer is valid until a window is added.
func (m *memoryStore) findLocked(k *windowKey) *window {
	entries := m.subjects[k.subject]
	for i := range entries {
		if e := &entries[i]; e.limit == k.limit && e.span == k.window {
			return &e.window
		}
	}
	return nil
}

// decide does for this node's windows what redisStore.decide does.
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
			w := m.chargeLocked(&slots[i], len(slots), o.now)
			v := &o.verdicts[i]
			v.remaining = slots[i].scale.limit - w.total
			v.reset = slots[i].until(w.marks[0], o.now)
		}
	}
	return o
}

// record charges what Redis has allowed, so that this store is up to date if Redis is lost.
func (m *memoryStore) record(slots []slot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for i := range slots {
		m.chargeLocked(&slots[i], len(slots), now)
	}
}

// chargeLocked charges the window of sl and returns it. slots is the number of slots in the
// decision.
func (m *memoryStore) chargeLocked(sl *slot, slots int, now int64) *window {
	w := m.findLocked(&sl.windowKey)
	if w == nil {
		m.makeRoomLocked(sl.subject, now)
		entries := m.subjects[sl.subject]
		if entries == nil {
			entries = make([]entry, 0, slots)
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

// makeRoomLocked makes room for one more window of subject. It samples a few subjects (iteration
// over a map is random) and drops their expired windows, and one more if the store is full. It does
// the same for subject itself if that has as many windows as it may.
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

// tidyLocked drops the expired windows of a subject. It returns the index of the window that was
// charged longest ago, and the time of that charge; both are -1 if no window is left.
func (m *memoryStore) tidyLocked(subject string, now int64) (index int, at int64) {
	index, at = -1, -1
	for i := len(m.subjects[subject]) - 1; i >= 0; i-- {
		charged := m.subjects[subject][i].charged(now)
		switch {
		case charged < 0:
			m.dropLocked(subject, i)
			index-- // the windows after i have moved
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

// reset drops all windows of a subject.
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
