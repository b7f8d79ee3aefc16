package limiter_test

import (
	"context"
	"log/slog"
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

var eventually = redistest.Eventually

// client returns a client that respects deadlines and does not retry.
func client(t *testing.T, s *redistest.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestStopUnderLoad stops, continues, kills and restarts Redis under load. No call waits long, the
// local tiers hold, and Redis takes over again.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	reg := prometheus.NewRegistry()
	l := limiter.New(limiter.Config{Redis: client(t, s), Registerer: reg, Refusals: -1})
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
				if took > 2*time.Second { // 50 ms, but for a busy machine
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
		t.Errorf("%d of %d calls took longer than 2 s, the slowest %v", n, calls.Load(), time.Duration(slowest.Load()))
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

// TestFullRedis: a server that refuses writes counts as lost.
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

// TestDistantRedis: a round trip that takes three fifths of the timeout fails no call, whenever the
// call comes, and begins no outage.
func TestDistantRedis(t *testing.T) {
	t.Parallel()
	const timeout, callers, calls = 500 * time.Millisecond, 20, 6
	s := redistest.Start(t)
	proxy := redistest.StartProxy(t, s.Addr())
	proxy.Slow(0, timeout*3/10) // each way
	c := redis.NewClient(&redis.Options{Addr: proxy.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	reg := prometheus.NewRegistry()
	l := limiter.New(limiter.Config{Redis: c, Timeout: timeout, Registerer: reg, Refusals: -1})
	running(t, l)
	tier := limiter.Limit{Max: 1_000_000, Window: time.Hour}
	eventually(t, "connections for concurrent round trips", func() bool {
		return c.PoolStats().PipelineStats.IdleConns >= 8
	})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * timeout / callers) // arrive at every phase of a round trip
			for range calls {
				if d, err := l.Allow(context.Background(), "s", 1, tier); err != nil || d.Source != limiter.FromRedis {
					t.Errorf("%+v, %v", d, err)
				}
			}
		})
	}
	wg.Wait()
	if n := metric(t, reg, "fx_limiter_redis_failures_total"); n != 0 {
		t.Errorf("%v calls failed", n)
	}
}

// TestRefusalIsNamed: the log calls a Redis that answers and refuses by its reason, and not lost.
func TestRefusalIsNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		word   string
		refuse func(t *testing.T, c *redis.Client)
		mend   func(t *testing.T, c *redis.Client)
	}{
		{"OOM", set("maxmemory", "1"), set("maxmemory", "0")},
		{"NOREPLICAS", set("min-replicas-to-write", "1"), set("min-replicas-to-write", "0")},
		{"READONLY", replicaOf("127.0.0.1", "1"), replicaOf("NO", "ONE")},
	} {
		t.Run(tc.word, func(t *testing.T) {
			t.Parallel()
			// A retry would outlast the call.
			c := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr(), ContextTimeoutEnabled: true, MinRetryBackoff: time.Hour, MaxRetryBackoff: time.Hour})
			t.Cleanup(func() { c.Close() })
			var log redistest.Log
			l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			running(t, l)
			tier := limiter.Limit{Max: 1_000_000, Window: time.Minute}
			allow(t, l, "s", 1, tier)
			tc.refuse(t, c)
			for range 3 {
				if d := allow(t, l, "s", 1, tier); d.Source != limiter.FromLocal {
					t.Errorf("%+v", d)
				}
			}
			tc.mend(t, c)
			eventually(t, "Redis decides again", func() bool { return allow(t, l, "s", 1, tier).Source == limiter.FromRedis })
			text := log.String()
			if strings.Contains(text, "lost") || strings.Count(text, "Redis refuses to count") != 1 || !strings.Contains(text, "refuses to write ("+tc.word+")") {
				t.Errorf("the log does not name %s, once:\n%s", tc.word, text)
			}
		})
	}
}

func set(name, value string) func(*testing.T, *redis.Client) {
	return func(t *testing.T, c *redis.Client) {
		if err := c.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func replicaOf(host, port string) func(*testing.T, *redis.Client) {
	return func(t *testing.T, c *redis.Client) {
		if err := c.ReplicaOf(t.Context(), host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailureReasons: the labels of the failure metric are a contract.
func TestFailureReasons(t *testing.T) {
	reg := prometheus.NewRegistry()
	limiter.New(limiter.Config{Registerer: reg})
	want := strings.NewReader(`
# HELP fx_limiter_redis_failures_total Calls that Redis did not decide, by reason. Each begins an outage on this node, during which the policy decides. timeout alone: Redis or this node is too slow.
# TYPE fx_limiter_redis_failures_total counter
fx_limiter_redis_failures_total{reason="connection"} 0
fx_limiter_redis_failures_total{reason="memory"} 0
fx_limiter_redis_failures_total{reason="refused"} 0
fx_limiter_redis_failures_total{reason="timeout"} 0
`)
	if err := testutil.GatherAndCompare(reg, want, "fx_limiter_redis_failures_total"); err != nil {
		t.Error(err)
	}
}
