package producer

import (
	"fmt"
	"sync"
	"time"
)

const (
	longPause = 5 * time.Second // the least pause before a quote that is shown
	longWait  = 2 * time.Second // the least wait for an input that is shown
)

// position is the position of a replay, for its progress line. It is safe for concurrent use.
type position struct {
	mu          sync.Mutex // guards the fields below
	at, due     time.Time  // of the next quote: its own time, and the time to publish it
	read, total int64      // bytes; total is 0 if unknown

	begun     time.Time // due time of the first quote that --from does not skip
	begunRead int64     // bytes read by then

	input   string    // the input that the replay waits for
	waiting time.Time // start of the wait; zero without one
}

// await notes that the replay waits for the next quote.
func (p *position) await(input string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.input, p.waiting = input, time.Now()
}

// reach notes that a quote was read.
func (p *position) reach(at time.Time, read, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.due, p.waiting = at, time.Time{}, time.Time{}
	p.read, p.total = read, total
}

// play notes the time at which the quote that was read is due.
func (p *position) play(due time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = due
	if p.begun.IsZero() {
		p.begun, p.begunRead = time.Now(), p.read
	}
}

// finish notes that all inputs were read.
func (p *position) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read, p.due, p.waiting = max(p.read, p.total), time.Time{}, time.Time{}
}

// text returns one line: the part of the inputs that was read, the time in them, the counts, the
// rate in ticks per second, the time left, and the input that the replay waits for.
func (p *position) text(now time.Time, c tallyCounts, rate float64) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := ""
	if p.total > 0 {
		s = fmt.Sprintf("%.1f %%, ", 100*p.part())
	} else if p.read > 0 {
		s = fmt.Sprintf("%.1f MB, ", float64(p.read)/1e6)
	}
	if !p.at.IsZero() {
		s += moment(p.at) + ": "
	}
	s += fmt.Sprintf("%s, %.0f ticks/s", c.text("read"), rate)
	if left := p.leftLocked(now); left > 0 {
		s += fmt.Sprintf(", about %v left", left)
	}
	if pause := p.due.Sub(now); pause >= longPause {
		s += fmt.Sprintf(", next quote in %v", pause.Round(time.Second))
	}
	if !p.waiting.IsZero() && now.Sub(p.waiting) >= longWait {
		s += fmt.Sprintf(", waiting for %s since %v", p.input, now.Sub(p.waiting).Round(time.Second))
	}
	return s
}

// part returns the fraction of all bytes that was read.
func (p *position) part() float64 { return min(float64(p.read)/float64(p.total), 1) }

// leftLocked estimates the time for the rest; 0 = unknown. mu is held.
func (p *position) leftLocked(now time.Time) time.Duration {
	if p.total == 0 || p.begun.IsZero() || p.read <= p.begunRead || p.read >= p.total {
		return 0
	}
	took := max(p.due.Sub(p.begun), now.Sub(p.begun)) // quotes read so far last until due
	left := float64(took) * float64(p.total-p.read) / float64(p.read-p.begunRead)
	const longest = 1000 * 24 * time.Hour
	return max(time.Duration(min(left, float64(longest)))+max(p.due.Sub(now), 0), time.Second).Round(time.Second)
}

// moment formats a time for --from.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
