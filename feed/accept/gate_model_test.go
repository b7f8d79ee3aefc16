package accept_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// gateModel is a second implementation of the gate, over rational numbers and from the rules alone.
// Times are numbers of calls; "lately" means always or within one call.
type gateModel struct {
	gate    accept.Gate
	limits  feed.Limits
	lately  func(then, now int) bool
	ref     *big.Rat
	count   int
	newest  time.Time
	sources map[string]*modelSource
}

type modelSource struct {
	time    time.Time // of its last quote that had one
	taken   int       // call of its last accepted quote; 0 = none
	row     int       // outliers in a row
	outlier *big.Rat
	when    int
}

func (m *gateModel) source(name string) *modelSource {
	if m.sources[name] == nil {
		m.sources[name] = &modelSource{}
	}
	return m.sources[name]
}

func beyond(x, y *big.Rat, limit feed.Limit) bool {
	d := new(big.Rat).Sub(x, y)
	return d.Abs(d).Cmp(new(big.Rat).Mul(y, big.NewRat(int64(limit), 1_000_000))) > 0
}

func rational(price string) *big.Rat {
	r, _ := new(big.Rat).SetString(price)
	return r
}

// judge returns the verdict on a quote of the call now, which happens roughly at at.
func (m *gateModel) judge(q feed.Quote, now int, at time.Time) string {
	s := m.source(q.Source)
	bid, ask := rational(q.Bid), rational(q.Ask)
	mid := new(big.Rat).Add(bid, ask)
	mid.Quo(mid, big.NewRat(2, 1))
	switch {
	case !q.Time.IsZero() && q.Time.Before(s.time):
		return "old"
	case !q.Time.IsZero() && m.gate.MaxLag > 0 && q.Time.Before(m.newest.Add(-m.gate.MaxLag)):
		return "old"
	case m.limits.Spread > 0 && new(big.Rat).Sub(ask, bid).Cmp(new(big.Rat).Mul(mid, big.NewRat(int64(m.limits.Spread), 1_000_000))) > 0:
		return "wide"
	}
	gap := false
	if m.limits.Jump > 0 && m.ref != nil && beyond(mid, m.ref, m.limits.Jump) {
		row := 1
		if s.outlier != nil && !beyond(mid, s.outlier, m.limits.Jump) {
			row = s.row + 1
		}
		if !m.confirms(q.Source, mid, row, now) {
			s.row, s.outlier, s.when = row, mid, now
			return "outlier"
		}
		gap = true
	}
	s.row, s.outlier = 0, nil
	if gap {
		for _, other := range m.sources {
			other.row, other.outlier = 0, nil
		}
	}
	s.taken = now
	when := at
	if !q.Time.IsZero() {
		s.time, when = q.Time, q.Time
	}
	if when.After(m.newest) {
		m.newest = when
	}
	m.ref, m.count = mid, m.count+1
	if gap {
		return "gap"
	}
	return "taken"
}

// heard reports whether a source other than these had a quote accepted lately.
func (m *gateModel) heard(now int, except ...string) bool {
next:
	for name, s := range m.sources {
		for _, e := range except {
			if name == e {
				continue next
			}
		}
		if s.taken > 0 && m.lately(s.taken, now) {
			return true
		}
	}
	return false
}

func (m *gateModel) confirms(source string, mid *big.Rat, row, now int) bool {
	if m.gate.MaxGap > 0 && m.count >= m.gate.Confirm && beyond(mid, m.ref, m.gate.MaxGap) {
		return false
	}
	if row >= m.gate.Confirm && !m.heard(now, source) {
		return true
	}
	for name, other := range m.sources {
		if name != source && other.outlier != nil && m.lately(other.when, now) &&
			!beyond(mid, other.outlier, m.limits.Jump) && !m.heard(now, source, name) {
			return true
		}
	}
	return false
}

// TestGateModel compares the script with the model, call by call. Two connections take turns, as
// two nodes would.
func TestGateModel(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			a := gated()
			a.Keys, a.QuoteTTL = feed.Keys{Prefix: fmt.Sprintf("g%d:", round)}, 10*time.Hour
			a.Gate.Confirm = rapid.IntRange(1, 4).Draw(rt, "confirm")
			a.Gate.MaxGap = rapid.SampledFrom([]feed.Limit{0, 300_000, 500_000}).Draw(rt, "gap")
			a.Gate.MaxLag = rapid.SampledFrom([]time.Duration{0, 3*time.Hour + 30*time.Minute}).Draw(rt, "lag")
			a.Gate.StaleAfter = rapid.SampledFrom([]time.Duration{0, 10 * time.Hour}).Draw(rt, "stale")
			symbol := rapid.SampledFrom([]feed.Symbol{"EUR/USD", "USD/TRY"}).Draw(rt, "symbol")
			m := &gateModel{gate: a.Gate, limits: a.Instruments.Limits(symbol), sources: map[string]*modelSource{},
				lately: func(then, now int) bool { return a.Gate.StaleAfter > 0 || then == now }}
			start := time.Now().Truncate(time.Second)
			level := rapid.SampledFrom([]string{"1.0", "1.02", "1.0201", "1.019", "1.10", "1.1221", "1.15", "1.4", "1.5", "1.6", "0.9", "0.51", "0.49", "10"})
			tick := rapid.Custom(func(rt *rapid.T) feed.Quote {
				q := feed.Quote{Symbol: symbol, Source: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "source")}
				q.Bid = level.Draw(rt, "bid")
				q.Ask = q.Bid + rapid.SampledFrom([]string{"", "0", "01", "5"}).Draw(rt, "spread")
				if q.Bid == "10" {
					q.Ask = rapid.SampledFrom([]string{"10", "10.05", "12"}).Draw(rt, "ask")
				}
				if ago := rapid.IntRange(-1, 8).Draw(rt, "age"); ago >= 0 {
					q.Time = start.Add(-time.Duration(ago) * time.Hour)
				}
				return q
			})
			for call := range rapid.IntRange(1, 12).Draw(rt, "calls") {
				call++ // 0 stands for none
				quotes := rapid.SliceOfN(tick, 1, 6).Draw(rt, "quotes")
				outcomes, err := accept.AcceptAll(t.Context(), c, quotes, a)
				if err != nil {
					rt.Fatal(err)
				}
				for i, q := range quotes {
					want, got := m.judge(q, call, start), "taken"
					switch o := outcomes[i]; {
					case o.Rejection != nil:
						got = string(o.Rejection.Reason)
					case o.Gap:
						got = "gap"
					}
					if got != want {
						rt.Fatalf("call %d, quote %d, %s/%s from %s at %v: %s, want %s (%v)", call, i, q.Bid, q.Ask, q.Source, q.Time, got, want, outcomes[i].Rejection)
					}
				}
			}
		})
	})
}
