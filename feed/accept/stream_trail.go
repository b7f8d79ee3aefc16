package accept

import "time"

// clusterBehind is how far the stored place of a stream is behind in a cluster. There the place and
// the counters are on different servers: one that is killed may forget up to two seconds of what it
// accepted (appendfsync everysec), and a replica that follows it lacks what was on its way. Entries
// that were settled within this time are therefore read again after any trouble, which is a no-op
// for each symbol that has them.
const clusterBehind = 5 * time.Second

// trail remembers how far a stream was settled until some time ago.
type trail struct {
	behind time.Duration
	newest place
	ahead  bool // newest is after the last mark
	marks  []trailMark
}

// trailMark is how far the stream was settled at a time.
type trailMark struct {
	at    time.Time
	place place
}

// add notes that all up to a place is settled.
func (t *trail) add(settled place) { t.newest, t.ahead = settled, true }

// due returns the newest place that was settled long enough ago, if none as new was returned before.
// It must also be called while nothing new is settled. It keeps few marks.
func (t *trail) due(now time.Time) (settled place, ok bool) {
	if last := len(t.marks) - 1; t.ahead && (last < 0 || now.Sub(t.marks[last].at) >= t.behind/16) {
		t.marks, t.ahead = append(t.marks, trailMark{now, t.newest}), false
	}
	for len(t.marks) > 0 && now.Sub(t.marks[0].at) >= t.behind {
		settled, ok = t.marks[0].place, true
		t.marks = t.marks[1:]
	}
	return settled, ok
}
