package limiter

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// WindowSourceAt is the script with a clock that the test sets: its last
// argument is the time in microseconds.
var WindowSourceAt = strings.Replace(windowSource, "call('TIME')", "{0, ARGV[#ARGV]}", 1)

// RedisKey returns the key of a subject's tier.
func RedisKey(subject string, l Limit) string {
	canonical, err := canonicalSubject(subject)
	if err != nil {
		panic(err)
	}
	return windowKey{canonical, min(l.Max, MaxLimit), l.Window.Microseconds()}.redisKey()
}

// Verdict is the state of one tier. Times are microseconds; a Retry of -1 means never.
type Verdict struct{ Remaining, Reset, Retry int64 }

// Model is the arithmetic in Go, for several tiers, with a clock that the test sets.
type Model struct {
	scales  []scale
	windows []window
}

// NewModel returns a Model with empty windows.
func NewModel(tiers []Limit) *Model {
	m := &Model{windows: make([]window, len(tiers))}
	for _, t := range tiers {
		m.scales = append(m.scales, newScale(t.Max, t.Window))
	}
	return m
}

// Decide makes one decision.
func (m *Model) Decide(now, cost int64, charge bool) (allowed bool, out []Verdict) {
	allowed = true
	for i := range m.windows {
		m.windows[i].advance(m.scales[i], now)
		v := m.windows[i].judge(m.scales[i], now, cost)
		allowed = allowed && v.retry == 0
		out = append(out, Verdict{v.remaining, v.reset, v.retry})
	}
	if allowed && charge {
		for i := range m.windows {
			w, s := &m.windows[i], m.scales[i]
			w.charge(s, now, cost)
			out[i].Remaining, out[i].Reset = s.limit-w.total, s.until(w.marks[0], now)
		}
	}
	return allowed, out
}

// Clone copies m.
func (m *Model) Clone() *Model {
	out := &Model{scales: m.scales, windows: slices.Clone(m.windows)}
	for i := range out.windows {
		out.windows[i].marks = slices.Clone(out.windows[i].marks)
	}
	return out
}

// Marks returns the number of marks of tier i.
func (m *Model) Marks(i int) int { return len(m.windows[i].marks) }

// Store decides by Redis alone and reports the time of Redis's clock.
type Store struct{ s *redisStore }

// NewStore returns a Store.
func NewStore(c redis.UniversalClient, timeout time.Duration) Store {
	return Store{newRedisStore(c, timeout)}
}

// Decide charges cost units and returns Redis's time of the decision in microseconds.
func (s Store) Decide(ctx context.Context, subject string, cost int64, tiers ...Limit) (allowed bool, at int64, err error) {
	p, err := newPlan(subject, cost, tiers)
	if err != nil {
		return false, 0, err
	}
	o, err := s.s.decide(ctx, p.slots, true)
	return o.allowed, o.now, err
}

// RefusalsLen returns the number of remembered refusals.
func (l *Limiter) RefusalsLen() int { n, _ := l.refusals.stats(); return n }

// LocalLen returns the number of windows in memory.
func (l *Limiter) LocalLen() int { n, _ := l.local.stats(); return n }

// MaxOffenders is the bound of TopOffenders.
const MaxOffenders = maxOffenders

// TakeAt is Take at a given time.
func (b *Bucket) TakeAt(now time.Time, n int) (bool, time.Duration) { return b.takeAt(now, n) }
