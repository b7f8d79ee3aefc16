package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestRedisKilledAndBack(t *testing.T) {
	server := redistest.Start(t)
	reg := prometheus.NewRegistry()
	c := newCache(t, cache.Config{Redis: quick(t, server.Addr()), Registerer: reg, Namespaces: []string{"users"}, Timeout: 5 * time.Second})
	ns := namespace(t, c, "users", time.Hour)
	ctx := t.Context()
	must(t, ns.SetMany(ctx, map[string]any{"a": "1", "b": user{Name: "Ann"}}))
	server.Kill()

	e, err := ns.Get(ctx, "a")
	if err != nil || string(e.Value) != "1" || e.Source != cache.SourceMemory || e.Age <= 0 {
		t.Errorf("Get without Redis = %+v, %v, want 1 from memory", e, err)
	}
	if e, err := cache.As[user](ns).Get(ctx, "b"); err != nil || e.Value.Name != "Ann" || e.Source != cache.SourceMemory {
		t.Errorf("typed Get without Redis = %+v, %v", e, err)
	}
	found, err := ns.GetMany(ctx, "a", "b", "c")
	partial, ok := errors.AsType[*cache.PartialError](err)
	if len(found) != 2 || !ok || len(partial.Failed) != 1 || partial.Failed["c"] == nil || partial.Total != 3 || !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("GetMany without Redis = %v, %v, want a and b, and c failed", found, err)
	}
	for name, err := range map[string]error{
		"Get": second(ns.Get(ctx, "c")), "Set": ns.Set(ctx, "c", "2"), "Delete": second(ns.Delete(ctx, "c")),
		"Exists": second(ns.Exists(ctx, "a")), "SetMany": ns.SetMany(ctx, map[string]any{"c": 1, "d": 2}),
		"DeleteMany": second(ns.DeleteMany(ctx, "c", "d")), "Invalidate": second(ns.Invalidate(ctx, "x*", nil)), "InvalidateAll": ns.InvalidateAll(ctx),
	} {
		if !errors.Is(err, cache.ErrUnavailable) || errors.Is(err, cache.ErrMiss) || !strings.Contains(fmt.Sprint(err), "Redis is not available") {
			t.Errorf("%s without Redis: %v, want ErrUnavailable", name, err)
		}
	}
	// Fetch still loads, but not each time.
	loads := 0
	load := func(context.Context) (any, error) { loads++; return "loaded", nil }
	for i, want := range []cache.Source{cache.SourceLoad, cache.SourceMemory, cache.SourceMemory} {
		if e, err := ns.Fetch(ctx, "c", load); err != nil || string(e.Value) != "loaded" || e.Source != want {
			t.Errorf("Fetch %d without Redis = %q from %s, %v, want from %s", i, e.Value, e.Source, err, want)
		}
	}
	if loads != 1 {
		t.Errorf("%d loads without Redis, want 1", loads)
	}
	// A deleted key is gone from the copy.
	if _, err := ns.Delete(ctx, "a"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("Delete: %v", err)
	}
	if _, err := ns.Get(ctx, "a"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("Get after a Delete without Redis: %v, want ErrUnavailable", err)
	}
	if got := testutil.ToFloat64(counter(t, reg, "fx_cache_degraded")); got != 1 {
		t.Errorf("fx_cache_degraded = %v, want 1", got)
	}

	server.Restart() // and all is lost
	eventually(t, "Redis is used again", func() bool { return ns.Set(ctx, "d", "3") == nil })
	if _, err := ns.Get(ctx, "b"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("after a restart that lost everything: %v, want ErrMiss", err)
	}
	if e, err := ns.Get(ctx, "d"); err != nil || e.Source != cache.SourceRedis {
		t.Errorf("after a restart: %+v, %v", e, err)
	}
	if got := testutil.ToFloat64(counter(t, reg, "fx_cache_degraded")); got != 0 {
		t.Errorf("fx_cache_degraded = %v, want 0", got)
	}
	if got := testutil.ToFloat64(counter(t, reg, "fx_cache_redis_failures_total", "connection")); got < 1 {
		t.Errorf("connection failures = %v", got)
	}
}

// TestRedisPaused: a Redis that accepts connections but does not answer costs one timeout, not one
// per call.
func TestRedisPaused(t *testing.T) {
	server := redistest.Start(t)
	c := newCache(t, cache.Config{Redis: quick(t, server.Addr()), Timeout: 400 * time.Millisecond})
	ns := namespace(t, c, "users", time.Hour)
	ctx := t.Context()
	eventually(t, "a value is stored", func() bool { return ns.Set(ctx, "a", "1") == nil })
	server.Pause()
	began := time.Now()
	for range 200 {
		if e, err := ns.Get(ctx, "a"); err != nil || e.Source != cache.SourceMemory {
			t.Fatalf("Get of a paused Redis = %+v, %v", e, err)
		}
		if err := ns.Set(ctx, "b", "2"); !errors.Is(err, cache.ErrUnavailable) {
			t.Fatalf("Set of a paused Redis: %v", err)
		}
	}
	if took := time.Since(began); took > time.Minute { // 160 s, if each waited
		t.Errorf("400 calls took %v, want little more than a timeout", took)
	}
	server.Resume()
	eventually(t, "Redis is used again", func() bool {
		e, err := ns.Get(ctx, "a")
		return err == nil && e.Source == cache.SourceRedis
	})
}

// TestCallerGivesUp: the end of a caller's context does not mean that Redis is lost.
func TestCallerGivesUp(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ns := namespace(t, newCache(t, patient(client)), "users", time.Hour)
	must(t, ns.Set(t.Context(), "a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"Get": second(ns.Get(ctx, "a")), "Set": ns.Set(ctx, "a", "2"), "GetMany": second(ns.GetMany(ctx, "a", "b")),
		"Fetch": second(ns.Fetch(ctx, "z", func(context.Context) (any, error) { return 1, nil })),
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	if e, err := ns.Get(t.Context(), "a"); err != nil || e.Source != cache.SourceRedis {
		t.Errorf("another caller: %+v, %v", e, err)
	}
}

func TestFullRedisStillReads(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	client := server.Client()
	ns := namespace(t, newCache(t, patient(client)), "users", time.Hour)
	ctx := t.Context()
	must(t, ns.Set(ctx, "a", "1"))
	for _, size := range []int{64 << 10, 1 << 10, 1} {
		for i := 0; client.Set(ctx, fmt.Sprint(size, i), strings.Repeat("x", size), 0).Err() == nil; i++ {
			if i > 100_000 {
				t.Fatal("Redis does not fill up")
			}
		}
	}
	if err := ns.Set(ctx, "b", "2"); !errors.Is(err, cache.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("Set of a full Redis: %v, want ErrUnavailable and why", err)
	}
	if e, err := ns.Get(ctx, "a"); err != nil || e.Source != cache.SourceRedis {
		t.Errorf("Get of a full Redis: %+v, %v", e, err)
	}
	if e, err := ns.Fetch(ctx, "c", func(context.Context) (any, error) { return "3", nil }); err != nil || string(e.Value) != "3" {
		t.Errorf("Fetch of a full Redis: %+v, %v", e, err)
	}
}

// testClusterNodeLost: keys of the other nodes are answered, and the others return an error.
func testClusterNodeLost(t *testing.T, client redis.UniversalClient, servers []*redistest.Server) {
	ctx := t.Context()
	cfg := cache.Config{Redis: client, Timeout: 5 * time.Second, CopyBytes: -1, VersionRefresh: time.Hour}
	ns := namespace(t, newCache(t, cfg), "lost", time.Hour)
	keys := numbered("k", 60)
	values := map[string]any{}
	for _, key := range keys {
		values[key] = key
	}
	must(t, ns.SetMany(ctx, values))
	servers[1].Kill()
	found, err := ns.GetMany(ctx, keys...)
	partial, ok := errors.AsType[*cache.PartialError](err)
	if !ok || !errors.Is(err, cache.ErrUnavailable) {
		t.Fatalf("GetMany with a node lost: %v", err)
	}
	if len(found) == 0 || len(found)+len(partial.Failed) != len(keys) || len(partial.Failed) > 40 {
		t.Errorf("%d found and %d failed of %d", len(found), len(partial.Failed), len(keys))
	}
	for key, e := range found {
		if string(e.Value) != key || partial.Failed[key] != nil {
			t.Errorf("%s = %q, %v", key, e.Value, partial.Failed[key])
		}
	}
	err = ns.SetMany(ctx, values)
	wrote, ok := errors.AsType[*cache.PartialError](err)
	if !ok || len(wrote.Failed) != len(partial.Failed) {
		t.Errorf("SetMany with a node lost: %v", err)
	}
	n, err := ns.Invalidate(ctx, "*", nil)
	if n != len(found) || !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("Invalidate with a node lost = %d, %v, want %d and why not all", n, err, len(found))
	}
}

func TestCopyIsBounded(t *testing.T) {
	server := redistest.Start(t)
	c := newCache(t, cache.Config{Redis: quick(t, server.Addr()), Timeout: 5 * time.Second, CopyBytes: 100 << 10, CompressFrom: -1})
	ns := namespace(t, c, "users", time.Hour)
	brief := namespace(t, c, "brief", time.Hour, cache.CopyFor(0))
	ctx := t.Context()
	keys := numbered("k", 100)
	for _, key := range keys {
		must(t, ns.Set(ctx, key, strings.Repeat("x", 4<<10)))
	}
	must(t, ns.Set(ctx, "huge", strings.Repeat("x", 90<<10)))
	must(t, brief.Set(ctx, "k", "v"))
	server.Kill()
	found, err := ns.GetMany(ctx, append(keys, "huge")...)
	if n := len(found); err == nil || n == 0 || n > 25 {
		t.Errorf("%d values of 4 KiB in a copy of 100 KiB, %v", n, err)
	}
	if _, ok := found["huge"]; ok {
		t.Error("one value took nearly the whole copy")
	}
	if _, ok := found[keys[99]]; !ok {
		t.Error("the latest value is not in the copy")
	}
	if _, err := brief.Get(ctx, "k"); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("a namespace without a copy: %v", err)
	}
}

// TestOldCopyOnlyIfLoadFails: after the TTL, the source has precedence over the copy.
func TestOldCopyOnlyIfLoadFails(t *testing.T) {
	server := redistest.Start(t)
	c := newCache(t, cache.Config{Redis: quick(t, server.Addr()), Timeout: 5 * time.Second})
	ns := namespace(t, c, "users", 50*time.Millisecond, cache.CopyFor(time.Hour))
	ctx := t.Context()
	must(t, ns.Set(ctx, "a", "old"))
	server.Kill()
	eventually(t, "the copy is beyond the TTL", func() bool {
		e, err := ns.Get(ctx, "a")
		must(t, err)
		return e.Age > 50*time.Millisecond
	})
	e, err := ns.Fetch(ctx, "a", func(context.Context) (any, error) { return nil, errors.New("broken") })
	if err != nil || string(e.Value) != "old" || e.Source != cache.SourceMemory {
		t.Errorf("Fetch when the source fails too = %q from %s, %v", e.Value, e.Source, err)
	}
	e, err = ns.Fetch(ctx, "a", func(context.Context) (any, error) { return "new", nil })
	if err != nil || string(e.Value) != "new" || e.Source != cache.SourceLoad {
		t.Errorf("Fetch when the source works = %q from %s, %v", e.Value, e.Source, err)
	}
}
