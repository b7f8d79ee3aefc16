package producer

import (
	"context"
	"time"
)

// pacer keeps the gaps between quotes, divided by speed. If times go back there is no gap.
type pacer struct {
	speed    float64   // 0 = do not wait
	due, was time.Time // of the last quote: the time at which it was due, and its own time
}

// next returns the time at which the next quote, of time t, is due; zero means at once.
func (p *pacer) next(t time.Time) time.Time {
	if p.speed == 0 {
		return time.Time{}
	}
	if p.was.IsZero() {
		p.due = time.Now()
	} else if gap := t.Sub(p.was); gap > 0 {
		const longest = float64(1 << 61)
		p.due = p.due.Add(time.Duration(min(float64(gap)/p.speed, longest)))
	}
	p.was = t
	return p.due
}

// waitUntil waits until due. Its error is ctx's.
func waitUntil(ctx context.Context, due time.Time) error {
	left := time.Until(due)
	if due.IsZero() || left < time.Millisecond { // timers are no finer
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
