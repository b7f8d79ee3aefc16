package limiter_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/limiter"
)

// A call is allowed if it fits all tiers, and is then charged to all of them. Windows slide: no
// minute, wherever it starts, admits more than the limit.
func Example() {
	server := miniredis.NewMiniRedis() // a program connects to a Redis of its own
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true})
	defer rdb.Close()
	l := limiter.New(limiter.Config{Redis: rdb, Timeout: 10 * time.Second})
	ctx := context.Background()

	tiers := []limiter.Limit{{Name: "minute", Max: 2, Window: time.Minute}, {Name: "hour", Max: 1000, Window: time.Hour}}
	for range 3 {
		d, err := l.Allow(ctx, "user:42", 1, tiers...)
		if err != nil {
			fmt.Println(err) // the arguments are wrong; a lost Redis is not an error
			return
		}
		wait, _ := d.RetryAfter()
		fmt.Println(d.Allowed, d.Tiers[0].Remaining, d.Violated(), wait > 0)
	}

	d, _ := l.Peek(ctx, "user:42", 1, tiers...) // charges nothing
	fmt.Println(d.Tiers[1].Remaining)
	err := l.Reset(ctx, "user:42", tiers...)
	d, _ = l.Peek(ctx, "user:42", 1, tiers...)
	fmt.Println(d.Tiers[1].Remaining, err)
	// Output:
	// true 1 [] false
	// true 0 [] false
	// false 0 [minute] true
	// 998
	// 1000 <nil>
}

// Check is the simplest form: one key, one limit, one window.
func ExampleLimiter_Check() {
	l := limiter.New(limiter.Config{}) // without Redis it counts in memory
	for range 2 {
		r, err := l.Check(context.Background(), "export:42", 1, 3600, 1, false)
		fmt.Println(r.Allowed, r.Remaining, r.RetryAfterSeconds != nil && *r.RetryAfterSeconds > 0, err)
	}
	// Output:
	// true 0 false <nil>
	// false 0 true <nil>
}
