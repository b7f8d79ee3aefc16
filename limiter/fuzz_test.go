package limiter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
)

// FuzzDamagedKey stores arbitrary bytes in place of a window. The script must reply, refuse no
// subject for longer than the window, and begin an empty window at most once: when it finds that
// the bytes are not a window.
func FuzzDamagedKey(f *testing.F) {
	c := redistest.Start(f).Client()
	tier := limiter.Limit{Max: 300, Window: 2 * time.Second}
	w := tier.Window.Microseconds()
	start := int64(1_800_000_000_000_000)
	seed := newScripted(f, c, []limiter.Limit{tier})
	for i := range int64(5) {
		seed.Decide(start+i*w/50, 60, true)
		f.Add([]byte(c.Get(f.Context(), seed.keys[0]).Val()), int64(0), uint16(30))
	}
	f.Add([]byte{}, int64(0), uint16(1))
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff"+strings.Repeat("\xff", 6*62)), int64(5), uint16(300))
	f.Fuzz(func(t *testing.T, value []byte, later int64, cost uint16) {
		s := newScripted(t, c, []limiter.Limit{tier})
		if err := c.Set(t.Context(), s.keys[0], value, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		defer c.Del(t.Context(), s.keys[0])
		now := start + max(0, later%(10*w))
		n, sum := int64(cost%300)+1, int64(0)
		for end := now + w; now < end; now += w / 10 {
			ok, v := s.Decide(now, n, true)
			if ok {
				sum += n
			}
			if v[0].Retry > w || v[0].Reset > w || v[0].Remaining < 0 || v[0].Remaining > tier.Max || ok != (v[0].Retry == 0) {
				t.Fatalf("%+v for %d at %d", v, n, now)
			}
		}
		if sum > 2*tier.Max {
			t.Fatalf("%d admitted within a window, want at most %d", sum, 2*tier.Max)
		}
		if ok, v := s.Decide(now+w, n, true); !ok {
			t.Fatalf("still refused after a window: %+v", v)
		}
	})
}

// FuzzSubject: any subject gets a decision. Its key contains the subject, plain or hashed, and no
// other subject has that key.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{"user:1", "", "{}", "a b", "sha256:" + strings.Repeat("a", 64), "\xff", strings.Repeat("x", 129)} {
		f.Add(s)
	}
	tier := limiter.Limit{Max: 1, Window: time.Minute}
	f.Fuzz(func(t *testing.T, subject string) {
		l := limiter.New(limiter.Config{})
		d, err := l.Allow(t.Context(), subject, 1, tier)
		if subject == "" {
			if err == nil {
				t.Fatal("no subject is no error")
			}
			return
		}
		if err != nil || !d.Allowed {
			t.Fatalf("%+v, %v", d, err)
		}
		if d, _ := l.Allow(t.Context(), subject, 1, tier); d.Allowed {
			t.Fatal("the second call was allowed")
		}
		key := limiter.RedisKey(subject, tier)
		if !strings.HasPrefix(key, "ratelimit:{") || !strings.HasSuffix(key, "}:60:1") || len(key) > 160 || strings.Count(key, "{") != 1 || strings.Count(key, "}") != 1 {
			t.Fatalf("key %q", key)
		}
		if inKey := strings.TrimSuffix(strings.TrimPrefix(key, "ratelimit:{"), "}:60:1"); inKey != subject && limiter.RedisKey(inKey, tier) == key {
			t.Fatalf("the hash of a subject is a subject with the same key %q", key)
		}
	})
}
