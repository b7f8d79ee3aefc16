package redisadmin_test

import (
	"context"
	"fmt"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// The examples start a server of their own. A program passes its own client to New instead.

func ExampleAdmin_Health() {
	server, stop := redistest.Example("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	defer stop()
	admin := redisadmin.New(redisadmin.Config{Redis: server.Client(), SlowPing: time.Minute})

	h := admin.Health(context.Background())
	fmt.Println(h.Status, h.Role, h.Mode)
	for _, c := range h.Checks {
		if c.Result == redisadmin.Warn || c.Result == redisadmin.Fail {
			fmt.Printf("%s is %s: %s\n", c.Name, c.Value, c.Why)
		}
	}
	// Output:
	// degraded master standalone
	// eviction_policy is allkeys-lru: a full server removes sessions that are in use
}

func ExampleAdmin_Stats() {
	server, stop := redistest.Example("--maxmemory", "64mb")
	defer stop()
	client := server.Client()
	ctx := context.Background()
	client.Set(ctx, "fx:{EUR/USD}:quote", "{}", 0)
	client.Get(ctx, "fx:{EUR/USD}:quote")
	client.Get(ctx, "fx:{GBP/USD}:quote")
	admin := redisadmin.New(redisadmin.Config{Redis: client})

	s, err := admin.Stats(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("keys:", s.Total, "quotes:", s.Quotes.Count, "sessions:", s.Sessions.Count)
	fmt.Println("max memory:", s.Memory.MaxBytes)
	if s.HitRatio != nil {
		fmt.Println("hit ratio:", *s.HitRatio)
	}
	// Output:
	// keys: 1 quotes: 1 sessions: 0
	// max memory: 67108864
	// hit ratio: 0.5
}

// A server may not report a value. Then it is unknown, and not 0.
func ExampleParseInfo() {
	info, err := redisadmin.ParseInfo("# Memory\r\nused_memory:1048576\r\n\r\n# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("used:", info.Memory.UsedBytes)
	fmt.Println("peak:", info.Memory.PeakBytes)
	fmt.Println("keys:", info.Keyspace[0].Keys)
	if info.Replication == nil {
		fmt.Println("no section replication")
	}
	// Output:
	// used: 1048576
	// peak: not available here
	// keys: 3
	// no section replication
}

func ExampleAdmin_Memory() {
	server, stop := redistest.Example()
	defer stop()
	client := server.Client()
	ctx := context.Background()
	for i := range 100 {
		client.Set(ctx, fmt.Sprintf("session:%064x", i), "a session", time.Hour)
	}
	client.Set(ctx, "cache:pages:1:EUR", "a page", time.Hour)
	admin := redisadmin.New(redisadmin.Config{Redis: client})

	m, err := admin.Memory(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("all names read:", m.Complete)
	for _, k := range m.Kinds { // the largest first
		fmt.Println(k.Kind, k.Namespace, "keys:", k.Keys, "bytes known:", k.Bytes > 0)
	}
	// Output:
	// all names read: true
	// sessions  keys: 100 bytes known: true
	// cache pages keys: 1 bytes known: true
}

// The slow log shows the prefixes of keys, and never a value.
func ExampleAdmin_SlowLog() {
	server, stop := redistest.Example("--slowlog-log-slower-than", "0")
	defer stop()
	client := server.Client()
	ctx := context.Background()
	client.Set(ctx, "session:5f3c", "a secret", time.Hour)
	admin := redisadmin.New(redisadmin.Config{Redis: client})

	entries, err := admin.SlowLog(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		fmt.Println(e.Command)
	}
	// Output:
	// SET session:… [3 hidden]
}

func ExampleAdmin_Optimize() {
	server, stop := redistest.Example("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	defer stop()
	admin := redisadmin.New(redisadmin.Config{Redis: server.Client()})
	ctx := context.Background()

	advice, err := admin.Optimize(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	first := advice[0] // the most important
	fmt.Printf("%s: %s, better %s (%s)\n", first.Setting, first.Current, first.Wanted, first.How)
	applied, err := admin.Apply(ctx, advice[:1])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("done:", applied[0].Done)
	// Output:
	// maxmemory-policy: allkeys-lru, better volatile-ttl (CONFIG SET)
	// done: true
}
