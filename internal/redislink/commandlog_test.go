package redislink_test

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestCommandsAreLogged(t *testing.T) {
	t.Parallel()
	srv := redistest.Options{User: "app", Password: "top-secret-1"}.Start(t)
	log := &redistest.Log{}
	rdb := srv.Client()
	redislink.LogCommands(rdb, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	own, release := redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1})
	defer release()
	ctx := t.Context()
	for _, c := range []redis.UniversalClient{rdb, own} {
		c.Set(ctx, "a:key", "top-secret-2", 0)
		c.Get(ctx, "a:missing")
		c.LPush(ctx, "a:key", "top-secret-3")
		c.Do(ctx, "AUTH", "app", "top-secret-1")
		c.Do(ctx, "HELLO", "2", "AUTH", "app", "top-secret-1")
		c.Do(ctx, "UNKNOWN", "top-secret-4")
		c.Eval(ctx, "return ARGV[1]", []string{"a:script-key"}, "top-secret-5")
		c.Eval(ctx, "return ARGV[1]", nil, "top-secret-6")
		c.Publish(ctx, "a:channel", "top-secret-7")
		c.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.HSet(ctx, "a:hash", "field", "top-secret-8")
			p.SAdd(ctx, "a:key", "top-secret-9")
			return nil
		})
	}
	text := log.String()
	for _, line := range []string{
		`name=set key=a:key took=\S+ err=""\n`, `name=get key=a:missing took=\S+ err=""\n`, `name=lpush key=a:key took=\S+ err=WRONGTYPE\n`,
		`name=auth key="" took=`, `name=hello key="" took=`, `name=unknown key="" took=\S+ err=ERR\n`, `name=eval key=a:script-key took=`, `name=eval key="" took=`,
		`name=publish key=a:channel took=`, `name=hset key=a:hash took=\S+ err="" pipeline=2\n`, `name=sadd key=a:key took=\S+ err=WRONGTYPE pipeline=2\n`,
	} {
		if n := len(regexp.MustCompile(line).FindAllString(text, -1)); n < 2 {
			t.Errorf("%d lines %s, want at least one of each client", n, line)
		}
	}
	if strings.Contains(text, "top-secret") {
		t.Errorf("a secret is logged:\n%s", text)
	}
}

// TestCommandsOfAClusterAreLogged sends commands by the client of a cluster and to a master itself.
func TestCommandsOfAClusterAreLogged(t *testing.T) {
	t.Parallel()
	rdb := redistest.StartCluster(t).Client()
	log := &redistest.Log{}
	redislink.LogCommands(rdb, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	rdb.Set(t.Context(), "a:key", "top-secret", 0)
	master, err := redislink.TopologyOf(rdb).MasterOf(t.Context(), "b:key")
	if err != nil {
		t.Fatal(err)
	}
	own, release := redislink.Own(master, redislink.OwnOptions{PoolSize: 1})
	defer release()
	own.Set(t.Context(), "b:key", "top-secret", 0)
	if text := log.String(); strings.Count(text, "name=set key=a:key") != 1 || strings.Count(text, "name=set key=b:key") != 1 || strings.Contains(text, "top-secret") {
		t.Errorf("log:\n%s", text)
	}
}

// TestCommandLogCostsNothing compares a client with LogCommands at info to one without.
func TestCommandLogCostsNothing(t *testing.T) {
	srv := redistest.Start(t)
	plain, logged := srv.Client(), srv.Client()
	redislink.LogCommands(logged, slog.New(slog.NewTextHandler(&redistest.Log{}, &slog.HandlerOptions{Level: slog.LevelInfo})))
	allocs := func(c *redis.Client) float64 {
		return testing.AllocsPerRun(200, func() { c.Get(context.Background(), "k") })
	}
	if without, with := allocs(plain), allocs(logged); with > without {
		t.Errorf("%g allocations with the log off, %g without it", with, without)
	}
}
