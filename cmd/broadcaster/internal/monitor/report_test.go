package monitor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

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
