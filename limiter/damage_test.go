package limiter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// TestDamagedKeys: whatever a key holds, Redis decides the next calls, admits no more than the
// limit, and the key holds a window afterwards.
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
				if d.Source != limiter.FromRedis && d.Source != limiter.FromRefusal {
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

// TestKeyFromTheFuture: a failover to a node whose clock is behind leaves keys that are newer than
// now. Even a day ahead, they refuse no subject for longer than the window.
func TestKeyFromTheFuture(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	reg := prometheus.NewRegistry()
	l := limiter.New(limiter.Config{Redis: c, Timeout: patient, Registerer: reg, Refusals: -1})
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
	if took := time.Since(start); took < 900*time.Millisecond || took > 20*time.Second {
		t.Errorf("allowed again after %v, want about a second", took)
	}
	if n := metric(t, reg, "fx_limiter_clock_went_back_total"); n != 1 {
		t.Errorf("the clock went back %v times, want 1", n)
	}
}

// TestScriptFlush: a server that has lost its scripts receives them again.
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
