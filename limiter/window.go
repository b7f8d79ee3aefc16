package limiter

import (
	"slices"
	"time"
)

// This file has the arithmetic of one sliding window, as window.lua does. Times are microseconds of
// the clock of the store that keeps the window.
//
// A window keeps marks: times at which units were charged, oldest first. A charge joins the newest
// mark if that was opened at most group ago, and the mark takes the time of the charge; otherwise
// the charge opens a new mark. So a mark holds charges within 1/60 of the window, all counted as if
// made at the time of the last one. Marks are opened more than group apart, so a window has at most
// 61.
//
// It never admits more than the limit: the window (now-window, now] contains a charge made at t
// only if now-t < window. The time of its mark is t or later, so the charge still counts.
//
// It refuses too early by at most 1/60: a charge made at t counts until t+group+window at the
// latest, so it counts only if it is in the window lengthened by group, which is at most window/60.
//
// Its retry-after is exact: if nothing else is charged, the marks alone determine the count at any
// later time.
const (
	parts    = 60
	maxMarks = parts + 1
)

// scale holds the constants that follow from the window and the limit of a tier.
type scale struct {
	limit  int64 // 1 to MaxLimit
	window int64
	group  int64 // for how long after it was opened a mark takes charges
}

func newScale(limit int64, window time.Duration) scale {
	us := window.Microseconds()
	return scale{limit: limit, window: us, group: us / parts}
}

// ttl returns how long a key lives after the newest charge. It only removes unused keys, since
// marks have times of their own. The extra second is for stores that expire keys a little early.
func (s scale) ttl() time.Duration { return time.Duration(s.window)*time.Microsecond + time.Second }

// verdict is the state of one tier for one cost. Times count from now.
type verdict struct {
	remaining int64 // free units, after the charge if one was made
	reset     int64 // time until one more unit is free; 0 if all are
	retry     int64 // time until the cost fits: 0 if it fits now, or never
}

const never = -1

type mark struct {
	at int64 // time of the newest charge
	n  int64 // units charged
}

// window is one subject's window of one tier. The zero value is empty.
type window struct {
	marks  []mark // oldest first, at most maxMarks
	opened int64  // time of the first charge of the newest mark
	total  int64  // sum of marks
}

// advance drops the marks that have left the window at now. If the clock went back, it moves all
// marks so that the newest is at now. Their distances stay, and none lasts longer than a window
// from now.
func (w *window) advance(s scale, now int64) {
	if n := len(w.marks); n > 0 {
		if back := w.marks[n-1].at - now; back > 0 {
			for i := range w.marks {
				w.marks[i].at -= back
			}
			w.opened -= back
		}
	}
	gone := 0
	for gone < len(w.marks) && now-w.marks[gone].at >= s.window {
		w.total -= w.marks[gone].n
		gone++
	}
	w.marks = slices.Delete(w.marks, 0, gone)
}

// judge returns the verdict on cost. advance must be called first.
func (w *window) judge(s scale, now, cost int64) verdict {
	v := verdict{remaining: s.limit - w.total}
	if len(w.marks) > 0 {
		v.reset = s.until(w.marks[0], now)
	}
	switch {
	case cost > s.limit:
		v.retry = never
	case w.total+cost > s.limit:
		need := w.total + cost - s.limit
		for _, m := range w.marks {
			v.retry = s.until(m, now)
			if need -= m.n; need <= 0 {
				return v
			}
		}
	}
	return v
}

// until returns for how long from now the mark counts.
func (s scale) until(m mark, now int64) int64 { return m.at + s.window - now }

// charge adds cost, which must fit: see judge.
func (w *window) charge(s scale, now, cost int64) {
	w.total += cost
	if n := len(w.marks); n > 0 && (now-w.opened <= s.group || n >= maxMarks) {
		w.marks[n-1].at = now
		w.marks[n-1].n += cost
		return
	}
	w.marks = append(w.marks, mark{now, cost})
	w.opened = now
}
