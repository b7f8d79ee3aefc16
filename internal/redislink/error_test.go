package redislink_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// answer is an error that Redis answers.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestErrors(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, tc := range []struct {
		err     error
		code    string
		failure redislink.Failure
		retry   bool
	}{
		{answer("OOM command not allowed when used memory > 'maxmemory'."), "OOM", redislink.FailMemory, false},
		{answer("ERR OOM of another kind"), "OOM", redislink.FailMemory, false},
		{answer("ERR Error running script (call to f_0123): @user_script:9: @user_script: 9: -NOREPLICAS Not enough good replicas to write."), "NOREPLICAS", redislink.FailRefused, false}, // Redis 6.2
		{answer("LOADING Redis is loading the dataset in memory"), "LOADING", redislink.FailLoading, true},
		{answer("MASTERDOWN Link with MASTER is down"), "MASTERDOWN", redislink.FailLoading, true},
		{answer("CLUSTERDOWN Hash slot not served"), "CLUSTERDOWN", redislink.FailLoading, true},
		{answer("TRYAGAIN Multiple keys request during rehashing of slot"), "TRYAGAIN", redislink.FailLoading, true},
		{answer("READONLY You can't write against a read only replica."), "READONLY", redislink.FailRefused, true},
		{answer("MISCONF Errors writing to the AOF file"), "MISCONF", redislink.FailRefused, false},
		{answer("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS", redislink.FailRefused, false},
		{answer("NOPERM User has no permissions"), "NOPERM", redislink.FailRefused, false},
		{answer("BUSY Redis is busy running a script."), "BUSY", redislink.FailRefused, true},
		{answer("BUSYGROUP Consumer Group name already exists"), "BUSYGROUP", redislink.FailRefused, false},
		{answer("ASK 12 127.0.0.1:1"), "ASK", redislink.FailRefused, true},
		{answer("MOVED 12 127.0.0.1:1"), "MOVED", redislink.FailRefused, true},
		{answer("NOSCRIPT No matching script. Please use EVAL."), "NOSCRIPT", redislink.FailRefused, true},
		{answer("ERR max number of clients reached"), "MAXCLIENTS", redislink.FailRefused, true},
		{answer("ERR unknown command 'X'"), "ERR", redislink.FailRefused, false},
		{answer("Odd words"), "ERR", redislink.FailRefused, false},
		{answer(""), "ERR", redislink.FailRefused, false},
		{redis.Nil, "", redislink.FailConnection, false},
		{context.DeadlineExceeded, "", redislink.FailTimeout, false},
		{redis.ErrPoolTimeout, "", redislink.FailTimeout, true},
		{redis.ErrClosed, "", redislink.FailConnection, true},
		{dial, "", redislink.FailConnection, true},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, "", redislink.FailConnection, false},
		{redislink.NotSent(errors.New("another process")), "", redislink.FailConnection, true},
		{redislink.NotSent(answer("MISCONF Redis is configured to save RDB snapshots")), "MISCONF", redislink.FailRefused, true},
		{redislink.NotSent(fmt.Errorf("ping: %w", answer("WRONGPASS invalid username-password pair"))), "WRONGPASS", redislink.FailRefused, true},
		{redislink.NotSent(answer("ASK 12 127.0.0.1:1")), "ASK", redislink.FailRefused, true},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("wrapped: %w", tc.err), redislink.Unavailable("try it", tc.err),
			redislink.Unavailable("", redislink.Unavailable("twice", tc.err))} {
			if code, f, retry := redislink.Code(err), redislink.FailureOf(err), redislink.MayRetry(err); code != tc.code || f != tc.failure || retry != tc.retry {
				t.Errorf("%v: code %q, %v, may be retried %v; want %q, %v, %v", err, code, f, retry, tc.code, tc.failure, tc.retry)
			}
			if redislink.IsFull(err) != (tc.code == "OOM") {
				t.Errorf("%v: full %v", err, redislink.IsFull(err))
			}
		}
		err := redislink.Unavailable("try it", tc.err)
		refused, is := errors.AsType[*redislink.ErrRefused](err)
		if !errors.Is(err, redislink.ErrUnavailable) || !errors.Is(err, tc.err) || is != (tc.code != "") || is && refused.Code != tc.code {
			t.Errorf("%v wraps too little, or is refused: %v", err, is)
		}
		if want := cmp.Or(redislink.Trouble(tc.err), "Redis is not available") + ": try it: " + tc.err.Error(); err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if redislink.Unavailable("try it", nil) != nil {
		t.Error("no error has become one")
	}
}

// What a real server answers, and what its absence looks like.
func TestErrorsOfRedis(t *testing.T) {
	t.Parallel()
	srv := redistest.Options{User: "app", Password: "secret"}.Start(t)
	rdb := srv.Client()
	try := func(rdb *redis.Client) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return rdb.Set(ctx, "k", "v", 0).Err()
	}
	set := func(name, value string) {
		t.Helper()
		if err := rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("maxmemory", "1")
	if err := try(rdb); redislink.FailureOf(err) != redislink.FailMemory || !redislink.IsFull(err) {
		t.Errorf("full: %v", err)
	}
	set("maxmemory", "0")
	set("min-replicas-to-write", "1")
	if err := try(rdb); redislink.Code(err) != "NOREPLICAS" {
		t.Errorf("no replicas: %v", err)
	}
	set("min-replicas-to-write", "0")
	if err := try(rdb); err != nil {
		t.Errorf("well: %v", err)
	}
	own, release := redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1, Timeout: 200 * time.Millisecond})
	defer release()
	srv.Pause()
	if err := own.Set(t.Context(), "k", "v", 0).Err(); redislink.FailureOf(err) != redislink.FailTimeout || redislink.MayRetry(err) {
		t.Errorf("paused: %v", err)
	}
	srv.Kill()
	if err := own.Set(t.Context(), "k", "v", 0).Err(); redislink.FailureOf(err) != redislink.FailConnection || !redislink.MayRetry(err) {
		t.Errorf("killed: %v", err)
	}
}
