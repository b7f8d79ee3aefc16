package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

// tripCounter is a hook that counts round trips.
type tripCounter struct{ n atomic.Int64 }

func (h *tripCounter) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *tripCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.n.Add(1); return next(ctx, cmd) }
}
func (h *tripCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { h.n.Add(1); return next(ctx, cmds) }
}

func TestInvalidate(t *testing.T) { onBoth(t, universal(testInvalidate)) }

func testInvalidate(t *testing.T, client redis.UniversalClient) {
	ctx := t.Context()
	c := newCache(t, patient(client))
	users, near := namespace(t, c, "users", time.Hour), namespace(t, c, "users2", time.Hour)
	values := map[string]any{"other": 1, "user": 2, "x:user:1": 3}
	for _, key := range numbered("user:", 1700) {
		values[key] = "v"
	}
	must(t, users.SetMany(ctx, values))
	must(t, near.SetMany(ctx, values))
	must(t, client.Set(ctx, "cache:users:7:user:of another version", "v", 0).Err())
	must(t, client.Set(ctx, "cache:users:version", "1", 0).Err())
	must(t, client.Set(ctx, "session:user:1", "v", 0).Err())

	var last cache.Progress
	calls := 0
	n, err := users.Invalidate(ctx, "user:*", func(p cache.Progress) {
		if p.Deleted < last.Deleted || p.Nodes < last.Nodes {
			t.Errorf("progress went back: %+v, then %+v", last, p)
		}
		last, calls = p, calls+1
	})
	if n != 1701 || err != nil {
		t.Errorf("Invalidate = %d, %v, want 1,701", n, err)
	}
	if last.Deleted != n || last.Scanned < n || last.Nodes != last.Masters || calls < 4 {
		t.Errorf("progress ended at %+v after %d calls", last, calls)
	}
	if keys := allKeys(t, client); len(keys) != 3+1703+2 {
		t.Errorf("%d keys left, want %d", len(keys), 3+1703+2)
	}
	for _, key := range []string{"other", "user", "x:user:1"} {
		if ok, err := users.Exists(ctx, key); !ok || err != nil {
			t.Errorf("%s is gone: %v", key, err)
		}
	}
	if n, err := users.Invalidate(ctx, "*", nil); n != 3 || err != nil {
		t.Errorf("Invalidate of the rest = %d, %v, want 3", n, err)
	}
}

func TestInvalidateIsCancelled(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ns := namespace(t, newCache(t, patient(client)), "users", time.Hour)
	values := map[string]any{}
	for _, key := range numbered("k", 3000) {
		values[key] = "v"
	}
	must(t, ns.SetMany(t.Context(), values))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := ns.Invalidate(ctx, "*", func(cache.Progress) { cancel() })
	if !errors.Is(err, context.Canceled) || n == 0 || n == 3000 {
		t.Errorf("Invalidate cancelled after a batch = %d, %v, want some and context.Canceled", n, err)
	}
	if left := len(allKeys(t, client)); left != 3000-n {
		t.Errorf("%d deleted and %d left of 3,000", n, left)
	}
}

func TestPatternErrors(t *testing.T) {
	client, _ := redistest.Embedded(t)
	ns := namespace(t, newCache(t, patient(client)), "a", time.Hour)
	for pattern, want := range map[string]string{
		"": "empty pattern", "user[": "[ without ]", "a[]b": "[] is empty", "a[^]": "[] is empty", `a\`: `\ at the end`,
		"[a-]": "without an end", "[a-é]": "beyond ASCII", strings.Repeat("a", cache.MaxPattern+1): "want at most",
	} {
		if _, err := ns.Invalidate(t.Context(), pattern, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("pattern %.20q: %v, want %q", pattern, err, want)
		}
	}
}

// TestPatternMeansWhatRedisMeans compares with the KEYS of a real server.
func TestPatternMeansWhatRedisMeans(t *testing.T) {
	client := redistest.Start(t).Client()
	ctx := t.Context()
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab-]*?[\\^:é")), 1, 8, -1)
	// Patterns that match often, with each kind of token.
	glob := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"*", "?", "[ab]", "[^a]", "[a-b]", "[b-a]", `[\]-]`, "[-a]", `\*`, "a", "b", ":"}), 1, 4),
		func(parts []string) string { return strings.Join(parts, "") })
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.OneOf(text, glob).Draw(t, "pattern")
		keys := rapid.SliceOfNDistinct(text, 1, 20, rapid.ID[string]).Draw(t, "keys")
		if client.FlushDB(ctx).Err() != nil {
			t.Fatal("flush")
		}
		var pairs []any
		for _, key := range keys {
			pairs = append(pairs, key, "")
		}
		if err := client.MSet(ctx, pairs...).Err(); err != nil {
			t.Fatal(err)
		}
		want, err := client.Keys(ctx, pattern).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			got, err := cache.Match(pattern, key)
			if err != nil {
				return // refused: Redis would read it as something else
			}
			if got != slices.Contains(want, key) {
				t.Errorf("pattern %q, key %q: %v, Redis says %v", pattern, key, got, !got)
			}
		}
	})
}

// TestNamespacesAreApart: a namespace never reads or deletes a value of another, whatever the
// names, keys and patterns.
func TestNamespacesAreApart(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		ctx := t.Context()
		cfg := patient(client)
		cfg.VersionRefresh = time.Hour // the flush below is no lost version
		name := rapid.StringMatching(`[a-c._1-]{1,4}`)
		key := rapid.StringOfN(rapid.SampledFrom([]rune("ab1:*?[]\\-.\n\x00é")), 1, 8, -1)
		pattern := rapid.OneOf(key, rapid.Map(key, cache.Escape), rapid.Just("*"), rapid.Just("*:*"), rapid.Just("1:*"))
		rapid.Check(t, func(t *rapid.T) {
			if err := client.FlushDB(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			c, err := cache.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			names := rapid.SliceOfNDistinct(name, 2, 5, rapid.ID[string]).Draw(t, "names")
			keys := rapid.SliceOfNDistinct(key, 1, 5, rapid.ID[string]).Draw(t, "keys")
			ns := make([]*cache.Namespace, len(names))
			for i := range names {
				var err error
				if ns[i], err = c.Namespace(names[i], time.Hour); err != nil {
					t.Fatal(err)
				}
				for _, key := range keys {
					if err := ns[i].Set(ctx, key, names[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
			p := pattern.Draw(t, "pattern")
			var matching []string
			for _, key := range keys {
				if ok, err := cache.Match(p, key); ok && err == nil {
					matching = append(matching, key)
				}
			}
			deleted, _ := ns[0].Invalidate(ctx, p, nil)
			if deleted != len(matching) {
				t.Errorf("pattern %q deleted %d, want %q", p, deleted, matching)
			}
			if rapid.Bool().Draw(t, "all") {
				if err := ns[0].InvalidateAll(ctx); err != nil {
					t.Fatal(err)
				}
				matching = keys
			}
			for i := range ns {
				found, err := ns[i].GetMany(ctx, keys...)
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range keys {
					e, ok := found[key]
					if want := i != 0 || !slices.Contains(matching, key); ok != want || ok && string(e.Value) != names[i] {
						t.Errorf("%s has %q = %q, %v, want %v", names[i], key, e.Value, ok, want)
					}
				}
			}
		})
	})
}

func TestInvalidateAll(t *testing.T) { onBoth(t, universal(testInvalidateAll)) }

func testInvalidateAll(t *testing.T, client redis.UniversalClient) {
	ctx := t.Context()
	cfg := patient(client)
	cfg.VersionRefresh = 50 * time.Millisecond
	here, there := newCache(t, cfg), newCache(t, cfg)
	a, b := namespace(t, here, "users", time.Hour), namespace(t, there, "users", time.Hour)
	near := namespace(t, here, "user", time.Hour)
	must(t, a.Set(ctx, "k", "old"))
	must(t, near.Set(ctx, "k", "near"))
	if e, err := b.Get(ctx, "k"); err != nil || string(e.Value) != "old" {
		t.Fatalf("the other node reads %q, %v", e.Value, err)
	}
	must(t, a.InvalidateAll(ctx))
	done := time.Now()
	if _, err := a.Get(ctx, "k"); !errors.Is(err, cache.ErrMiss) {
		t.Errorf("after InvalidateAll: %v, want ErrMiss", err)
	}
	for {
		began := time.Now()
		if _, err := b.Get(ctx, "k"); errors.Is(err, cache.ErrMiss) {
			break
		} else if err != nil || began.Sub(done) > cfg.VersionRefresh {
			t.Fatalf("the other node still reads it in a call made %v later: %v", began.Sub(done), err)
		}
	}
	must(t, b.Set(ctx, "k", "new"))
	if e, err := a.Get(ctx, "k"); err != nil || string(e.Value) != "new" {
		t.Errorf("a new value = %q, %v", e.Value, err)
	}
	if e, err := near.Get(ctx, "k"); err != nil || string(e.Value) != "near" {
		t.Errorf("another namespace = %q, %v", e.Value, err)
	}

	// Redis forgets the version: no old value may come back.
	for _, lost := range []func() error{
		func() error { return client.Del(ctx, "cache:users:version").Err() },
		func() error { return client.Set(ctx, "cache:users:version", "1", 0).Err() },
		func() error { return client.Set(ctx, "cache:users:version", "rubbish", 0).Err() },
		func() error {
			client.Del(ctx, "cache:users:version")
			return client.LPush(ctx, "cache:users:version", "a list").Err()
		},
	} {
		must(t, lost())
		forgotten := time.Now()
		for time.Since(forgotten) <= cfg.VersionRefresh {
			must(t, ignoreMiss(second(a.Get(ctx, "k"))))
		}
		if e, err := a.Get(ctx, "k"); !errors.Is(err, cache.ErrMiss) {
			t.Errorf("after the version was lost: %q, %v, want ErrMiss", e.Value, err)
		}
		must(t, a.Set(ctx, "k", "again"))
		eventually(t, "both nodes agree again", func() bool {
			e, err := b.Get(ctx, "k")
			must(t, ignoreMiss(err))
			return string(e.Value) == "again"
		})
	}
	for _, key := range allKeys(t, client) {
		if !strings.HasPrefix(key, "cache:users:") && key != "cache:user:1:k" {
			t.Errorf("unexpected key %q", key)
		}
	}
}

func ExampleEscape() {
	fmt.Println(cache.Escape("a*b[c]") + ":*")
	// Output: a\*b\[c\]:*
}
