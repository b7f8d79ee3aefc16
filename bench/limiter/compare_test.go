// Package limiter_test compares fxcast's limiter with others, on the same
// server and in one run:
//
//	go test -bench . -benchtime 3s -count 3
//
// fxcast decides three tiers per call, the others one.
package limiter_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/goredisstore.v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// A decide makes one decision for a subject and reports whether it was allowed.
type decide func(ctx context.Context, subject string) (bool, error)

var contenders = []struct {
	name string
	make func(b testing.TB, c *redis.Client) decide
}{
	{"fxcast-3-tiers", func(_ testing.TB, c *redis.Client) decide {
		l := limiter.New(limiter.Config{Redis: c, Timeout: time.Minute})
		tiers := []limiter.Limit{{Name: "minute", Max: 6_000_000, Window: time.Minute}, {Name: "hour", Max: 60_000_000, Window: time.Hour},
			{Name: "day", Max: 600_000_000, Window: 24 * time.Hour}}
		return func(ctx context.Context, subject string) (bool, error) {
			d, err := l.Allow(ctx, subject, 1, tiers...)
			return d.Allowed, err
		}
	}},
	{"redis_rate-1-tier", func(_ testing.TB, c *redis.Client) decide {
		l := redis_rate.NewLimiter(c)
		return func(ctx context.Context, subject string) (bool, error) {
			r, err := l.Allow(ctx, subject, redis_rate.Limit{Rate: 6_000_000, Burst: 6_000_000, Period: time.Minute})
			return err == nil && r.Allowed > 0, err
		}
	}},
	{"redis_rate-3-calls", func(_ testing.TB, c *redis.Client) decide {
		l := redis_rate.NewLimiter(c)
		limits := []redis_rate.Limit{{Rate: 6_000_000, Burst: 6_000_000, Period: time.Minute},
			{Rate: 60_000_000, Burst: 60_000_000, Period: time.Hour}, {Rate: 600_000_000, Burst: 600_000_000, Period: 24 * time.Hour}}
		return func(ctx context.Context, subject string) (bool, error) {
			for i, limit := range limits {
				if r, err := l.Allow(ctx, subject+":"+strconv.Itoa(i), limit); err != nil || r.Allowed == 0 {
					return false, err
				}
			}
			return true, nil
		}
	}},
	{"throttled-1-tier", func(b testing.TB, c *redis.Client) decide {
		store, err := goredisstore.NewCtx(c, "throttled:")
		if err != nil {
			b.Fatal(err)
		}
		l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerMin(6_000_000), MaxBurst: 6_000_000})
		if err != nil {
			b.Fatal(err)
		}
		return func(ctx context.Context, subject string) (bool, error) {
			limited, _, err := l.RateLimitCtx(ctx, subject, 1)
			return !limited, err
		}
	}},
}

// BenchmarkDecide measures decisions a second, their 99th percentile and the
// CPU time Redis spends on one, for 1 and 64 callers that share one connection,
// and for 64 with ten.
func BenchmarkDecide(b *testing.B) {
	for _, load := range []struct{ callers, connections int }{{1, 1}, {64, 1}, {64, 10}} {
		for _, contender := range contenders {
			b.Run(fmt.Sprintf("callers=%d/conns=%d/%s", load.callers, load.connections, contender.name), func(b *testing.B) {
				s := redistest.Start(b)
				c := redis.NewClient(&redis.Options{Addr: s.Addr(), PoolSize: load.connections, PipelinePoolSize: -1, PoolTimeout: time.Minute, ContextTimeoutEnabled: true})
				b.Cleanup(func() { c.Close() })
				run(b, contender.make(b, c), s.Client(), load.callers)
			})
		}
	}
}

func run(b *testing.B, decide decide, admin *redis.Client, callers int) {
	var subjects []string
	for i := range 1000 {
		subjects = append(subjects, fmt.Sprint("user:", i))
		if ok, err := decide(b.Context(), subjects[i]); !ok || err != nil {
			b.Fatalf("warming up: %v, %v", ok, err)
		}
	}
	per := (b.N + callers - 1) / callers
	took := make([][]time.Duration, callers)
	before := cpu(b, admin)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			times := make([]time.Duration, 0, per)
			for i := range per {
				start := time.Now()
				if ok, err := decide(b.Context(), subjects[(i*callers+caller)%len(subjects)]); !ok || err != nil {
					b.Errorf("%v, %v", ok, err)
					return
				}
				times = append(times, time.Since(start))
			}
			took[caller] = times
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) == 0 {
		return
	}
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "decisions/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
	b.ReportMetric((cpu(b, admin)-before)*1e6/float64(len(all)), "redis-us/decision")
}

// cpu is the CPU time Redis has used so far, in seconds.
func cpu(b *testing.B, c *redis.Client) (sum float64) {
	for line := range strings.Lines(c.Info(b.Context(), "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += f
		}
	}
	return sum
}

// TestMemory prints the bytes of one subject after hits spread over the last
// seconds; what matters for the others is one tier.
func TestMemory(t *testing.T) {
	c := redistest.Start(t).Client()
	for _, hits := range []int{10, 1000, 10_000} {
		for _, contender := range contenders {
			c.FlushAll(t.Context())
			decide := contender.make(t, c)
			for range hits {
				if ok, err := decide(t.Context(), "user:1"); !ok || err != nil {
					t.Fatalf("%s: %v, %v", contender.name, ok, err)
				}
			}
			sum := int64(0)
			for _, k := range c.Keys(t.Context(), "*").Val() {
				sum += c.MemoryUsage(t.Context(), k).Val()
			}
			t.Logf("%6d hits %-20s %5d bytes", hits, contender.name, sum)
		}
	}
}
