package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

// onBoth runs a test over a real server and over the embedded one.
func onBoth(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Run("redis-server", func(t *testing.T) { test(t, redistest.Start(t).Client()) })
	t.Run("embedded", func(t *testing.T) {
		client, _ := redistest.Embedded(t)
		test(t, client)
	})
}

func namespace(t *testing.T, c *cache.Cache, name string, ttl time.Duration) *cache.Namespace {
	t.Helper()
	ns, err := c.Namespace(name, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestValuesAndNamespaces(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		ctx := t.Context()
		c := cache.New(cache.Config{Redis: client})
		users, rates := namespace(t, c, "users", time.Hour), namespace(t, c, "rates", time.Minute)

		if _, err := users.Get(ctx, "1"); !errors.Is(err, cache.ErrMiss) {
			t.Fatalf("Get of nothing: %v, want ErrMiss", err)
		}
		for _, value := range []string{"", "Ann", "\x00fx\x01", strings.Repeat("long", 1000)} {
			if err := users.Set(ctx, "1", []byte(value)); err != nil {
				t.Fatal(err)
			}
			if got, err := users.Get(ctx, "1"); err != nil || string(got) != value {
				t.Errorf("Get = %.20q, %v, want %.20q", got, err, value)
			}
		}
		if _, err := rates.Get(ctx, "1"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("a key of another namespace: %v, want ErrMiss", err)
		}
		ttl, err := client.TTL(ctx, "cache:users:1:1").Result()
		if err != nil || ttl > time.Hour || ttl < 53*time.Minute {
			t.Errorf("TTL of cache:users:1:1 = %v, %v, want an hour less at most a tenth", ttl, err)
		}
		if n, err := users.Delete(ctx, "1", "2"); n != 1 || err != nil {
			t.Errorf("Delete = %d, %v, want 1", n, err)
		}
		if n, err := users.Delete(ctx); n != 0 || err != nil {
			t.Errorf("Delete of nothing = %d, %v", n, err)
		}
		if _, err := users.Get(ctx, "1"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("after Delete: %v, want ErrMiss", err)
		}
	})
}

func TestGetManyReturnsWhatIsThere(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		ctx := t.Context()
		reg := prometheus.NewRegistry()
		ns := namespace(t, cache.New(cache.Config{Redis: client, Registerer: reg}), "", time.Minute)
		want := map[string]string{}
		var keys []string
		for i := range 1203 { // more than one batch
			key := fmt.Sprint("k", i)
			keys = append(keys, key)
			if i%3 == 0 {
				want[key] = fmt.Sprint("v", i)
				if err := ns.Set(ctx, key, []byte(want[key])); err != nil {
					t.Fatal(err)
				}
			}
		}
		found, err := ns.GetMany(ctx, keys...)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for k, v := range found {
			got[k] = string(v)
		}
		if !maps.Equal(got, want) {
			t.Errorf("GetMany found %d values, want %d: %v…", len(got), len(want), slices.Sorted(maps.Keys(got))[:min(5, len(got))])
		}
		err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP fx_cache_lookups_total Keys looked up in the cache, by result. Mostly misses: values expire before they are used again, or Redis evicts them.
# TYPE fx_cache_lookups_total counter
fx_cache_lookups_total{result="hit"} 401
fx_cache_lookups_total{result="miss"} 802
`), "fx_cache_lookups_total")
		if err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
	})
}

func TestValuesExpire(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		ns := namespace(t, cache.New(cache.Config{Redis: client}), "short", 200*time.Millisecond)
		if err := ns.Set(t.Context(), "k", []byte("v")); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			_, err := ns.Get(t.Context(), "k")
			if errors.Is(err, cache.ErrMiss) {
				return
			}
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("still there: %v", err)
			}
		}
	})
}

func TestBadInput(t *testing.T) {
	client, _ := redistest.Embedded(t)
	c := cache.New(cache.Config{Redis: client})
	for _, name := range []string{"a*", "A", "a:b", "a b", strings.Repeat("x", 65), "ü"} {
		if _, err := c.Namespace(name, time.Minute); err == nil || !strings.Contains(err.Error(), "want 1 to 64") {
			t.Errorf("namespace %.10q: %v, want an error that says what is allowed", name, err)
		}
	}
	if _, err := c.Namespace("a", 0); err == nil {
		t.Error("a namespace without a ttl was accepted")
	}
	ns := namespace(t, c, "a", time.Minute)
	ctx := t.Context()
	for _, key := range []string{"", strings.Repeat("k", cache.MaxKey+1)} {
		_, getErr := ns.Get(ctx, key)
		_, manyErr := ns.GetMany(ctx, "fine", key)
		_, delErr := ns.Delete(ctx, key)
		for _, err := range []error{getErr, manyErr, delErr, ns.Set(ctx, key, nil)} {
			if err == nil || errors.Is(err, cache.ErrMiss) {
				t.Errorf("key of %d bytes: %v, want an error", len(key), err)
			}
		}
	}
	if err := ns.Set(ctx, "k", make([]byte, cache.MaxValue+1)); err == nil {
		t.Error("a value above the limit was accepted")
	}
}

func TestRedisGone(t *testing.T) {
	server := redistest.Start(t)
	reg := prometheus.NewRegistry()
	ns := namespace(t, cache.New(cache.Config{Redis: server.Client(), Registerer: reg}), "a", time.Minute)
	if err := ns.Set(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, getErr := ns.Get(ctx, "k")
	_, manyErr := ns.GetMany(ctx, "k")
	for _, err := range []error{getErr, manyErr, ns.Set(ctx, "k", nil)} {
		if err == nil || errors.Is(err, cache.ErrMiss) {
			t.Errorf("without Redis: %v, want an error that is no miss", err)
		}
	}
	server.Restart()
	if _, err := ns.Get(ctx, "k"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("after a restart that lost everything: %v, want ErrMiss", err)
	}
	if n, err := testutil.GatherAndCount(reg, "fx_cache_errors_total"); n != 1 || err != nil {
		t.Errorf("fx_cache_errors_total: %d, %v", n, err)
	}
}
