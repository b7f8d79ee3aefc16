package receive

import (
	"maps"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// list sets which symbols have a last known price in Redis. justBegan means that the first quote of
// the new ones was accepted just now. The Sink receives the names that come and go, since wildcards
// match listed symbols. list returns the new ones.
func (b *Board) list(symbols []feed.Symbol, justBegan bool) (added []feed.Symbol) {
	now := time.Now()
	listed := make(map[feed.Symbol]bool, len(symbols))
	changed := map[feed.Symbol]*entry{}
	b.mu.Lock()
	for _, s := range symbols {
		listed[s] = true
		e := b.entry(s)
		if e.listed {
			continue
		}
		if justBegan {
			e.order.began = now
		}
		e.listed, changed[s] = true, e
		e.out.add(event{kind: eventList})
		added = append(added, s)
	}
	for s, e := range b.entries {
		if e.listed && !listed[s] {
			e.listed, changed[s] = false, e
			e.settleName()
		}
	}
	b.mu.Unlock()
	for s, e := range changed {
		b.mu.Lock()
		b.handOver(s, e) // unlocks
	}
	return added
}

// settleName takes the symbol out of what wildcards match, once its last value is
// known neither in Redis nor here.
func (e *entry) settleName() {
	if !e.listed && !e.value.has {
		e.out.add(event{kind: eventUnlist})
	}
}

// withoutValue returns those of symbols whose last value this node does not have.
func (b *Board) withoutValue(symbols []feed.Symbol) []feed.Symbol {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(symbols), func(s feed.Symbol) bool {
		e := b.entries[s]
		return e != nil && e.value.has
	})
}

// Remove forgets the name of a symbol that an operator has removed, its running candles, and its last
// value unless that is newer than the removal. epoch is the epoch that the symbol had then, and at is the time of the
// removal by Redis's clock, in Unix microseconds. known reports whether anything was forgotten. See
// accept.Publisher.Remove.
func (b *Board) Remove(s feed.Symbol, epoch string, at int64) (known bool) {
	defer b.cfg.Candles.forget(s) // without the lock
	now := time.Now()
	b.mu.Lock()
	e := b.entries[s]
	if e == nil {
		b.mu.Unlock()
		return false
	}
	b.take(e, now)
	known = e.listed
	e.listed = false
	if e.order.Remove(epoch, at) && e.value.has {
		known = true
		e.value.drop(now, &e.out)
	}
	e.settleName()
	b.show(s, e, change{}, now)
	b.handOver(s, e) // unlocks
	return known
}

// names returns all known symbols.
func (b *Board) names() []feed.Symbol {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.entries))
}
