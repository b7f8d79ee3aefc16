package limiter

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	maxOffenders = 100
	halveAfter   = time.Hour
)

// Offender is a subject whose calls were refused often.
type Offender struct {
	// Subject is the subject as it appears in keys: a hash if it is long or has special
	// characters.
	Subject string `json:"subject"`

	// Refused counts refused calls and is halved every hour. It may be too high, by at most
	// AtMostOver, because the subject replaced another one in the list.
	Refused    int64 `json:"refused"`
	AtMostOver int64 `json:"at_most_over"`
}

// offenders keeps the most refused subjects by the space-saving algorithm: a new subject replaces
// the least refused one and inherits its count. A subject with more than 1 % of all refusals is
// always in the list. It is safe for concurrent use.
type offenders struct {
	mu     sync.Mutex
	list   []Offender     // guarded by mu
	index  map[string]int // guarded by mu: subject to its index in list
	halved time.Time      // guarded by mu
}

func newOffenders() *offenders {
	return &offenders{index: make(map[string]int, maxOffenders), halved: time.Now()}
}

func (o *offenders) add(subject string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.halveLocked(time.Now())
	if i, ok := o.index[subject]; ok {
		o.list[i].Refused++
		return
	}
	if len(o.list) < maxOffenders {
		o.index[subject] = len(o.list)
		o.list = append(o.list, Offender{Subject: subject, Refused: 1})
		return
	}
	least := 0
	for i := range o.list {
		if o.list[i].Refused < o.list[least].Refused {
			least = i
		}
	}
	out := &o.list[least]
	delete(o.index, out.Subject)
	o.index[subject] = least
	*out = Offender{Subject: subject, Refused: out.Refused + 1, AtMostOver: out.Refused}
}

func (o *offenders) halveLocked(now time.Time) {
	if now.Sub(o.halved) < halveAfter {
		return
	}
	for ; now.Sub(o.halved) >= halveAfter && len(o.list) > 0; o.halved = o.halved.Add(halveAfter) {
		for i := range o.list {
			o.list[i].Refused /= 2
			o.list[i].AtMostOver /= 2
		}
		o.list = slices.DeleteFunc(o.list, func(x Offender) bool { return x.Refused == 0 })
	}
	o.halved = now
	clear(o.index)
	for i := range o.list {
		o.index[o.list[i].Subject] = i
	}
}

func (o *offenders) top(n int) []Offender {
	o.mu.Lock()
	o.halveLocked(time.Now())
	out := slices.Clone(o.list)
	o.mu.Unlock()
	slices.SortFunc(out, func(a, b Offender) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.Subject, b.Subject))
	})
	return out[:max(0, min(n, len(out)))]
}
