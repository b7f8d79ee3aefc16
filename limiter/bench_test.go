package limiter_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// BenchmarkAllow decides three tiers for 1,000 subjects over one connection.
func BenchmarkAllow(b *testing.B) {
	tiers := []limiter.Limit{{Name: "minute", Max: 6_000_000, Window: time.Minute}, {Name: "hour", Max: 100_000_000, Window: time.Hour},
		{Name: "day", Max: 1_000_000_000, Window: 24 * time.Hour}}
	var subjects []string
	for i := range 1000 {
		subjects = append(subjects, fmt.Sprint("user:", i))
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("redis/callers=%d", callers), func(b *testing.B) {
			s := redistest.Start(b)
			c := redis.NewClient(&redis.Options{Addr: s.Addr(), PoolSize: 1, PipelinePoolSize: -1, ContextTimeoutEnabled: true})
			b.Cleanup(func() { c.Close() })
			benchmark(b, limiter.New(limiter.Config{Redis: c, Timeout: patient}), callers, subjects, tiers)
		})
	}
	b.Run("local/callers=1", func(b *testing.B) { benchmark(b, limiter.New(limiter.Config{}), 1, subjects, tiers) })
	b.Run("front/callers=1", func(b *testing.B) {
		l := limiter.New(limiter.Config{Redis: redistest.Start(b).Client(), Timeout: patient, RefusalHold: time.Hour})
		one := limiter.RequestTiers(1, 0, 0)
		one[0].Window = time.Hour
		for range 2 {
			if _, err := l.Allow(b.Context(), "s", 1, one...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			if d, _ := l.Allow(b.Context(), "s", 1, one...); d.Source != limiter.FromRefusal {
				b.Fatal(d.Source)
			}
		}
	})
}

func benchmark(b *testing.B, l *limiter.Limiter, callers int, subjects []string, tiers []limiter.Limit) {
	b.ReportAllocs()
	var wg sync.WaitGroup
	per := (b.N + callers - 1) / callers
	b.ResetTimer()
	for caller := range callers {
		wg.Go(func() {
			for i := range per {
				d, err := l.Allow(b.Context(), subjects[(i*callers+caller)%len(subjects)], 1, tiers...)
				if err != nil || !d.Allowed {
					b.Errorf("%+v, %v", d, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

func BenchmarkBucket(b *testing.B) {
	bucket := limiter.NewRate(1e9, 1e9).Bucket()
	b.ReportAllocs()
	for b.Loop() {
		bucket.Take(1)
	}
}
