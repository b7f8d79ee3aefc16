package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// monitorSecret is put wherever a secret can be.
const monitorSecret = "S3CRET-hunter2-0451"

// monitored starts a server with a password, keys, slow commands and a
// configuration file that differs, and returns the settings to look at it.
func monitored(t *testing.T) (*redistest.Server, *redis.Client, []string) {
	t.Helper()
	server := redistest.Start(t, "--requirepass", monitorSecret, "--masterauth", monitorSecret+"m", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "1000",
		"--maxmemory-policy", "allkeys-lru", "--latency-monitor-threshold", "1")
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: monitorSecret, DisableIdentity: true})
	t.Cleanup(func() { rdb.Close() })
	hash := strings.Repeat("cd", 32)
	for _, args := range [][]any{
		{"SET", "session:" + hash, `{"token":"` + monitorSecret + `"}`}, {"SET", "session:ticket:" + monitorSecret, monitorSecret}, {"SADD", "session:user:" + monitorSecret, monitorSecret},
		{"SET", "fx:{EUR/USD}:quote", monitorSecret}, {"XADD", "fx:{EUR/USD}:ticks", "*", "q", monitorSecret}, {"SET", "cache:users:1:" + monitorSecret, monitorSecret},
		{"AUTH", "ann", monitorSecret}, {"ACL", "SETUSER", "ann", "on", ">" + monitorSecret, "+@all", "~*", "&*"}, {"EVAL", "return '" + monitorSecret + "'", "1", "session:" + monitorSecret, monitorSecret},
		{"CONFIG", "SET", "masterauth", monitorSecret}, {monitorSecret}, {"ECHO", monitorSecret}, {"HELLO", "2", "AUTH", "ann", monitorSecret},
		{"DEBUG", "SLEEP", "0.05"}, {"EVAL", "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1]-t[1])*1000000 + n[2]-t[2] > 20000", "0"},
	} {
		rdb.Do(t.Context(), args...)
	}
	conf := filepath.Join(t.TempDir(), "redis.conf")
	text := "requirepass " + monitorSecret + "x\nmasterauth " + monitorSecret + "y\nmaxmemory 256mb\nuser bob >" + monitorSecret + "\ntls-key-file-pass " + monitorSecret + "\ninclude /etc/redis/more.conf\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, rdb, []string{"REDIS_URL=redis://:" + monitorSecret + "@" + server.Addr() + "/0", "REDIS_CONF=" + conf}
}

// checkText: at most 80 columns, nothing that moves a cursor, no secret.
func checkText(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > pageWidth && what != "health" {
			t.Errorf("%s: %d columns: %s", what, n, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%s: %q", what, line)
		}
	}
	for _, part := range []string{"S3CRET", "hunter2", "0451"} {
		if strings.Contains(text, part) {
			t.Errorf("%s shows the secret (%s):\n%s", what, part, text)
		}
	}
}

func TestMonitorHealth(t *testing.T) {
	t.Parallel()
	server, _, environ := monitored(t)
	code, out, errs := programtest.Run(t, Run, environ, "--health")
	if code != 0 || errs != "" || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "degraded (redis ") || !strings.Contains(out, "allkeys-lru") {
		t.Errorf("degraded: %d %q %q", code, out, errs)
	}
	checkText(t, "health", out)
	code, out, errs = programtest.Run(t, Run, environ, "--health", "--json")
	var h redisadmin.Health
	if err := json.Unmarshal([]byte(out), &h); err != nil || code != 0 || errs != "" || h.Status != redisadmin.Degraded || len(h.Checks) < 5 {
		t.Errorf("json: %d %q %q %v", code, out, errs, err)
	}
	checkText(t, "health", out)
	good := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl", "--appendonly", "yes", "--notify-keyspace-events", "Exg")
	if code, out, errs := programtest.Run(t, Run, []string{"REDIS_URL=" + good.URL()}, "--health"); code != 0 || errs != "" || !strings.HasPrefix(out, "healthy (redis ") {
		t.Errorf("healthy: %d %q %q", code, out, errs)
	}
	code, out, errs = programtest.Run(t, Run, []string{"REDIS_URL=redis://:wrong-" + monitorSecret + "@" + server.Addr()}, "--health")
	if code != 1 || errs != "" || !strings.HasPrefix(out, "unhealthy: ") || !strings.Contains(out, "REDIS_PASSWORD") || strings.Count(out, "\n") != 1 {
		t.Errorf("wrong password: %d %q %q", code, out, errs)
	}
	checkText(t, "health", out)
	server.Pause()
	if code, out, errs := programtest.Run(t, Run, environ, "--health"); code != 1 || errs != "" || !strings.HasPrefix(out, "unhealthy: reachable: ") || strings.Count(out, "\n") != 1 {
		t.Errorf("paused: %d %q %q", code, out, errs)
	}
	server.Resume()
	server.Kill()
	for _, args := range [][]string{{"--health"}, {"--health", "--json"}} {
		code, out, errs := programtest.Run(t, Run, environ, args...)
		if code != 1 || errs != "" || !strings.Contains(out, "unhealthy") {
			t.Errorf("killed: %d %q %q", code, out, errs)
		}
		checkText(t, "health", out)
	}
}

func TestMonitorAll(t *testing.T) {
	t.Parallel()
	server, _, environ := monitored(t)
	code, out, errs := programtest.Run(t, Run, environ, "--all")
	if code != 0 || errs != "" {
		t.Errorf("%d %q", code, errs)
	}
	checkText(t, "all", out)
	at := 0
	for _, want := range []string{
		"REDIS " + server.Addr(), "  status            degraded", "round trip", "eviction policy", "NUMBERS", "up for", "hit ratio", "keys in db 0", "MEMORY BY KIND OF KEY", "all names seen", "± 95 %",
		"CLIENTS", "broadcaster-monitor", "COMMANDS SINCE THE START", "eval ", "SLOW COMMANDS", " [", "LATENCY EVENTS", "CONFIGURATION", "masterauth: file set, running set, to another value", "maxmemory: file 256mb, running 0",
		"requirepass: file set, running set, to another value", "/etc/redis/more.conf", "user", "ADVICE", "maxmemory-policy volatile-ttl",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or not where it should be:\n%s", want, out)
		}
		at += i
	}
	code, out, errs = programtest.Run(t, Run, environ, "--all", "--json")
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || errs != "" || string(doc["missing"]) != "{}" {
		t.Errorf("json: %d %q %v %s", code, errs, err, doc["missing"])
	}
	for _, name := range []string{"health", "stats", "memory", "clients", "commands", "slowlog", "latency", "config", "advice"} {
		if len(doc[name]) < 3 {
			t.Errorf("json: %s is %s", name, doc[name])
		}
	}
	for _, part := range []string{"S3CRET", "hunter2"} {
		if strings.Contains(out, part) {
			t.Errorf("json shows the secret:\n%s", out)
		}
	}
	server.Kill()
	code, out, errs = programtest.Run(t, Run, environ, "--all")
	if code != 1 || !strings.Contains(out, "status            unhealthy") || strings.Count(out, "  Redis is not available\n") != 8 {
		t.Errorf("killed: %d %q\n%s", code, errs, out)
	}
	checkText(t, "killed", out)
}

// TestMonitorEmbedded: what an embedded server lacks is said to be missing, and
// never 0.
func TestMonitorEmbedded(t *testing.T) {
	t.Parallel()
	rdb, addr := redistest.Embedded(t)
	rdb.Set(t.Context(), "session:a", "x", time.Minute)
	environ := []string{"REDIS_URL=redis://" + addr}
	code, out, errs := programtest.Run(t, Run, environ, "--all")
	if code != 0 || errs != "" {
		t.Errorf("%d %q", code, errs)
	}
	checkText(t, "embedded", out)
	for _, want := range []string{
		"\n  up for            not available here\n", "\n  hit ratio         not available here\n", "\n  removed           not available here\n",
		"\n  used              not available here\n", "SLOW COMMANDS, NEWEST FIRST\n  not available here", "CONFIGURATION: RUNNING SERVER AND REDIS.CONF\n  not configured",
		"ADVICE\n  not available here", "COMMANDS SINCE THE START, BY TIME SPENT\n  not available here",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	code, out, errs = programtest.Run(t, Run, environ, "--all", "--json")
	var doc struct {
		Stats struct {
			Evictions, Hits, Expired *int64
			Memory                   map[string]*json.RawMessage
		}
		Memory   map[string]json.RawMessage
		Slowlog  *json.RawMessage
		Commands *json.RawMessage
		Missing  map[string]string
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || errs != "" {
		t.Fatalf("%d %q %v", code, errs, err)
	}
	if doc.Stats.Evictions != nil || doc.Stats.Hits != nil || doc.Stats.Memory["used_bytes"] != nil || string(doc.Memory["used_bytes"]) != "null" || doc.Slowlog != nil || doc.Commands != nil || doc.Missing["slowlog"] == "" {
		t.Errorf("%s", out)
	}
	if code, out, _ := programtest.Run(t, Run, environ, "--monitor", "1", "--commands"); code != 0 || !strings.Contains(out, "not available here") || !strings.Contains(out, "MONITOR: ") {
		t.Errorf("live: %d\n%s", code, out)
	}
	if code, out, errs := programtest.Run(t, Run, environ, "--optimize"); code != 1 || out != "" || !strings.Contains(errs, "not available here") || strings.Count(errs, "\n") != 1 {
		t.Errorf("optimize: %d %q %q", code, out, errs)
	}
	if code, out, _ := programtest.Run(t, Run, environ, "--health"); code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, " checks not available here)") {
		t.Errorf("health: %d %q", code, out)
	}
}

// TestMonitorTwiceNotAvailable: a user who may do nothing reads once per line
// that something is not available, and that --health looked at little.
func TestMonitorTwiceNotAvailable(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { rdb.Close() })
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "ann", "on", ">"+monitorSecret, "-@all", "+ping", "+hello", "+client|setname").Err(); err != nil {
		t.Fatal(err)
	}
	environ := []string{"REDIS_URL=redis://ann:" + monitorSecret + "@" + server.Addr()}
	code, out, errs := programtest.Run(t, Run, environ, "--all")
	if code != 0 || errs != "" || !strings.Contains(out, "  clients           not available here\n") {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	for line := range strings.Lines(out) {
		if strings.Count(line, notAvailable) > 1 {
			t.Errorf("said twice: %s", line)
		}
	}
	if code, out, _ := programtest.Run(t, Run, environ, "--health"); code != 0 || !strings.Contains(out, "10 of 12 checks not available here") {
		t.Errorf("health: %d %q", code, out)
	}
}

// TestMonitorHealthTakesTooLong: a server that hangs, or that answers the first
// PING only, is told of soon enough for a health check of a container.
func TestMonitorHealthTakesTooLong(t *testing.T) {
	t.Parallel()
	ask := func(name string, url func(t *testing.T) string, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := []string{"REDIS_URL=" + url(t)}
			start := time.Now()
			code, out, errs := programtest.Run(t, Run, environ, append([]string{"--health"}, args...)...)
			if took := time.Since(start); code != 1 || errs != "" || took >= 5*time.Second || !strings.Contains(out, "reachable: ") {
				t.Errorf("%d after %s, %q %q", code, took, out, errs)
			}
		})
	}
	paused := func(t *testing.T) string {
		server := redistest.Start(t)
		server.Pause()
		t.Cleanup(server.Resume)
		return server.URL()
	}
	ask("from the start", paused)
	ask("from the start, as JSON", paused, "--json")
	ask("after a PING", func(t *testing.T) string { return "redis://" + onlyFirstPing(t) })
}

// onlyFirstPing listens for clients, lets them in and answers their first PING,
// after two seconds, and nothing after it.
func onlyFirstPing(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	ctx := t.Context()
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				buf := make([]byte, 4096)
				for pinged := false; ; {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					text := strings.ToLower(string(buf[:n]))
					switch {
					case strings.Contains(text, "ping") && !pinged:
						pinged = true
						select { // as a slow server does
						case <-ctx.Done():
							return
						case <-time.After(2 * time.Second):
						}
						fmt.Fprint(c, "+PONG\r\n")
					case !pinged: // HELLO, CLIENT SETNAME: one answer for each command
						for range strings.Count("\r\n"+text, "\r\n*") {
							fmt.Fprint(c, "-ERR unknown command\r\n")
						}
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// TestMonitorLiveSaidNothing: a server that hangs for the whole of a short watch
// is told of, by the exit code too.
func TestMonitorLiveSaidNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Pause()
	t.Cleanup(server.Resume)
	for _, args := range [][]string{{"--monitor", "1"}, {"--monitor", "1", "--json"}} {
		code, out, errs := programtest.Run(t, Run, []string{"REDIS_URL=" + server.URL()}, args...)
		if code != 1 || errs != "" || strings.Count(out, "\n") != 1 || !strings.Contains(out, "Redis is not available") {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
}

func TestMonitorOptimize(t *testing.T) {
	t.Parallel()
	server, rdb, environ := monitored(t)
	setting := func(name string) string { return rdb.ConfigGet(t.Context(), name).Val()[name] }
	code, out, errs := programtest.Run(t, Run, environ, "--optimize")
	if code != 0 || errs != "" || !strings.Contains(out, "maxmemory-policy: allkeys-lru → volatile-ttl\n") || !strings.Contains(out, "idle sessions") || !strings.Contains(out, "--apply") {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	checkText(t, "optimize", out)
	if setting("maxmemory-policy") != "allkeys-lru" {
		t.Error("--optimize alone changed something")
	}
	code, out, errs = programtest.Run(t, Run, environ, "--optimize", "--json")
	var doc struct {
		Advice  []redisadmin.Advice
		Applied []redisadmin.Applied
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || errs != "" || len(doc.Advice) < 5 || doc.Applied != nil {
		t.Errorf("%d %q %v\n%s", code, errs, err, out)
	}
	rdb.Do(t.Context(), "ACL", "SETUSER", "default", "-config|set")
	code, out, _ = programtest.Run(t, Run, environ, "--optimize", "--apply")
	if code != 1 || !strings.Contains(out, "not done: not available here: NOPERM") {
		t.Errorf("forbidden: %d\n%s", code, out)
	}
	rdb.Do(t.Context(), "ACL", "SETUSER", "default", "+config|set")
	code, out, errs = programtest.Run(t, Run, environ, "--optimize", "--apply")
	if code != 0 || errs != "" || !strings.Contains(out, "maxmemory-policy: allkeys-lru → volatile-ttl — done\n") || !strings.Contains(out, "To keep it: ") {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	checkText(t, "apply", out)
	if setting("maxmemory-policy") != "volatile-ttl" || setting("maxmemory") != "268435456" || setting("appendonly") != "yes" {
		t.Error("--apply did not change it")
	}
	code, out, _ = programtest.Run(t, Run, environ, "--optimize", "--apply", "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || doc.Applied == nil || len(doc.Applied) != 0 {
		t.Errorf("again: %d %v %s", code, err, out)
	}
	server.Kill()
	if code, out, errs := programtest.Run(t, Run, environ, "--optimize", "--apply"); code != 1 || out != "" && !strings.Contains(out, "nothing") || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "is not available") {
		t.Errorf("killed: %d %q %q", code, out, errs)
	}
}

func TestMonitorLive(t *testing.T) {
	t.Parallel()
	_, rdb, environ := monitored(t)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			rdb.Set(ctx, "fx:{EUR/USD}:quote", monitorSecret, 0)
			rdb.Set(ctx, "session:"+monitorSecret, monitorSecret, 0)
			time.Sleep(time.Millisecond) // it is a load, not a wait
		}
	})
	defer done.Wait()
	defer cancel()
	code, out, errs := programtest.Run(t, Run, environ, "--monitor", "2", "--commands")
	if code != 0 || errs != "broadcaster: monitor: "+costWarning+"\n" || strings.Count(out, "time UTC") != 1 {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	checkText(t, "live", out)
	for _, want := range []string{"set ", "slow ", " [1 hidden] from ", "keys touched per second: ", "fx:{EUR/USD}:quote "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	code, out, errs = programtest.Run(t, Run, environ, "--monitor=2", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || errs != "" || len(lines) < 1 || len(lines) > 2 {
		t.Errorf("%d %q\n%s", code, errs, out)
	} else {
		for _, line := range lines {
			var s redisadmin.Sample
			if err := json.Unmarshal([]byte(line), &s); err != nil || len(s.Commands) == 0 || s.Touched != nil || s.OpsPerSecond == nil {
				t.Errorf("%v: %s", err, line)
			}
		}
	}
	if strings.Contains(out, "S3CRET") {
		t.Errorf("json shows the secret:\n%s", out)
	}
}

// TestMonitorLiveWithoutRedis pauses and kills the server meanwhile: the view
// says so and goes on, until the time is over or it is ended.
func TestMonitorLiveWithoutRedis(t *testing.T) {
	t.Parallel()
	server, _, environ := monitored(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs programtest.Buffer
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, cli.Call{Args: []string{"--monitor", "600"}, Environ: environ, Stdout: &out, Stderr: &errs})
	}()
	programtest.Eventually(t, "a sample", func() bool { return strings.Contains(out.String(), "info ") })
	server.Pause()
	programtest.Eventually(t, "the pause is told", func() bool { return strings.Contains(out.String(), "Redis is not available") })
	server.Resume()
	samples := strings.Count(out.String(), "info ")
	programtest.Eventually(t, "samples again", func() bool { return strings.Count(out.String(), "info ") > samples })
	server.Kill()
	faults := strings.Count(out.String(), "is not available")
	programtest.Eventually(t, "the loss is told", func() bool { return strings.Count(out.String(), "is not available") > faults+1 })
	server.Restart() // without its password file: it has the same arguments
	programtest.Eventually(t, "the restart is told", func() bool { return strings.Contains(out.String(), "was restarted") })
	cancel() // Ctrl-C
	if c := <-code; c != 0 || errs.String() != "" {
		t.Errorf("ended: %d %q", c, errs.String())
	}
	checkText(t, "live", out.String())

	server.Kill()
	c, text, _ := programtest.Run(t, Run, environ, "--monitor", "1")
	if c != 1 || !strings.Contains(text, "is not available") {
		t.Errorf("never there: %d %q", c, text)
	}
}

func TestMonitorUsage(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}, {"--health", "--help"}} {
		code, out, errs := programtest.Run(t, Run, nil, args...)
		if code != 0 || errs != "" || out != programtest.Usage {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
	environ := []string{"REDIS_URL=redis://127.0.0.1:1"}
	for _, tc := range []struct {
		environ, args []string
		want          string
	}{
		{environ, nil, "--health, --all, --monitor N, --optimize"},
		{environ, []string{"--json"}, "want one of"},
		{environ, []string{"--health", "--all"}, "only one"},
		{environ, []string{"--monitor", "1", "--optimize"}, "only one"},
		{environ, []string{"--monitor"}, "--monitor"},
		{environ, []string{"--monitor", "0"}, "--monitor: want a number of seconds from 1 to 86400, got 0"},
		{environ, []string{"--monitor", "-3"}, "--monitor"},
		{environ, []string{"--monitor", "99999999"}, "--monitor"},
		{environ, []string{"--monitor", "ten"}, "--monitor"},
		{environ, []string{"--health", "--commands"}, "--commands: only with --monitor N"},
		{environ, []string{"--all", "--apply"}, "--apply: only with --optimize"},
		{environ, []string{"--optimise"}, "--optimise"},
		{environ, []string{"--health", "now"}, `"now"`},
		{nil, []string{"--health"}, "REDIS_URL"},
		{nil, []string{"--monitor", "5"}, "REDIS_URL"},
		{[]string{"REDIS_URL=redis://h", "REDIS_MODE=x"}, []string{"--all"}, "REDIS_MODE"},
	} {
		code, out, errs := programtest.Run(t, Run, tc.environ, tc.args...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tc.want) {
			t.Errorf("%q: %d, stdout %q, stderr %q; want 2 and one line with %s", tc.args, code, out, errs, tc.want)
		}
	}
}

// TestScreen draws on terminals of several sizes: no line too wide, no frame
// too high, and the terminal as it was at the end.
func TestScreen(t *testing.T) {
	for _, size := range [][2]int{{40, 10}, {80, 24}, {80, 50}, {200, 60}} {
		var b bytes.Buffer
		s := newScreen(&b, "127.0.0.1:6379", request{seconds: 10, commands: true}, func() (int, int) { return size[0], size[1] })
		var slow []redisadmin.SlowEntry
		var rates []redisadmin.CommandRate
		for i := range 30 {
			slow = append(slow, redisadmin.SlowEntry{ID: int64(i), Micros: int64(1000 * i), Command: strings.Repeat("KEYS ", 30), Client: "\x1b[2J[::1]:12345678901234567890"})
			rates = append(rates, redisadmin.CommandRate{Name: fmt.Sprintf("command%d", i), PerSecond: 1e9, Calls: 1})
		}
		for i := range 100 {
			s.sample(redisadmin.Sample{Commands: rates, Slow: slow, OpsPerSecond: new(float64(i) * 1e6), Touched: &redisadmin.Touched{
				Prefixes: []redisadmin.PrefixRate{{Prefix: strings.Repeat("p", 300), PerSecond: 3}}, Latest: []redisadmin.Command{{Command: strings.Repeat("x", 300)}}, Dropped: 5}})
		}
		s.fault(time.Now(), strings.Repeat("Redis is not available ", 10))
		for frame := range strings.SplitSeq(b.String(), ansiHome) {
			lines := strings.Split(strings.TrimPrefix(frame, ansiOpen), "\r\n")
			if len(lines) > size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, line := range lines {
				for _, code := range []string{ansiRest, ansiBelow, ansiTitle, ansiBold, ansiPlain} {
					line = strings.ReplaceAll(line, code, "")
				}
				if utf8.RuneCountInString(line) > size[0] || strings.ContainsRune(line, 0x1b) {
					t.Errorf("%v: %q", size, line)
				}
			}
		}
		b.Reset()
		s.end()
		if text := b.String(); !strings.HasPrefix(text, ansiClose) || strings.ContainsRune(text[len(ansiClose):], 0x1b) || !strings.Contains(text, "SLOWEST") {
			t.Errorf("%v: the end: %q", size, text)
		}
	}
}
