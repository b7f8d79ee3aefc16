package limiter_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// patient is a timeout that a busy machine does not reach, so that Redis
// decides every call.
const patient = 20 * time.Second

// eachSource runs f with each kind of store.
func eachSource(t *testing.T, f func(t *testing.T, l *limiter.Limiter, source limiter.Source)) {
	t.Run("redis", func(t *testing.T) {
		f(t, limiter.New(limiter.Config{Redis: redistest.Start(t).Client(), Timeout: patient}), limiter.FromRedis)
	})
	t.Run("embedded", func(t *testing.T) {
		c, _ := redistest.Embedded(t)
		f(t, limiter.New(limiter.Config{Redis: c, Timeout: patient}), limiter.FromRedis)
	})
	t.Run("local", func(t *testing.T) {
		gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
		t.Cleanup(func() { gone.Close() })
		f(t, limiter.New(limiter.Config{Redis: gone}), limiter.FromLocal)
	})
	t.Run("without redis", func(t *testing.T) { f(t, limiter.New(limiter.Config{}), limiter.FromLocal) })
}

func allow(t *testing.T, l *limiter.Limiter, subject string, cost int64, tiers ...limiter.Limit) limiter.Decision {
	t.Helper()
	d, err := l.Allow(t.Context(), subject, cost, tiers...)
	if err != nil {
		t.Fatalf("Allow(%q, %d): %v", subject, cost, err)
	}
	return d
}

func TestAllow(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, source limiter.Source) {
		tiers := limiter.RequestTiers(5, 8, 100)
		for i := range int64(5) {
			d := allow(t, l, "user:1", 1, tiers...)
			if !d.Allowed || d.Source != source {
				t.Fatalf("call %d: %+v, want allowed by %s", i, d, source)
			}
			for j, max := range []int64{5, 8, 100} {
				if s := d.Tiers[j]; s.Limit != tiers[j] || s.Remaining != max-1-i || s.Reset <= 0 || s.Reset > s.Window || s.Refused() {
					t.Fatalf("call %d, tier %d: %+v", i, j, s)
				}
			}
			if wait, ok := d.RetryAfter(); wait != 0 || !ok {
				t.Fatalf("RetryAfter of an allowed call = %v, %v", wait, ok)
			}
		}
		d := allow(t, l, "user:1", 1, tiers...)
		if wait, ok := d.RetryAfter(); d.Allowed || !ok || wait <= 0 || wait > time.Minute {
			t.Fatalf("the sixth call: %+v, retry %v %v", d, wait, ok)
		}
		if v := d.Violated(); len(v) != 1 || v[0] != "minute" {
			t.Errorf("violated = %v, want minute", v)
		}
		// The refused call charged nothing, the hour included.
		if d, _ := l.Peek(t.Context(), "user:1", 1, tiers[1]); d.Tiers[0].Remaining != 3 {
			t.Errorf("hour after a refused call: %+v, want 3 left", d.Tiers[0])
		}
		if d := allow(t, l, "user:2", 1, tiers...); !d.Allowed {
			t.Errorf("another subject: %+v", d)
		}
	})
}

func TestAllTiersOrNone(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, _ limiter.Source) {
		small, large := limiter.Limit{Name: "small", Max: 3, Window: time.Minute}, limiter.Limit{Name: "large", Max: 10, Window: time.Hour}
		for range 2 {
			allow(t, l, "s", 1, small, large)
		}
		if d := allow(t, l, "s", 2, large, small); d.Allowed || d.Tiers[0].Refused() || !d.Tiers[1].Refused() {
			t.Fatalf("2 more of 3: %+v, want refused by small only", d)
		}
		if d := allow(t, l, "s", 1, large, small); !d.Allowed || d.Tiers[0].Remaining != 7 || d.Tiers[1].Remaining != 0 {
			t.Fatalf("1 more of 3: %+v, want 7 and 0 left", d)
		}
	})
}

func TestCostAndPeek(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, _ limiter.Source) {
		tier := limiter.Limit{Max: 100, Window: time.Minute}
		for range 3 {
			d, err := l.Peek(t.Context(), "s", 100, tier)
			if err != nil || !d.Allowed || d.Tiers[0].Remaining != 100 || d.Tiers[0].Reset != 0 {
				t.Fatalf("peek: %+v, %v, want 100 left", d, err)
			}
		}
		if d := allow(t, l, "s", 60, tier); !d.Allowed || d.Tiers[0].Remaining != 40 {
			t.Fatalf("60 of 100: %+v", d)
		}
		if d := allow(t, l, "s", 41, tier); d.Allowed {
			t.Fatalf("41 of 40: %+v", d)
		}
		if d := allow(t, l, "s", 40, tier); !d.Allowed || d.Tiers[0].Remaining != 0 {
			t.Fatalf("40 of 40 after 41 were refused: %+v", d)
		}
		d := allow(t, l, "s", 101, tier)
		if _, ok := d.RetryAfter(); d.Allowed || ok || !d.Tiers[0].Never {
			t.Fatalf("101 of 100: %+v, want never", d)
		}
	})
}

// TestRetryAfterIsTrue waits for each retry-after in real time.
func TestRetryAfterIsTrue(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, _ limiter.Source) {
		t.Parallel()
		tier := limiter.Limit{Max: 3, Window: time.Second}
		for i := range 3 {
			allow(t, l, "s", 1, tier)
			if i < 2 {
				time.Sleep(30 * time.Millisecond) // marks of their own
			}
		}
		for round := range 3 {
			d := allow(t, l, "s", 1, tier)
			for d.Allowed { // slept longer than it had to
				d = allow(t, l, "s", 1, tier)
			}
			wait, ok := d.RetryAfter()
			if !ok || wait <= 0 || wait > time.Second {
				t.Fatalf("round %d: %+v, want refused for at most a second", round, d)
			}
			time.Sleep(wait)
			if d := allow(t, l, "s", 1, tier); !d.Allowed {
				t.Fatalf("round %d: still refused after %v: %+v", round, wait, d)
			}
		}
	})
}

func TestReset(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, source limiter.Source) {
		a, b := limiter.Limit{Max: 1, Window: time.Minute}, limiter.Limit{Max: 1, Window: time.Hour}
		reset := func(subject string, tiers ...limiter.Limit) {
			t.Helper()
			// Windows in memory are cleared even if Redis cannot be reached.
			if err := l.Reset(t.Context(), subject, tiers...); err != nil && !l.Lost() {
				t.Fatal(err)
			}
		}
		if source == limiter.FromLocal && t.Name() == "TestReset/local" {
			return // a reset needs Redis, or none to be configured
		}
		for _, s := range []string{"s", "s2", "s p {x}*"} {
			allow(t, l, s, 1, a, b)
			if d := allow(t, l, s, 1, a, b); d.Allowed {
				t.Fatalf("%q: %+v", s, d)
			}
		}
		reset("s", b)
		if d := allow(t, l, "s", 1, b); !d.Allowed {
			t.Errorf("after the reset of one tier: %+v", d)
		}
		if d := allow(t, l, "s", 1, a); d.Allowed && source == limiter.FromRedis {
			t.Errorf("the other tier was reset as well: %+v", d)
		}
		reset("s")
		reset("s p {x}*")
		for _, s := range []string{"s", "s p {x}*"} {
			if d := allow(t, l, s, 1, a, b); !d.Allowed {
				t.Errorf("%q after its reset: %+v", s, d)
			}
		}
		if d := allow(t, l, "s2", 1, a, b); d.Allowed {
			t.Errorf("another subject was reset as well: %+v", d)
		}
	})
}

func TestDryRun(t *testing.T) {
	l := limiter.New(limiter.Config{DryRun: true})
	tier := limiter.Limit{Max: 1, Window: time.Minute}
	if d := allow(t, l, "s", 1, tier); !d.Allowed || d.WouldRefuse {
		t.Errorf("first: %+v", d)
	}
	if d := allow(t, l, "s", 1, tier); !d.Allowed || !d.WouldRefuse || d.Tiers[0].Remaining != 0 {
		t.Errorf("second: %+v, want allowed with WouldRefuse", d)
	}
	if top := l.TopOffenders(5); len(top) != 1 || top[0] != (limiter.Offender{Subject: "s", Refused: 1}) {
		t.Errorf("top offenders %v", top)
	}
}

// TestConcurrent: concurrent callers get exactly the limit.
func TestConcurrent(t *testing.T) {
	eachSource(t, func(t *testing.T, l *limiter.Limiter, _ limiter.Source) {
		tiers := limiter.RequestTiers(100, 150, 0)
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 20 {
					d, err := l.Allow(context.Background(), "s", 1, tiers...)
					if err != nil {
						t.Error(err)
					}
					if d.Allowed {
						allowed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := allowed.Load(); n != 100 {
			t.Errorf("%d of 400 calls allowed, want 100", n)
		}
	})
}
