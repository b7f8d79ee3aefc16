package redisadmin_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// startSentinel starts a sentinel that watches the master under the name fx. It returns a client,
// the address, and a function that ends the sentinel.
func startSentinel(t *testing.T, master *redistest.Server, quorum int) (*redis.SentinelClient, string, func()) {
	t.Helper()
	dir, port := t.TempDir(), redistest.FreePort(t)
	host, masterPort, _ := strings.Cut(master.Addr(), ":")
	conf := filepath.Join(dir, "sentinel.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor fx %s %s %d\n", port, dir, host, masterPort, quorum), 0o600))
	cmd := exec.Command("redis-server", conf, "--sentinel")
	must(t, cmd.Start())
	ended := false
	end := func() {
		if !ended {
			ended = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(end)
	client := redis.NewSentinelClient(&redis.Options{
		Addr: "127.0.0.1:" + port, ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRetries: 1,
	})
	t.Cleanup(func() { client.Close() })
	eventually(t, "the sentinel answers", func() bool { return client.Ping(t.Context()).Err() == nil })
	return client, "127.0.0.1:" + port, end
}

func TestHealthOfSentinels(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	var clients []*redis.SentinelClient
	var addr string
	var ends []func()
	for range 3 {
		client, at, end := startSentinel(t, master, 2)
		clients, addr, ends = append(clients, client), at, append(ends, end)
	}
	admin := redisadmin.New(redisadmin.Config{Redis: quick(t, master.Addr()), Sentinels: clients, MasterName: "fx", SlowPing: time.Minute})
	eventually(t, "all sentinels know one another", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
	want(t, admin.Health(t.Context()), redisadmin.CheckSentinel, "", redisadmin.OK, "3 of 3 sentinels")

	// A client that takes a sentinel for a Redis.
	asRedis := newAdmin(quick(t, addr)).Health(t.Context())
	want(t, asRedis, redisadmin.CheckRole, "", redisadmin.Fail, "REDIS_MODE=sentinel")

	ends[0]()
	h := admin.Health(t.Context())
	if h.Status != redisadmin.Degraded {
		t.Errorf("one silent: %s: %s", h.Status, h.Reason)
	}
	want(t, h, redisadmin.CheckSentinel, "", redisadmin.Warn, "2 of 3 sentinels")
	ends[1]()
	want(t, admin.Health(t.Context()), redisadmin.CheckSentinel, "", redisadmin.Fail, "most sentinels are silent")
	ends[2]()
	want(t, admin.Health(t.Context()), redisadmin.CheckSentinel, "", redisadmin.Fail, "no sentinel answers")
	unknown := redisadmin.New(redisadmin.Config{Redis: quick(t, master.Addr()), Sentinels: clients[:1], MasterName: "other", SlowPing: time.Minute})
	want(t, unknown.Health(t.Context()), redisadmin.CheckSentinel, "", redisadmin.Fail)
}
