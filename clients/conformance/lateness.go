package conformance

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// tooLate is by how much a timer may be late on a machine that is fast enough for the scenarios.
	tooLate = 50 * time.Millisecond
	beat    = 10 * time.Millisecond
)

// A lateness knows when timers of this process were late. On a busy machine any client is late, and
// then a fault does not prove that the client is wrong.
type lateness struct {
	begun time.Time
	last  atomic.Int64 // when the timer was last set, since begun
	late  atomic.Int64 // when it was last too late, since begun; 0 if never
}

// run measures until ctx ends.
func (l *lateness) run(ctx context.Context) {
	t := time.NewTimer(beat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		l.fired(int64(time.Since(l.begun)))
		t.Reset(beat)
	}
}

// fired notes that the timer has fired now, and is set again.
func (l *lateness) fired(now int64) {
	if l.isLate(now) {
		l.late.Store(now)
	}
	l.last.Store(now)
}

// isLate reports whether the timer should have fired long before now.
func (l *lateness) isLate(now int64) bool { return now-l.last.Load() > int64(beat+tooLate) }

// since reports whether a timer was late after a time, or is at the moment.
func (l *lateness) since(t time.Time) bool {
	return l.late.Load() > int64(t.Sub(l.begun)) || l.isLate(int64(time.Since(l.begun)))
}
