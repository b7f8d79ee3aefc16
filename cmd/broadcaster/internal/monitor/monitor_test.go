package monitor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
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
