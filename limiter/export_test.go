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

// RedisKey is the key of a subject's tier.
func RedisKey(subject string, l Limit) string {
	canonical, err := canonicalSubject(subject)
	if err != nil {
		panic(err)
	}
	return windowKey{canonical, min(l.Max, MaxLimit), l.Window.Microseconds()}.redisKey()
}

// Verdict is how one tier stands, in microseconds; retry -1 is never.
type Verdict struct{ Remaining, Reset, Retry int64 }

// Model is the Go arithmetic of several tiers with a clock that the test sets.
type Model struct {
	scales  []scale
	windows []window
}

// NewModel makes a Model with empty windows.
func NewModel(tiers []Limit) *Model {
	m := &Model{windows: make([]window, len(tiers))}
	for _, t := range tiers {
		m.scales = append(m.scales, newScale(t.Max, t.Window))
	}
	return m
}

// Decide is one decision.
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

// Marks is how many marks tier i has.
func (m *Model) Marks(i int) int { return len(m.windows[i].marks) }

// Store decides by Redis alone and tells its clock.
type Store struct{ s *redisStore }

// NewStore makes a Store.
func NewStore(c redis.UniversalClient, timeout time.Duration) Store {
	return Store{newRedisStore(c, timeout)}
}

// Decide charges cost units and tells Redis's time of the decision, in
// microseconds.
func (s Store) Decide(ctx context.Context, subject string, cost int64, tiers ...Limit) (allowed bool, at int64, err error) {
	p, err := newPlan(subject, cost, tiers)
	if err != nil {
		return false, 0, err
	}
	o, err := s.s.decide(ctx, p.slots, true)
	return o.allowed, o.now, err
}

// RefusalsLen is how many refusals are remembered.
func (l *Limiter) RefusalsLen() int { n, _ := l.refusals.stats(); return n }

// LocalLen is how many windows are in memory.
func (l *Limiter) LocalLen() int { n, _ := l.local.stats(); return n }

// MaxOffenders is the bound of TopOffenders.
const MaxOffenders = maxOffenders

// TakeAt is Take at a given time.
func (b *Bucket) TakeAt(now time.Time, n int) (bool, time.Duration) { return b.takeAt(now, n) }
