package node

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

func TestRedisHealth(t *testing.T) {
	server := redistest.Start(t)
	logger, log := programtest.Log()
	client, err := redisclient.Open(t.Context(), programtest.Load(t, "REDIS_URL="+server.URL()), redisclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	reg := prometheus.NewRegistry()
	var lost atomic.Bool
	h := newRedisHealth(client, redisadmin.New(redisadmin.Config{Redis: client}), lost.Load, logger, reg)
	h.interval = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() { cancel(); wg.Wait() }()
	if testutil.ToFloat64(h.up) != 1 {
		t.Error("not up while Redis is judged to be well")
	}
	lost.Store(true)
	if testutil.ToFloat64(h.up) != 0 {
		t.Error("up while Redis is judged to be lost")
	}
	lost.Store(false)
	server.Kill()
	programtest.Eventually(t, "two failures", func() bool { return testutil.ToFloat64(h.failures) >= 2 && testutil.ToFloat64(h.bad) == 1 })
	server.Restart()
	programtest.Eventually(t, "healthy again", func() bool { return testutil.ToFloat64(h.bad) == 0 })
	// It answers, and takes no write.
	if err := client.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "unhealthy", func() bool { return testutil.ToFloat64(h.bad) == 1 })
	if err := client.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err(); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "healthy", func() bool { return testutil.ToFloat64(h.bad) == 0 })
	cancel()
	wg.Wait()
	text := log.String()
	if strings.Count(text, "does not answer") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("the log is not one line per change:\n%s", text)
	}
	// While it was down it may have been found unhealthy too, for another reason.
	if named := strings.Count(text, `msg="redis is unhealthy" reason="replication: `); named != 1 || !strings.Contains(text, "NOREPLICAS") || !strings.Contains(text, "redis is no longer unhealthy") {
		t.Errorf("a server that refuses writes is not named:\n%s", text)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestLogRedis(t *testing.T) {
	for _, tc := range []struct {
		policy string
		warns  bool
	}{{"allkeys-lru", true}, {"volatile-lru", true}, {"volatile-ttl", false}, {"noeviction", false}} {
		server := redistest.Start(t, "--maxmemory-policy", tc.policy)
		logger, log := programtest.Log()
		logRedis(t.Context(), server.Client(), programtest.Load(t, "REDIS_URL="+server.URL()), logger)
		text := log.String()
		if !strings.Contains(text, "mode=standalone") || !strings.Contains(text, "maxmemory_policy="+tc.policy) || !strings.Contains(text, "version=") {
			t.Errorf("%s: log %s", tc.policy, text)
		}
		if got := strings.Contains(text, "want=volatile-ttl"); got != tc.warns {
			t.Errorf("%s: warned %v, want %v: %s", tc.policy, got, tc.warns, text)
		}
	}
	// A replica takes no write.
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 1")
	logger, log := programtest.Log()
	logRedis(t.Context(), replica.Client(), programtest.Load(t, "REDIS_URL="+replica.URL()), logger)
	if text := log.String(); !strings.Contains(text, "WARN") || !strings.Contains(text, "is a replica") || !strings.Contains(text, "127.0.0.1:1") {
		t.Errorf("a replica: log %s", text)
	}
	// A user who may ask for nothing.
	server := redistest.Start(t)
	admin := server.Client()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "small", "on", ">pw", "-@all", "+ping", "+hello", "+client|setname").Err(); err != nil {
		t.Fatal(err)
	}
	cfg := programtest.Load(t, "REDIS_URL="+server.URL(), "REDIS_USERNAME=small", "REDIS_PASSWORD=pw")
	client, err := redisclient.Open(t.Context(), cfg, redisclient.Options{Require: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	logger, log = programtest.Log()
	logRedis(t.Context(), client, cfg, logger)
	if text := log.String(); strings.Contains(text, "WARN") || strings.Count(text, "not reported") != 2 {
		t.Errorf("a server that tells nothing: %s", text)
	}
}
