package redisadmin_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// load calls SET and a script of 30 ms until ctx ends or stop is called.
func load(ctx context.Context, rdb *redis.Client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			for range 20 {
				rdb.Set(ctx, "fx:{EUR/USD}:quote", secret, 0)
				rdb.Set(ctx, "session:"+secret, secret, 0)
			}
			rdb.Eval(ctx, "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1]-t[1])*1000000 + n[2]-t[2] > 30000", []string{"session:a"}, secret)
			rdb.Get(ctx, "nothing")
		}
	})
	return func() { cancel(); done.Wait() }
}

func TestWatch(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "64mb")
	defer load(t.Context(), server.Client())()
	admin := redisadmin.New(redisadmin.Config{Redis: server.Client()})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n := 0
	for s, err := range admin.Watch(ctx, redisadmin.WatchConfig{Every: 300 * time.Millisecond}) {
		if err != nil {
			t.Fatal(err)
		}
		rates := map[string]redisadmin.CommandRate{}
		for i, c := range s.Commands {
			rates[c.Name] = c
			if i > 0 && c.Calls > s.Commands[i-1].Calls {
				t.Errorf("not the busiest first: %+v", s.Commands)
			}
		}
		if rates["get"].Calls == 0 || s.Seconds < 0.2 {
			continue // a busy machine: load did not complete a round, or the ticker was late before
		}
		if set := rates["set"]; set.Calls < 20 || set.PerSecond <= 0 || set.MeanMicros == nil || *set.MeanMicros <= 0 || *set.MeanMicros > 30_000 {
			t.Errorf("set: %+v", set)
		}
		if eval := rates["eval"]; eval.MeanMicros == nil || *eval.MeanMicros < 29_000 {
			t.Errorf("eval: %+v", eval)
		}
		if s.OpsPerSecond == nil || *s.OpsPerSecond < rates["set"].PerSecond || s.Seconds < 0.2 || s.Clients.Or(0) < 2 || s.UsedBytes.Or(0) == 0 || s.MaxBytes.Or(0) != 64<<20 || s.HitRatio == nil || *s.HitRatio != 0 || s.InputBytesPerSecond == nil || s.Restarted || s.Touched != nil {
			t.Errorf("%+v", s)
		}
		if len(s.Slow) == 0 || s.Slow[0].Micros < 30_000 || s.Slow[0].Command != "EVAL session:… [3 hidden]" || s.Slow[0].At.Before(s.At.Add(-3*time.Second)) {
			t.Errorf("slow: %+v", s.Slow)
		}
		if text, _ := json.Marshal(s); strings.Contains(string(text), secret) {
			t.Errorf("a secret is shown: %s", text)
		}
		if n++; n == 3 {
			break
		}
	}
}

// TestWatchOutlivesTheServer kills, restarts and pauses the server during a watch.
func TestWatchOutlivesTheServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	// A client whose calls end with their context.
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	defer rdb.Close()
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	step := 0
	for s, err := range admin.Watch(ctx, redisadmin.WatchConfig{Every: 100 * time.Millisecond, Commands: true}) {
		if err != nil && !errors.Is(err, redisadmin.ErrUnavailable) {
			t.Fatalf("step %d: %v, want ErrUnavailable", step, err)
		}
		switch {
		case step == 0 && err == nil && s.Touched.Seen > 0:
			server.Kill()
			step++
		case step == 1 && err != nil:
			server.Restart()
			step++
		case step == 2 && err == nil:
			if !s.Restarted || len(s.Commands) == 0 {
				t.Errorf("after a restart: %+v", s)
			}
			step++
		case step == 3 && err == nil && s.Touched.Fault == "" && s.Touched.Seen > 0: // MONITOR runs again
			if s.Restarted {
				t.Errorf("restarted twice: %+v", s)
			}
			server.Pause()
			step++
		case step == 4 && err != nil:
			server.Resume()
			step++
		case step == 5 && err == nil:
			if s.Restarted || s.Seconds < 3 {
				t.Errorf("after a pause: %+v, want one sample over the whole pause", s)
			}
			return
		}
	}
	t.Errorf("stuck at step %d", step)
}

func TestWatchTouched(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "ann", "on", ">"+secret, "+@all", "~*", "&*").Err(); err != nil {
		t.Fatal(err)
	}
	defer load(t.Context(), rdb)()
	ann := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "ann", Password: secret, DisableIdentity: true})
	defer ann.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for s, err := range redisadmin.New(redisadmin.Config{Redis: ann}).Watch(ctx, redisadmin.WatchConfig{Every: 500 * time.Millisecond, Commands: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]redisadmin.PrefixRate{}
		for _, p := range s.Touched.Prefixes {
			got[p.Prefix] = p
		}
		if q := got["fx:{EUR/USD}:quote"]; q.Keys < 20 || q.PerSecond <= 0 || got["session:…"].Keys < 20 || s.Touched.Seen < 40 || len(s.Touched.Latest) != 10 || s.Touched.Fault != "" {
			t.Errorf("%+v", s.Touched)
		}
		if text, _ := json.Marshal(s); strings.Contains(string(text), secret) {
			t.Errorf("a secret is shown: %s", text)
		}
		return
	}
	t.Error("no sample")
}

func TestWatchEmbedded(t *testing.T) {
	t.Parallel()
	embedded, _ := redistest.Embedded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for s, err := range redisadmin.New(redisadmin.Config{Redis: embedded}).Watch(ctx, redisadmin.WatchConfig{Every: 100 * time.Millisecond, Commands: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if s.OpsPerSecond == nil || s.Clients.Or(0) == 0 || s.Commands != nil || s.Slow != nil || s.HitRatio != nil || s.UsedBytes.String() != "not available here" || s.Evicted.String() != "not available here" {
			t.Errorf("%+v", s)
		}
		if s.Touched.Fault == "" {
			continue // MONITOR was not tried yet
		}
		if !strings.HasPrefix(s.Touched.Fault, "not available here: ERR unknown command") {
			t.Errorf("%+v", s.Touched)
		}
		return
	}
	t.Error("no fault, although the server has no MONITOR")
}

func TestCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // until the commands are seen
		defer close(stopped)
		for ctx.Err() == nil {
			rdb.Set(ctx, "fx:{EUR/USD}:quote", strings.Repeat("v", 300_000), 0) // longer than the kept part of a line
			rdb.Eval(ctx, "return redis.call('GET', KEYS[1])", []string{"session:" + secret}, "a\"b\\\n\x01")
			useSecrets(t, rdb)
		}
	}()
	defer func() { cancel(); <-stopped }()
	want := map[string]bool{"SET fx:{EUR/USD}:quote [1 hidden]": true, "GET session:…": true, "EVAL session:… [3 hidden]": true}
	for c, err := range admin.Commands(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(c.At).Abs() > 10*time.Second || c.DB != 0 || strings.Contains(c.Command+c.Client, "S3CRET") || len(c.Command) > 200 {
			t.Errorf("%+v", c)
		}
		if c.Command == "GET session:…" && c.Client != "lua" || c.Command == "EVAL session:…" && c.Client == "lua" {
			t.Errorf("%+v", c)
		}
		delete(want, c.Command)
		if len(want) == 0 {
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("not seen: %v", want)
	}
}

// TestCommandsDropped checks that a slow reader holds a bounded number of commands, and learns how
// many it missed.
func TestCommandsDropped(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	const sent = 30_000
	seen, dropped, marks := int64(0), int64(0), 0
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // MONITOR runs once one of these is seen
		defer close(stopped)
		for ctx.Err() == nil {
			rdb.Do(ctx, "HGET", "begin", "x")
		}
	}()
	for c, err := range redisadmin.New(redisadmin.Config{Redis: rdb}).Commands(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		switch dropped += c.Dropped; {
		case c.Name == "hget" && marks == 0:
			marks++
			for range sent / 1000 { // while the reader is busy
				rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
					for range 1000 {
						p.Get(ctx, "a")
					}
					return nil
				})
			}
		case c.Name == "get":
			seen++
		}
		if marks > 0 && seen+dropped >= sent {
			break
		}
	}
	cancel()
	<-stopped
	if dropped == 0 || seen == 0 || seen > 10_000 {
		t.Errorf("%d seen, %d dropped of %d", seen, dropped, sent)
	}
}

func TestCommandsRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	for _, rule := range [][]any{{"ACL", "SETUSER", "ann", "on", ">" + secret, "+@all", "-monitor"}} {
		if err := rdb.Do(t.Context(), rule...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		user, password string
		want           error
	}{{"ann", secret, redisadmin.ErrNotOffered}, {"ann", secret + "x", redisadmin.ErrUnavailable}} {
		c := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: tc.user, Password: tc.password, DisableIdentity: true})
		defer c.Close()
		var last error
		for _, err := range redisadmin.New(redisadmin.Config{Redis: c}).Commands(t.Context()) {
			last = err
		}
		if !errors.Is(last, tc.want) || strings.Contains(last.Error(), secret) {
			t.Errorf("%v, want %v", last, tc.want)
		}
	}
	server.Kill()
	for _, err := range redisadmin.New(redisadmin.Config{Redis: rdb}).Commands(t.Context()) {
		if !errors.Is(err, redisadmin.ErrUnavailable) {
			t.Errorf("killed: %v", err)
		}
	}
}

func TestParseMonitorLine(t *testing.T) {
	c, err := redisadmin.ParseMonitorLine(`1339518083.107412 [3 127.0.0.1:60866] "set" "fx:{EUR/USD}:quote" "a\"\x00\\"`)
	if err != nil || !c.At.Equal(time.UnixMicro(1339518083107412)) || c.DB != 3 || c.Client != "127.0.0.1:60866" || c.Name != "set" || c.Command != "SET fx:{EUR/USD}:quote [1 hidden]" {
		t.Errorf("%+v, %v", c, err)
	}
	for line, want := range map[string]string{
		`1.000000 [0 lua] "config" "get" "hz"`:                   "CONFIG GET hz",
		`1.000000 [0 unix:/tmp/a [b] c] "GET" "session:x"`:       "GET session:…",
		`1.000000 [0 [::1]:5] "GET" "session:x`:                  "GET [1 hidden]",
		`1.000000 [0 a:1] "SET" "session:x" "` + secret:          "SET session:… [1 hidden]",
		`1.000000 [0 a:1] "MGET"` + strings.Repeat(` "a1"`, 100): "MGET … … … [97 hidden]",
		`1.000000 [0 a:1] "\x47ET" "session:x"`:                  "GET session:…",
	} {
		if c, err := redisadmin.ParseMonitorLine(line); err != nil || c.Command != want {
			t.Errorf("%s: %q, %v, want %q", line, c.Command, err, want)
		}
	}
	for _, line := range []string{"", "OK", "PONG", "1.0 [0 a] \"GET\"", "x.000000 [0 a] \"GET\"", "1.000000 [x a] \"GET\"", "1.000000 [0 a]", "1.000000 [0 a] GET", "1.000000 [0] \"GET\"", "-1.000000 [0 a] \"GET\"", "1.000000 [0 a] \""} {
		if c, err := redisadmin.ParseMonitorLine(line); err == nil {
			t.Errorf("%q: %+v", line, c)
		}
	}
}

func FuzzParseMonitorLine(f *testing.F) {
	f.Add(`1339518083.107412 [0 127.0.0.1:60866] "set" "session:a" "x\"\x00\\"`)
	f.Add(`1339518083.107412 [0 lua] "xread" "streams" "a" "0"`)
	f.Add(`1.000000 [0 unix:/a] "CONFIG" "SET" "requirepass" "b`)
	f.Fuzz(func(t *testing.T, line string) {
		c, err := redisadmin.ParseMonitorLine(line)
		if err == nil && (c.Command == "" || len(c.Command) > 250 || c.At.IsZero() || strings.ContainsAny(c.Command+c.Client, "\x1b\r\n\x00")) {
			t.Errorf("%q: %+v", line, c)
		}
	})
}
