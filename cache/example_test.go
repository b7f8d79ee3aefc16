package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
)

// client starts a Redis for an example and connects to it. A program connects to its own, also with
// ContextTimeoutEnabled, so that the cache's timeouts hold.
func client() (*redis.Client, func()) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		panic(err)
	}
	c := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true})
	return c, func() { c.Close(); server.Close() }
}

// A namespace sets the TTL of its values. Different namespaces may use the same keys.
func Example() {
	ctx := context.Background()
	rdb, done := client()
	defer done()
	c, err := cache.New(cache.Config{Redis: rdb, Timeout: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	users, err := c.Namespace("users", 10*time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := users.Set(ctx, "42", "Ada"); err != nil {
		fmt.Println(err)
	}
	entry, err := users.Get(ctx, "42")
	fmt.Println(string(entry.Value), err)
	deleted, err := users.Delete(ctx, "42")
	fmt.Println(deleted, err)
	_, err = users.Get(ctx, "42")
	fmt.Println(errors.Is(err, cache.ErrMiss))
	// Output:
	// Ada <nil>
	// true <nil>
	// true
}

// A bulk call takes one round trip. The result has no entry for a missing key.
func ExampleNamespace_GetMany() {
	ctx := context.Background()
	rdb, done := client()
	defer done()
	c, _ := cache.New(cache.Config{Redis: rdb, Timeout: 10 * time.Second})
	defer c.Close()
	rates, _ := c.Namespace("rates", time.Minute)
	err := rates.SetMany(ctx, map[string]any{"EUR": "1.0845", "GBP": "1.2701"})
	fmt.Println(err)
	entries, err := rates.GetMany(ctx, "EUR", "GBP", "JPY")
	_, there := entries["JPY"]
	fmt.Println(string(entries["EUR"].Value), string(entries["GBP"].Value), there, err)
	n, err := rates.DeleteMany(ctx, "EUR", "JPY")
	fmt.Println(n, err)
	// Output:
	// <nil>
	// 1.0845 1.2701 false <nil>
	// 1 <nil>
}

// A typed view reads and writes values of one type. Fetch loads a missing value, once for all
// concurrent callers.
func ExampleTyped_Fetch() {
	type profile struct{ Name, Currency string }
	ctx := context.Background()
	rdb, done := client()
	defer done()
	c, _ := cache.New(cache.Config{Redis: rdb, Timeout: 10 * time.Second})
	defer c.Close()
	ns, _ := c.Namespace("profiles", time.Hour)
	profiles := cache.As[profile](ns)
	load := func(context.Context) (profile, error) {
		fmt.Println("loading")
		return profile{"Ada", "GBP"}, nil
	}
	for range 2 {
		entry, err := profiles.Fetch(ctx, "42", load)
		fmt.Println(entry.Value.Name, entry.Value.Currency, err)
	}
	err := profiles.Set(ctx, "42", profile{"Ada", "EUR"})
	entry, _ := profiles.Get(ctx, "42")
	fmt.Println(entry.Value.Currency, err)
	// Output:
	// loading
	// Ada GBP <nil>
	// Ada GBP <nil>
	// EUR <nil>
}

// Invalidate deletes the keys that match a pattern. InvalidateAll deletes all keys, and is faster.
func ExampleNamespace_Invalidate() {
	ctx := context.Background()
	rdb, done := client()
	defer done()
	c, _ := cache.New(cache.Config{Redis: rdb, Timeout: 10 * time.Second})
	defer c.Close()
	ns, _ := c.Namespace("users", time.Hour)
	_ = ns.SetMany(ctx, map[string]any{"user:1": "a", "user:2": "b", "team:1": "c"})
	n, err := ns.Invalidate(ctx, "user:*", nil)
	fmt.Println(n, err)
	there, _ := ns.Exists(ctx, "team:1")
	fmt.Println(there)
	err = ns.InvalidateAll(ctx)
	there, _ = ns.Exists(ctx, "team:1")
	fmt.Println(there, err)
	// Output:
	// 2 <nil>
	// true
	// false <nil>
}
