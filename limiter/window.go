package limiter

import (
	"slices"
	"time"
)

// The arithmetic of one sliding window, the same here and in window.lua. Times
// are microseconds of the clock of whoever keeps the window.
//
// A window keeps marks: times at which units were charged, oldest first. A
// charge joins the newest mark if that was opened at most group ago, and the
// mark's time becomes that of the charge; otherwise it opens a new one. So a
// mark stands for charges within 1/60 of the window, all counted as if made at
// the time of the last one. Marks are opened more than group apart, so at most
// 61 of them are in a window.
//
// Never over: the window (now-window, now] holds a charge made at t only if
// now-t < window. Its mark's time is t or later, so it still counts then.
//
// Early by at most 1/60: a charge made at t counts at most until
// t+group+window, and so only if it is in a window lengthened by group, which is
// at most window/60.
//
// Retry-after is true: the count at a later time follows from the marks alone
// if nothing is charged in between.
const (
	parts    = 60
	maxMarks = parts + 1
)

// scale is what follows from the window and the limit of a tier.
type scale struct {
	limit  int64 // 1 to MaxLimit
	window int64
	group  int64 // a mark takes charges until this long after it was opened
}

func newScale(limit int64, window time.Duration) scale {
	us := window.Microseconds()
	return scale{limit: limit, window: us, group: us / parts}
}

// ttl is how long a key is kept after the newest charge. It is only for
// tidiness, as marks have their own times: the second more is for stores that
// expire a little early.
func (s scale) ttl() time.Duration { return time.Duration(s.window)*time.Microsecond + time.Second }

// verdict is how one tier stands for one cost. Times are from now.
type verdict struct {
	remaining int64 // units free; after the charge, if it was made
	reset     int64 // until one more unit is free; 0 if all are
	retry     int64 // until the cost fits; 0 now, never: not at all
}

const never = -1

type mark struct {
	at int64 // time of the newest charge in it
	n  int64 // units charged
}

// window is one subject's window of one tier. The zero value is empty.
type window struct {
	marks  []mark // oldest first, at most maxMarks
	opened int64  // time of the first charge of the newest mark
	total  int64  // sum of marks
}

// advance forgets what has left the window at now. If the clock went back, all
// marks move with it, so that the newest is now: their distances stay, and none
// lasts longer than a window from here.
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

// judge says how the window stands for cost. advance comes first.
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

// until is how long from now the mark counts.
func (s scale) until(m mark, now int64) int64 { return m.at + s.window - now }

// charge adds cost. judge must have found that it fits.
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
