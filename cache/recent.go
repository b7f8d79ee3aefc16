package cache

import (
	"bytes"
	"container/list"
	"sync"
	"time"
)

// recentOverhead is the approximate size of an entry without its key and value, in bytes.
const recentOverhead = 200

// recent is the copy of values in this process. When it is full, it evicts the least recently used.
// It is safe for concurrent use.
type recent struct {
	max int // bytes; static; keeps nothing if negative

	mu      sync.Mutex // guards the following fields
	order   *list.List // of *recentEntry, the most recently used first
	byKey   map[string]*list.Element
	bytes   int
	evicted int
}

type recentEntry struct {
	key   string
	raw   []byte    // as in Redis; never changed
	seen  time.Time // when Redis last had the value, or it was loaded
	until time.Time
}

func newRecent(max int) *recent {
	return &recent{max: max, order: list.New(), byKey: map[string]*list.Element{}}
}

// put keeps a copy of raw for that long, unless it would fill more than a quarter of the bound.
func (r *recent) put(key string, raw []byte, life time.Duration) {
	size := len(key) + len(raw) + recentOverhead
	if size > r.max/4 {
		r.drop(key)
		return
	}
	now := time.Now()
	e := &recentEntry{key: key, raw: bytes.Clone(raw), seen: now, until: now.Add(life)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(key)
	r.byKey[key] = r.order.PushFront(e)
	r.bytes += size
	for r.bytes > r.max {
		r.remove(r.order.Back().Value.(*recentEntry).key)
		r.evicted++
	}
}

// get returns a copy of the value of key, and its age.
func (r *recent) get(key string) (raw []byte, age time.Duration, ok bool) {
	r.mu.Lock()
	el, ok := r.byKey[key]
	if !ok {
		r.mu.Unlock()
		return nil, 0, false
	}
	e := el.Value.(*recentEntry)
	now := time.Now()
	if now.After(e.until) {
		r.remove(key)
		r.mu.Unlock()
		return nil, 0, false
	}
	r.order.MoveToFront(el)
	r.mu.Unlock()
	return bytes.Clone(e.raw), now.Sub(e.seen), true
}

func (r *recent) drop(keys ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.remove(key)
	}
}

// dropIf drops the keys for which gone, a pure function, returns true.
func (r *recent) dropIf(gone func(key string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key := range r.byKey {
		if gone(key) {
			r.remove(key)
		}
	}
}

// remove drops a key. The caller holds mu.
func (r *recent) remove(key string) {
	el, ok := r.byKey[key]
	if !ok {
		return
	}
	e := r.order.Remove(el).(*recentEntry)
	delete(r.byKey, key)
	r.bytes -= len(e.key) + len(e.raw) + recentOverhead
}

func (r *recent) stats() (entries, bytes, evicted int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byKey), r.bytes, r.evicted
}
