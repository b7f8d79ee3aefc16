package limiter_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// running runs l until the test ends.
func running(t *testing.T, l *limiter.Limiter) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// client respects deadlines and does not retry, as the server's does.
func client(t *testing.T, s *redistest.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestStopUnderLoad stops, continues, kills and restarts Redis while callers go
// on. No call waits long, the local tiers hold, and Redis takes over again.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	reg := prometheus.NewRegistry()
	l := limiter.New(limiter.Config{Redis: client(t, s), Registerer: reg, FrontSize: -1})
	running(t, l)
	tier := limiter.Limit{Name: "minute", Max: 1_000_000, Window: time.Hour}

	var calls, allowed, slow atomic.Int64
	var slowest atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				d, err := l.Allow(context.Background(), "s", 1, tier)
				if err != nil {
					t.Error(err)
					return
				}
				took := time.Since(start)
				if took > 300*time.Millisecond {
					slow.Add(1)
				}
				slowest.Store(max(slowest.Load(), int64(took)))
				calls.Add(1)
				if d.Allowed {
					allowed.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	source := func() limiter.Source {
		d, err := l.Allow(context.Background(), "other", 1, limiter.Limit{Max: 1_000_000, Window: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return d.Source
	}
	eventually(t, "Redis decides", func() bool { return source() == limiter.FromRedis })
	for range 2 {
		s.Pause()
		eventually(t, "memory decides while Redis is stopped", func() bool { return source() == limiter.FromLocal })
		before := calls.Load()
		eventually(t, "calls go on while Redis is stopped", func() bool { return calls.Load() > before+200 })
		s.Resume()
		eventually(t, "Redis decides again", func() bool { return source() == limiter.FromRedis })
	}
	s.Kill()
	eventually(t, "memory decides while Redis is dead", func() bool { return source() == limiter.FromLocal })
	before := calls.Load()
	eventually(t, "calls go on while Redis is dead", func() bool { return calls.Load() > before+200 })
	s.Restart()
	eventually(t, "Redis decides after its restart", func() bool { return source() == limiter.FromRedis })
	close(stop)
	wg.Wait()
	if n := slow.Load(); n > calls.Load()/100 {
		t.Errorf("%d of %d calls took longer than 300 ms, the slowest %v", n, calls.Load(), time.Duration(slowest.Load()))
	}
	t.Logf("%d calls, slowest %v", calls.Load(), time.Duration(slowest.Load()))
	if n := metric(t, reg, "fx_limiter_redis_failures_total"); n < 3 {
		t.Errorf("%v failures counted in three outages", n)
	}
	if n := metric(t, reg, "fx_limiter_degraded"); n != 0 {
		t.Errorf("degraded = %v after the end", n)
	}
}

// metric sums the series of a metric that have all of the labels.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for _, want := range labels {
				found := false
				for _, p := range m.GetLabel() {
					found = found || p.GetName()+"="+p.GetValue() == want
				}
				if !found {
					continue next
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// TestMemoryHasCountedAlong: an outage gives no subject of this node a second
// allowance.
func TestMemoryHasCountedAlong(t *testing.T) {
	s := redistest.Start(t)
	l := limiter.New(limiter.Config{Redis: client(t, s), Timeout: patient})
	tier := limiter.Limit{Max: 10, Window: time.Hour}
	for range 7 {
		if d := allow(t, l, "s", 1, tier); !d.Allowed || d.Source != limiter.FromRedis {
			t.Fatalf("%+v", d)
		}
	}
	s.Kill()
	for left := int64(2); left >= 0; left-- {
		if d := allow(t, l, "s", 1, tier); !d.Allowed || d.Source != limiter.FromLocal || d.Tiers[0].Remaining != left {
			t.Fatalf("%+v, want %d left by memory", d, left)
		}
	}
	if d := allow(t, l, "s", 1, tier); d.Allowed {
		t.Fatalf("the eleventh: %+v", d)
	}
}

func TestHandBackWithoutRun(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	l := limiter.New(limiter.Config{Redis: client(t, s)})
	tier := limiter.Limit{Max: 1_000_000, Window: time.Minute}
	s.Pause()
	eventually(t, "memory decides", func() bool { return allow(t, l, "s", 1, tier).Source == limiter.FromLocal })
	s.Resume()
	eventually(t, "Redis decides again", func() bool { return allow(t, l, "s", 1, tier).Source == limiter.FromRedis })
}

func TestPolicies(t *testing.T) {
	tiers := limiter.RequestTiers(2, 3, 0)
	for _, tc := range []struct {
		policy  limiter.Policy
		source  limiter.Source
		allowed int
	}{
		{limiter.PolicyLocal, limiter.FromLocal, 2}, {limiter.PolicyAllow, limiter.FromPolicy, 5}, {limiter.PolicyDeny, limiter.FromPolicy, 0},
		{"", limiter.FromLocal, 2},
	} {
		t.Run(string(tc.policy), func(t *testing.T) {
			s := redistest.Start(t)
			reg := prometheus.NewRegistry()
			l := limiter.New(limiter.Config{Redis: client(t, s), OnRedisDown: tc.policy, Registerer: reg})
			s.Kill()
			n := 0
			for range 5 {
				d := allow(t, l, "s", 1, tiers...)
				if d.Source != tc.source || len(d.Tiers) != 2 {
					t.Fatalf("%+v, want source %s", d, tc.source)
				}
				if d.Allowed {
					n++
				} else if wait, ok := d.RetryAfter(); !ok || wait <= 0 {
					t.Errorf("refused without a retry-after: %+v", d)
				}
			}
			if n != tc.allowed {
				t.Errorf("%d allowed, want %d", n, tc.allowed)
			}
			for outcome, want := range map[string]int{"allowed": tc.allowed, "refused": 5 - tc.allowed} {
				if got := metric(t, reg, "fx_limiter_decisions_total", "outcome="+outcome, "source="+string(tc.source)); got != float64(want) {
					t.Errorf("%s counted %v times, want %d", outcome, got, want)
				}
			}
			if metric(t, reg, "fx_limiter_degraded") != 1 {
				t.Error("not degraded")
			}
			problems, err := testutil.GatherAndLint(reg)
			if err != nil || len(problems) > 0 {
				t.Errorf("lint: %v, %v", problems, err)
			}
		})
	}
}

// TestFullRedis: a server that takes no writes is as good as none.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := client(t, s)
	reg := prometheus.NewRegistry()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Registerer: reg})
	running(t, l)
	tier := limiter.Limit{Max: 3, Window: time.Minute}
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range 6 {
		if d := allow(t, l, "s", 1, tier, limiter.Limit{Max: 5, Window: time.Hour}); d.Allowed {
			n++
		}
	}
	if n != 3 || metric(t, reg, "fx_limiter_redis_failures_total", "reason=memory") < 1 {
		t.Errorf("%d allowed with %v failures for memory, want 3 and some", n, metric(t, reg, "fx_limiter_redis_failures_total", "reason=memory"))
	}
	if keys := c.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("a full server holds %q", keys)
	}
	c.ConfigSet(t.Context(), "maxmemory", "0")
	eventually(t, "Redis decides again", func() bool {
		return allow(t, l, "t", 1, limiter.Limit{Max: 1_000_000, Window: time.Minute}).Source == limiter.FromRedis
	})
}

// TestDamagedKeys: whatever a key holds, the next calls are decided, never more
// than the limit is allowed, and the key is a window again.
func TestDamagedKeys(t *testing.T) {
	c := redistest.Start(t).Client()
	tier := limiter.Limit{Max: 3, Window: time.Minute}
	for name, damage := range map[string]func(key, valid string) error{
		"list": func(k, _ string) error { c.Del(t.Context(), k); return c.RPush(t.Context(), k, "x").Err() },
		"hash": func(k, _ string) error { c.Del(t.Context(), k); return c.HSet(t.Context(), k, "a", "b").Err() },
		"set":  func(k, _ string) error { c.Del(t.Context(), k); return c.SAdd(t.Context(), k, "x").Err() },
		"stream": func(k, _ string) error {
			c.Del(t.Context(), k)
			return c.XAdd(t.Context(), &redis.XAddArgs{Stream: k, Values: []string{"a", "b"}}).Err()
		},
		"empty":     func(k, _ string) error { return c.Set(t.Context(), k, "", 0).Err() },
		"text":      func(k, _ string) error { return c.Set(t.Context(), k, "hello world", 0).Err() },
		"cut":       func(k, v string) error { return c.Set(t.Context(), k, v[:len(v)-1], 0).Err() },
		"long":      func(k, v string) error { return c.Set(t.Context(), k, v+strings.Repeat("x", 10_000), 0).Err() },
		"total 0":   func(k, v string) error { return c.Set(t.Context(), k, v[:12]+"\x00"+v[13:], 0).Err() },
		"total 255": func(k, v string) error { return c.Set(t.Context(), k, v[:12]+"\xff"+v[13:], 0).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Registerer: reg})
			key := limiter.RedisKey("s:"+strings.ReplaceAll(name, " ", ""), tier)
			allow(t, l, "s:"+strings.ReplaceAll(name, " ", ""), 1, tier)
			if err := damage(key, c.Get(t.Context(), key).Val()); err != nil {
				t.Fatal(err)
			}
			n := 0
			for range 10 {
				d := allow(t, l, "s:"+strings.ReplaceAll(name, " ", ""), 1, tier)
				if d.Allowed {
					n++
				} else if wait, ok := d.RetryAfter(); !ok || wait > time.Minute {
					t.Errorf("locked out: %+v", d)
				}
				if d.Source != limiter.FromRedis && d.Source != limiter.FromFront {
					t.Fatalf("decided by %s", d.Source)
				}
			}
			if n != 3 {
				t.Errorf("%d of 10 allowed, want 3", n)
			}
			if got := metric(t, reg, "fx_limiter_keys_repaired_total"); got != 1 {
				t.Errorf("%v repairs counted, want 1", got)
			}
			if ttl := c.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 62*time.Second {
				t.Errorf("expires in %v", ttl)
			}
		})
	}
}

// TestKeyFromTheFuture: a failover to a node whose clock is behind leaves keys
// that are newer than now. A day ahead, they lock nobody out for longer than
// the window.
func TestKeyFromTheFuture(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	reg := prometheus.NewRegistry()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Registerer: reg, FrontSize: -1})
	tier := limiter.Limit{Max: 3, Window: time.Second}
	future := newScripted(t, c, []limiter.Limit{tier})
	future.keys[0] = limiter.RedisKey("s", tier)
	ahead := time.Now().Add(24 * time.Hour).UnixMicro()
	for range 3 {
		if ok, _ := future.Decide(ahead, 1, true); !ok {
			t.Fatal("refused")
		}
	}
	c.Persist(t.Context(), future.keys[0])
	start := time.Now()
	if d := allow(t, l, "s", 1, tier); d.Allowed {
		t.Fatalf("what was counted is forgotten: %+v", d)
	}
	eventually(t, "allowed again", func() bool { return allow(t, l, "s", 1, tier).Allowed })
	if took := time.Since(start); took < 900*time.Millisecond || took > 3*time.Second {
		t.Errorf("allowed again after %v, want about a second", took)
	}
	if n := metric(t, reg, "fx_limiter_clock_went_back_total"); n != 1 {
		t.Errorf("the clock went back %v times, want 1", n)
	}
}

// TestScriptFlush: a server that forgot its scripts is given them again.
func TestScriptFlush(t *testing.T) {
	c := redistest.Start(t).Client()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient})
	tier := limiter.Limit{Max: 10, Window: time.Minute}
	for range 3 {
		if d := allow(t, l, "s", 1, tier); d.Source != limiter.FromRedis {
			t.Fatalf("%+v", d)
		}
		c.ScriptFlush(t.Context())
	}
}

// TestFront: a flood of refused calls costs Redis nothing, memory stays
// bounded, and a call that might be allowed is asked about.
func TestFront(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient, FrontSize: 100})
	tier := limiter.Limit{Max: 10, Window: time.Second}
	other := limiter.Limit{Max: 1000, Window: time.Minute}
	commands := func() string {
		for line := range strings.Lines(c.Info(t.Context(), "commandstats").Val()) {
			if strings.HasPrefix(line, "cmdstat_evalsha:") {
				return strings.TrimSpace(strings.Split(line, ",")[0])
			}
		}
		return ""
	}
	allow(t, l, "s", 8, tier, other)
	first := allow(t, l, "s", 3, tier, other)
	if first.Allowed || first.Source != limiter.FromRedis {
		t.Fatalf("%+v", first)
	}
	before := commands()
	for range 1000 {
		if d := allow(t, l, "s", 3, tier, other); d.Allowed || d.Source != limiter.FromFront {
			break // the second is over
		} else if wait, ok := d.RetryAfter(); !ok || wait <= 0 || wait > first.Tiers[0].RetryAfter || d.Tiers[1].Remaining != 992 {
			t.Fatalf("%+v", d)
		}
	}
	if after := commands(); after != before && allow(t, l, "s", 3, tier, other).Source == limiter.FromFront {
		t.Errorf("a flood cost Redis calls: %s, then %s", before, after)
	}
	if d := allow(t, l, "s", 2, tier, other); !d.Allowed {
		t.Errorf("a smaller call that fits: %+v", d)
	}
	if d := allow(t, l, "s", 3, other); !d.Allowed {
		t.Errorf("a call of another tier: %+v", d)
	}
	for i := range 1000 {
		s := "flood:" + strings.Repeat("x", i%50) + string(rune('a'+i%26))
		allow(t, l, s, 10, tier)
		allow(t, l, s, 10, tier)
	}
	if n := l.FrontLen(); n > 100 || n == 0 {
		t.Errorf("%d refusals remembered, want 1 to 100", n)
	}
	eventually(t, "allowed when the retry-after is over", func() bool { return allow(t, l, "s", 3, tier, other).Allowed })
}

func TestLocalMemoryIsBounded(t *testing.T) {
	l := limiter.New(limiter.Config{LocalSize: 200})
	tier := limiter.Limit{Max: 1, Window: time.Hour}
	for i := range 5000 {
		allow(t, l, "s"+strings.Repeat("x", i%100)+string(rune('a'+i%26))+string(rune('a'+i/26%26)), 1, tier)
	}
	if n := l.LocalLen(); n > 200 || n < 100 {
		t.Errorf("%d windows in memory, want at most 200", n)
	}
}
