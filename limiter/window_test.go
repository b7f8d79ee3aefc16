package limiter_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// decider is one implementation of the arithmetic with a clock that the test
// sets, in microseconds.
type decider interface {
	Decide(now, cost int64, charge bool) (bool, []limiter.Verdict)
}

// scripted is window.lua in a Redis, with the clock of the test.
type scripted struct {
	t      failer
	client *redis.Client
	script *redis.Script
	keys   []string
	tiers  []limiter.Limit
}

type failer interface{ Fatalf(string, ...any) }

var subjects atomic.Int64 // each history has keys of its own

func newScripted(t failer, c *redis.Client, tiers []limiter.Limit) *scripted {
	n := subjects.Add(1)
	s := &scripted{t: t, client: c, script: redis.NewScript(limiter.WindowSourceAt), tiers: tiers}
	for i, l := range tiers {
		s.keys = append(s.keys, limiter.RedisKey(fmt.Sprintf("%d:%d", n, i), l))
	}
	return s
}

func (s *scripted) Decide(now, cost int64, charge bool) (bool, []limiter.Verdict) {
	args := []any{0}
	if charge {
		args[0] = 1
	}
	for _, l := range s.tiers {
		args = append(args, cost, l.Max, l.Window.Milliseconds()+1000)
	}
	args = append(args, now)
	r, err := s.script.Run(context.Background(), s.client, s.keys, args...).Int64Slice()
	if err != nil {
		s.t.Fatalf("script: %v", err)
	}
	var out []limiter.Verdict
	for i := range s.tiers {
		out = append(out, limiter.Verdict{Remaining: r[4+3*i], Reset: r[5+3*i], Retry: r[6+3*i]})
	}
	return r[0] == 1, out
}

// exactLog is the model of the promises: every admission with its time.
type exactLog []struct{ at, cost int64 }

// within returns the sum of the units admitted in (now-window, now].
func (l exactLog) within(now, window int64) (sum int64) {
	for _, e := range slices.Backward(l) {
		if e.at <= now-window {
			break
		}
		sum += e.cost
	}
	return sum
}

func drawTiers(t *rapid.T) []limiter.Limit {
	var tiers []limiter.Limit
	for i := range rapid.IntRange(1, 4).Draw(t, "tiers") {
		tiers = append(tiers, limiter.Limit{
			Max: rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, 400), rapid.Int64Range(200, 70_000),
				rapid.Just(int64(limiter.MaxLimit))).Draw(t, "max"),
			Window: time.Duration(rapid.OneOf(rapid.Int64Range(1000, 5000), rapid.Int64Range(1000, 100_000), rapid.Just(int64(3_600_000)),
				rapid.Int64Range(86_000_000, 86_400_000), rapid.Just(int64(366*86_400_000))).Draw(t, "ms")) * time.Millisecond,
			Name: strconv.Itoa(i),
		})
	}
	return tiers
}

// drawStep draws the time to the next call: in a burst, within a mark, about a mark or a window
// later, or just when a verdict promises a change.
func drawStep(t *rapid.T, tiers []limiter.Limit, last []limiter.Verdict) int64 {
	w := rapid.SampledFrom(tiers).Draw(t, "of").Window.Microseconds()
	steps := []*rapid.Generator[int64]{
		rapid.Just(int64(0)), rapid.Int64Range(0, 10), rapid.Int64Range(0, w/60+2), rapid.Int64Range(w/60-2, w/60+2),
		rapid.Int64Range(w/61, w/10), rapid.Int64Range(w-3, w+w/60+3),
	}
	for _, v := range last {
		if v.Retry > 0 {
			steps = append(steps, rapid.Int64Range(max(0, v.Retry-2), v.Retry))
		}
		steps = append(steps, rapid.Int64Range(max(0, v.Reset-2), v.Reset))
	}
	return rapid.OneOf(steps...).Draw(t, "step")
}

func drawCost(t *rapid.T, tiers []limiter.Limit) int64 {
	least := slices.MinFunc(tiers, func(a, b limiter.Limit) int { return int(a.Max - b.Max) }).Max
	return rapid.OneOf(rapid.Just(int64(1)), rapid.Int64Range(1, 4), rapid.Int64Range(1, least+1)).Draw(t, "cost")
}

// checkPromises runs a random history on d and checks the promises against the exact log. again, if
// not nil, must return the same as d.
func checkPromises(t *rapid.T, d, again decider, tiers []limiter.Limit, calls int) {
	now := int64(1_800_000_000_000_000)
	var log exactLog
	var last []limiter.Verdict
	for range calls {
		now += drawStep(t, tiers, last)
		cost := drawCost(t, tiers)
		charge := rapid.IntRange(0, 9).Draw(t, "peek") > 0
		allowed, verdicts := d.Decide(now, cost, charge)
		last = verdicts
		if again != nil {
			allowed2, verdicts2 := again.Decide(now, cost, charge)
			if allowed != allowed2 || !slices.Equal(verdicts, verdicts2) {
				t.Fatalf("at %d cost %d charge %v: %v %v, the other has %v %v", now, cost, charge, allowed, verdicts, allowed2, verdicts2)
			}
		}
		refused := false
		for i, l := range tiers {
			w := l.Window.Microseconds()
			v := verdicts[i]
			switch {
			case v.Retry == 0:
				if sum := log.within(now, w); sum+cost > l.Max {
					t.Fatalf("promise 1: tier %v says yes to %d more with %d in the window", l, cost, sum)
				}
			default:
				refused = true
				if sum := log.within(now, w+w/60); sum+cost <= l.Max {
					t.Fatalf("promise 2: tier %v says no to %d more with %d in the window lengthened by 1/60", l, cost, sum)
				}
				if (v.Retry < 0) != (cost > l.Max) {
					t.Fatalf("tier %v: retry %d for cost %d", l, v.Retry, cost)
				}
			}
			if v.Reset > w || v.Retry > w {
				t.Fatalf("tier %v: reset %d or retry %d is longer than the window", l, v.Reset, v.Retry)
			}
		}
		if allowed == refused {
			t.Fatalf("promise 3: allowed = %v with verdicts %v", allowed, verdicts)
		}
		if allowed && charge {
			log = append(log, struct{ at, cost int64 }{now, cost})
		}
		checkTimes(t, d, tiers, verdicts, now, cost, allowed)
	}
}

// checkTimes checks the verdicts by peeking at later times, which changes nothing.
func checkTimes(t *rapid.T, d decider, tiers []limiter.Limit, verdicts []limiter.Verdict, now, cost int64, allowed bool) {
	m, ok := d.(*limiter.Model)
	if !ok {
		if !allowed {
			retry, fits := longest(verdicts)
			if yes, at := d.Decide(now+retry, cost, false); fits && !yes {
				t.Fatalf("promise 5: after the retry-after of %d still refused: %v", retry, at)
			}
		}
		return
	}
	if retry, fits := longest(verdicts); !allowed && fits {
		if yes, at := m.Clone().Decide(now+retry, cost, true); !yes {
			t.Fatalf("promise 5: after the retry-after of %d still refused: %v", retry, at)
		}
		if yes, _ := m.Clone().Decide(now+retry-1, cost, true); yes {
			t.Fatalf("the retry-after of %d is too long", retry)
		}
	}
	for i, v := range verdicts {
		if v.Reset == 0 {
			if v.Remaining != tiers[i].Max {
				t.Fatalf("reset is 0 with %d of %d free", v.Remaining, tiers[i].Max)
			}
			continue
		}
		if _, at := m.Clone().Decide(now+v.Reset, 1, false); at[i].Remaining <= v.Remaining {
			t.Fatalf("nothing more is free after the reset of %d: %v", v.Reset, at[i])
		}
		if _, at := m.Clone().Decide(now+v.Reset-1, 1, false); at[i].Remaining != v.Remaining {
			t.Fatalf("more is free before the reset of %d: %v", v.Reset, at[i])
		}
	}
	for i := range tiers {
		if m.Marks(i) > 61 {
			t.Fatalf("promise 4: %d marks", m.Marks(i))
		}
	}
}

func longest(verdicts []limiter.Verdict) (retry int64, fits bool) {
	for _, v := range verdicts {
		if v.Retry < 0 {
			return 0, false
		}
		retry = max(retry, v.Retry)
	}
	return retry, true
}

func TestPromisesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tiers := drawTiers(t)
		checkPromises(t, limiter.NewModel(tiers), nil, tiers, rapid.IntRange(1, 300).Draw(t, "calls"))
	})
}

// TestPromisesScript holds the script to the promises and to the model, on a
// real server and on the embedded one.
func TestPromisesScript(t *testing.T) {
	run := func(t *testing.T, c *redis.Client, calls int) {
		rapid.Check(t, func(t *rapid.T) {
			tiers := drawTiers(t)
			checkPromises(t, newScripted(t, c, tiers), limiter.NewModel(tiers), tiers, rapid.IntRange(1, calls).Draw(t, "calls"))
		})
	}
	t.Run("redis", func(t *testing.T) { run(t, redistest.Start(t).Client(), 50) })
	t.Run("embedded", func(t *testing.T) {
		c, _ := redistest.Embedded(t)
		run(t, c, 15)
	})
}

// TestClockGoesBack: after the clock has gone back, earlier charges stay counted for at most one
// window, and no window of real time admits more than the limit.
func TestClockGoesBack(t *testing.T) {
	c := redistest.Start(t).Client()
	rapid.Check(t, func(rt *rapid.T) {
		tiers := []limiter.Limit{{Max: rapid.Int64Range(1, 20).Draw(rt, "max"), Window: 10 * time.Second}}
		script, model := newScripted(rt, c, tiers), limiter.NewModel(tiers)
		w := tiers[0].Window.Microseconds()
		real, skew := int64(1_800_000_000_000_000), int64(0)
		var log exactLog // in real time
		for range rapid.IntRange(1, 60).Draw(rt, "calls") {
			if rapid.IntRange(0, 9).Draw(rt, "jump") == 0 {
				skew -= rapid.OneOf(rapid.Int64Range(1, w/50), rapid.Int64Range(w/2, 3*w), rapid.Just(int64(1_000_000_000_000))).Draw(rt, "back")
			}
			real += rapid.OneOf(rapid.Int64Range(0, w/30), rapid.Int64Range(0, w)).Draw(rt, "step")
			allowed, got := script.Decide(real+skew, 1, true)
			allowed2, want := model.Decide(real+skew, 1, true)
			if allowed != allowed2 || !slices.Equal(got, want) {
				rt.Fatalf("script %v %v, model %v %v", allowed, got, allowed2, want)
			}
			if allowed {
				log = append(log, struct{ at, cost int64 }{real, 1})
				if n := log.within(real, w); n > tiers[0].Max {
					rt.Fatalf("%d admitted in a window of real time, want at most %d", n, tiers[0].Max)
				}
			}
			if got[0].Retry > w || got[0].Reset > w {
				rt.Fatalf("locked out for %d, reset %d: longer than the window", got[0].Retry, got[0].Reset)
			}
		}
	})
}
