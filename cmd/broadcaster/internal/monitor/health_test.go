package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

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
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 1")
	lacking := redistest.Start(t, "--min-replicas-to-write", "1")
	for refusal, of := range map[string]*redistest.Server{"READONLY": replica, "NOREPLICAS": lacking} {
		if code, out, errs := programtest.Run(t, Run, []string{"REDIS_URL=" + of.URL()}, "--health"); code != 1 || errs != "" || !strings.HasPrefix(out, "unhealthy (redis ") || !strings.Contains(out, refusal) {
			t.Errorf("%s: %d %q %q", refusal, code, out, errs)
		}
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
