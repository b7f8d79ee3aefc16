package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestNoStampede has 1,000 concurrent callers fetch a missing key.
func TestNoStampede(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		cfg := patient(client)
		cfg.Timeout = 30 * time.Second
		ns := namespace(t, newCache(t, cfg), "users", time.Hour)
		users := cache.As[user](ns)
		for _, key := range []string{"slow", "fast"} {
			var loads atomic.Int64
			asked := make(chan struct{}, 1000)
			load := func(ctx context.Context) (user, error) {
				loads.Add(1)
				if key == "slow" { // until every caller is on its way
					for range 1000 {
						<-asked
					}
				}
				return user{Name: "Ann", Tags: []string{"x"}}, nil
			}
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() {
					asked <- struct{}{}
					e, err := users.Fetch(t.Context(), key, load)
					if err != nil || e.Value.Name != "Ann" || e.Value.Tags[0] != "x" {
						t.Errorf("Fetch = %+v, %v", e, err)
						return
					}
					e.Value.Tags[0] = "mine" // is nobody else's: the race detector sees it otherwise
				})
			}
			all.Wait()
			if n := loads.Load(); n != 1 {
				t.Errorf("%s: %d loads for 1,000 callers, want 1", key, n)
			}
			e, err := users.Fetch(t.Context(), key, load)
			if err != nil || e.Source != cache.SourceRedis || e.Value.Tags[0] != "x" || loads.Load() != 1 {
				t.Errorf("%s afterwards: %+v, %v, %d loads", key, e, err, loads.Load())
			}
		}
	})
}

func TestFetchErrors(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ctx := t.Context()
	c := newCache(t, patient(client))
	plain, remembering := namespace(t, c, "plain", time.Hour), namespace(t, c, "remembering", time.Hour, cache.CacheMisses(time.Minute))
	calls := 0
	failing := func(err error) func(context.Context) (any, error) {
		return func(context.Context) (any, error) { calls++; return nil, err }
	}
	broken := errors.New("broken")
	gone := fmt.Errorf("user 1: %w", cache.ErrMiss)
	for _, tc := range []struct {
		ns    *cache.Namespace
		err   error
		calls int
	}{{plain, broken, 2}, {plain, gone, 2}, {remembering, broken, 2}, {remembering, gone, 1}} {
		calls = 0
		for range 2 {
			if _, err := tc.ns.Fetch(ctx, "1", failing(tc.err)); !errors.Is(err, tc.err) && !errors.Is(err, cache.ErrMiss) {
				t.Errorf("%s: %v, want %v", tc.ns.Name(), err, tc.err)
			}
		}
		if calls != tc.calls {
			t.Errorf("%s, %v: %d loads, want %d", tc.ns.Name(), tc.err, calls, tc.calls)
		}
	}
	if ttl := client.TTL(ctx, "cache:remembering:1:1").Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("a miss is remembered for %v, want a minute", ttl)
	}
	if _, err := remembering.Get(ctx, "1"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get of a remembered miss: %v", err)
	}
	if ok, err := remembering.Exists(ctx, "1"); ok || err != nil {
		t.Errorf("Exists of a remembered miss: %v, %v", ok, err)
	}
	must(t, remembering.Set(ctx, "1", "now it is"))
	if e, err := remembering.Fetch(ctx, "1", failing(broken)); err != nil || string(e.Value) != "now it is" {
		t.Errorf("after Set: %q, %v", e.Value, err)
	}
	_, err := plain.Fetch(ctx, "panics", func(context.Context) (any, error) { panic("secret") })
	if err == nil || !strings.Contains(err.Error(), "panicked") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a load that panics: %v", err)
	}
	// A value that cannot be read as the type is loaded again.
	must(t, plain.Set(ctx, "u", "no JSON"))
	e, err := cache.As[user](plain).Fetch(ctx, "u", func(context.Context) (user, error) { return user{Name: "Ann"}, nil })
	if err != nil || e.Value.Name != "Ann" || e.Source != cache.SourceLoad {
		t.Errorf("Fetch over a value of another type: %+v, %v", e, err)
	}
	if e, err := cache.As[user](plain).Get(ctx, "u"); err != nil || e.Value.Name != "Ann" {
		t.Errorf("Get after that: %+v, %v", e, err)
	}
}

// TestFetchOutlivesItsCaller: the caller that started a load may give up; the load goes on for the
// others and for the cache.
func TestFetchOutlivesItsCaller(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ns := namespace(t, newCache(t, patient(client)), "users", time.Hour)
	loading, release := make(chan struct{}), make(chan struct{})
	load := func(ctx context.Context) (any, error) {
		close(loading)
		select {
		case <-release:
			return "v", nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := ns.Fetch(ctx, "k", load); first <- err }()
	<-loading
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left: %v", err)
	}
	close(release)
	eventually(t, "the value is stored", func() bool { ok, err := ns.Exists(t.Context(), "k"); return ok && err == nil })
}

func TestLoadThatHangs(t *testing.T) {
	client, _ := redistest.Embedded(t)
	cfg := cache.Config{Redis: client, Timeout: 300 * time.Millisecond, LoadTimeout: 50 * time.Millisecond}
	c, err := cache.New(cfg)
	must(t, err)
	ns := namespace(t, c, "users", time.Hour)
	if _, err := ns.Fetch(t.Context(), "a", func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a load beyond its time: %v", err)
	}
	release := make(chan struct{})
	if _, err := ns.Fetch(t.Context(), "b", func(context.Context) (any, error) { <-release; return nil, nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a load that heeds nothing: %v", err)
	}
	if err := c.Close(); err == nil {
		t.Error("Close said nothing of a load that runs on")
	}
	close(release)
	must(t, c.Close())
	if _, err := ns.Fetch(t.Context(), "c", nil); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("Fetch after Close: %v, want ErrClosed", err)
	}
}

func TestCloseCancelsLoads(t *testing.T) {
	client, _ := redistest.Embedded(t)
	c := newCache(t, patient(client))
	ns := namespace(t, c, "users", time.Hour)
	loading := make(chan struct{})
	got := make(chan error, 1)
	go func() {
		_, err := ns.Fetch(t.Context(), "k", func(ctx context.Context) (any, error) { close(loading); <-ctx.Done(); return nil, ctx.Err() })
		got <- err
	}()
	<-loading
	must(t, c.Close())
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a load at Close: %v", err)
	}
}

func TestServeStale(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		ctx := t.Context()
		ns := namespace(t, newCache(t, patient(client)), "users", 300*time.Millisecond, cache.ServeStale(time.Hour), cache.Jitter(0))
		var loads atomic.Int64
		began, release := make(chan struct{}), make(chan struct{})
		load := func(context.Context) (any, error) {
			if n := loads.Add(1); n > 1 {
				began <- struct{}{}
				<-release
			}
			return fmt.Sprint("v", loads.Load()), nil
		}
		if e, err := ns.Fetch(ctx, "k", load); err != nil || string(e.Value) != "v1" || e.Source != cache.SourceLoad {
			t.Fatalf("first Fetch = %q from %s, %v", e.Value, e.Source, err)
		}
		// It is there as long as it is fresh, and only for Fetch afterwards.
		eventually(t, "the value is stale", func() bool {
			_, err := ns.Get(ctx, "k")
			must(t, ignoreMiss(err))
			return err != nil
		})
		if ok, err := ns.Exists(ctx, "k"); ok || err != nil {
			t.Errorf("Exists of a stale value = %v, %v", ok, err)
		}
		if found, err := ns.GetMany(ctx, "k", "l"); len(found) != 0 || err != nil {
			t.Errorf("GetMany of a stale value = %v, %v", found, err)
		}
		for i := range 100 { // none waits for the reload, and one is enough
			e, err := ns.Fetch(ctx, "k", load)
			if err != nil || string(e.Value) != "v1" || e.Source != cache.SourceStale {
				t.Fatalf("Fetch %d of a stale value = %q from %s, %v", i, e.Value, e.Source, err)
			}
			if i == 0 {
				<-began
			}
		}
		close(release)
		eventually(t, "the reload is stored", func() bool {
			raw, err := client.Get(ctx, "cache:users:1:k").Result()
			return err == nil && raw == "v2"
		})
		if n := loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
		if s := ns.Stats(); s.Stale != 100 {
			t.Errorf("Stats = %+v, want 100 stale", s)
		}
	})
}

// TestStaleSourceFails: not every caller calls a source that fails.
func TestStaleSourceFails(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ctx := t.Context()
	ns := namespace(t, newCache(t, patient(client)), "users", 10*time.Millisecond, cache.ServeStale(time.Hour), cache.Jitter(0))
	must(t, ns.Set(ctx, "k", "v"))
	eventually(t, "the value is stale", func() bool { return second(ns.Get(ctx, "k")) != nil })
	var loads atomic.Int64
	failed := make(chan struct{}, 10)
	for i := range 50 {
		e, err := ns.Fetch(ctx, "k", func(context.Context) (any, error) {
			defer func() { failed <- struct{}{} }()
			loads.Add(1)
			return nil, errors.New("broken")
		})
		if err != nil || e.Source != cache.SourceStale {
			t.Fatalf("Fetch = %+v, %v", e, err)
		}
		if i == 0 {
			<-failed
		}
	}
	// One a second: a slow machine may take that long for the 50.
	if n := loads.Load(); n > 3 {
		t.Errorf("%d loads of a failing source for 50 calls", n)
	}
	// ErrMiss from the source removes the stale value.
	eventually(t, "the value is gone", func() bool {
		_, err := ns.Fetch(ctx, "k", func(context.Context) (any, error) { return nil, cache.ErrMiss })
		return errors.Is(err, cache.ErrMiss) && client.Exists(ctx, "cache:users:1:k").Val() == 0
	})
}

// TestChangeDuringLoad: a value that was read from the source before a change must not be stored
// after it, nor be returned to a later caller.
func TestChangeDuringLoad(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ctx := t.Context()
	c := newCache(t, patient(client))
	ns := namespace(t, c, "users", time.Hour)
	for name, change := range map[string]func(key string) error{
		"Delete":        func(key string) error { return second(ns.Delete(ctx, key)) },
		"Set":           func(key string) error { return ns.Set(ctx, key, "new") },
		"Invalidate":    func(key string) error { return second(ns.Invalidate(ctx, cache.Escape(key), nil)) },
		"InvalidateAll": func(string) error { return ns.InvalidateAll(ctx) },
	} {
		key := "k-" + name
		loading, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			e, err := ns.Fetch(ctx, key, func(context.Context) (any, error) { close(loading); <-release; return "old", nil })
			if err != nil || string(e.Value) != "old" {
				t.Errorf("%s: the load's own caller got %q, %v", name, e.Value, err)
			}
		}()
		<-loading
		must(t, change(key))
		// This one must not wait for the load of before.
		if e, err := ns.Fetch(ctx, key, func(context.Context) (any, error) { return "new", nil }); err != nil || string(e.Value) != "new" {
			t.Errorf("%s: Fetch after it = %q, %v", name, e.Value, err)
		}
		close(release)
		<-done
		if e, err := ns.Get(ctx, key); err != nil || string(e.Value) != "new" {
			t.Errorf("%s: Get after the old load ended = %q, %v", name, e.Value, err)
		}
	}
}
