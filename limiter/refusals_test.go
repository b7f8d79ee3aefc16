package limiter_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// TestSharedRoundTrips: callers that share round trips receive their own replies, even if the
// server loses its scripts meanwhile or some callers give up.
func TestSharedRoundTrips(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, admin := client(t, s), s.Client()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Refusals: -1})
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			// Each caller has its own limit, which identifies its answers.
			tier := limiter.Limit{Max: int64(100 + caller), Window: time.Hour}
			for i := range tier.Max + 5 {
				if caller == 0 && i%10 == 0 {
					admin.ScriptFlush(context.Background())
				}
				d, err := l.Allow(context.Background(), "s", 1, tier)
				if err != nil || d.Source != limiter.FromRedis || d.Allowed != (i < tier.Max) || d.Tiers[0].Remaining != max(0, tier.Max-1-i) {
					t.Errorf("caller %d, call %d: %+v, %v", caller, i, d, err)
					return
				}
			}
		})
	}
	wg.Wait()

	// Callers that give up while others use the connection leave no round trip assigned that is
	// never made.
	impatient := limiter.NewStore(c, 5*time.Millisecond)
	tier := limiter.Limit{Max: limiter.MaxLimit, Window: time.Minute}
	s.Pause()
	for range 50 {
		wg.Go(func() {
			if _, _, err := impatient.Decide(context.Background(), "s", 1, tier); err == nil {
				t.Error("a paused server answered")
			}
		})
	}
	wg.Wait()
	s.Resume()
	eventually(t, "an answer after the pause", func() bool {
		ok, _, err := impatient.Decide(context.Background(), "s", 1, tier)
		return ok && err == nil
	})
}

// TestRefusals: a flood of refused calls costs Redis nothing, memory stays bounded, and Redis
// decides a call that it might allow.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Refusals: 100})
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
		if d := allow(t, l, "s", 3, tier, other); d.Allowed || d.Source != limiter.FromRefusal {
			break // the second is over
		} else if wait, ok := d.RetryAfter(); !ok || wait <= 0 || wait > first.Tiers[0].RetryAfter || d.Tiers[1].Remaining != 992 {
			t.Fatalf("%+v", d)
		}
	}
	if after := commands(); after != before && allow(t, l, "s", 3, tier, other).Source == limiter.FromRefusal {
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
	if n := l.RefusalsLen(); n > 100 || n == 0 {
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

// One subject with ever new tiers takes no more windows than one decision may have, and the window
// that was charged longest ago is dropped.
func TestLocalMemoryOfOneSubjectIsBounded(t *testing.T) {
	l := limiter.New(limiter.Config{})
	tier := func(i int) limiter.Limit { return limiter.Limit{Max: int64(i + 1), Window: time.Hour} }
	for i := range 1000 {
		allow(t, l, "s", 1, tier(i), limiter.Limit{Max: 1e6, Window: time.Minute})
	}
	if n := l.LocalLen(); n > 64 || n < 60 {
		t.Errorf("%d windows of one subject in memory, want at most 64", n)
	}
	if d := allow(t, l, "s", 1000, tier(999)); d.Allowed {
		t.Error("the newest window was dropped")
	}
	if d := allow(t, l, "s", 1e6, limiter.Limit{Max: 1e6, Window: time.Minute}); d.Allowed {
		t.Error("a window that was charged at every call was dropped")
	}
	if err := l.Reset(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if n := l.LocalLen(); n != 0 {
		t.Errorf("%d windows in memory after a reset", n)
	}
}

// The memory of a connected client: the three tiers of its subject, charged once.
func TestLocalMemoryPerSubject(t *testing.T) {
	const subjects, most = 10_000, 330
	l := limiter.New(limiter.Config{LocalSize: 3 * subjects})
	names := make([]string, subjects)
	for i := range names {
		names[i] = fmt.Sprint("user:", i)
	}
	before := heapInUse()
	for _, s := range names {
		allow(t, l, s, 1, limiter.RequestTiers(60, 1000, 10_000)...)
	}
	each := (heapInUse() - before) / subjects
	if n := l.LocalLen(); n != 3*subjects || each > most {
		t.Errorf("%d windows; %d bytes for each subject, want at most %d", n, each, most)
	}
	runtime.KeepAlive(l)
}

func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestRemembered: without a command to Redis, a node knows which calls would be refused. A local
// limiter does so by its own windows.
func TestRemembered(t *testing.T) {
	shared := limiter.New(limiter.Config{Redis: redistest.Start(t).Client(), Timeout: patient})
	tier := limiter.Limit{Name: "minute", Max: 2, Window: time.Minute}
	for name, l := range map[string]*limiter.Limiter{"redis": shared, "local": shared.Local()} {
		for range 2 {
			if d, refused := l.Remembered("user:1", 1, tier); refused {
				t.Fatalf("%s: refused by %s before the limit", name, d.Source)
			}
			if d := allow(t, l, "user:1", 1, tier); !d.Allowed {
				t.Fatalf("%s: %+v", name, d)
			}
		}
		allow(t, l, "user:1", 1, tier) // refused, and remembered
		d, refused := l.Remembered("user:1", 1, tier)
		if wait, ok := d.RetryAfter(); !refused || d.Allowed || !ok || wait <= 0 || d.Source == limiter.FromRedis {
			t.Errorf("%s: %+v, want refused from memory", name, d)
		}
		if _, refused := l.Remembered("user:2", 1, tier); refused {
			t.Errorf("%s: another subject is refused", name)
		}
	}
	dry := limiter.New(limiter.Config{DryRun: true}).Local()
	for range 5 {
		if d := allow(t, dry, "user:1", 1, tier); !d.Allowed {
			t.Errorf("a dry run refuses: %+v", d)
		}
	}
	if _, refused := dry.Remembered("user:1", 1, tier); refused {
		t.Error("a dry run remembers a refusal")
	}
}
