package redisadmin_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// quick returns a client whose calls end with their context.
func quick(t testing.TB, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: addr, ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRetries: 1, PipelinePoolSize: -1,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// newAdmin returns an Admin that never warns about latency, so that tests pass on a busy machine.
func newAdmin(client redis.UniversalClient) *redisadmin.Admin {
	return redisadmin.New(redisadmin.Config{Redis: client, SlowPing: time.Minute})
}

var eventually = redistest.Eventually

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestInfoOfARealServer(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	admin := newAdmin(quick(t, server.Addr()))
	info, err := admin.Info(t.Context(), "commandstats", "latencystats", "nosuchsection")
	if err != nil {
		t.Fatal(err)
	}
	if info.Server == nil || info.Server.Version == "" || len(info.Server.RunID) != 40 || info.Server.Mode != "standalone" {
		t.Errorf("server: %+v", info.Server)
	}
	if info.Memory == nil || info.Memory.UsedBytes.Or(0) <= 0 || info.Memory.MaxBytes != redisadmin.Known(64<<20) || info.Memory.Policy != "allkeys-lru" {
		t.Errorf("memory: %+v", info.Memory)
	}
	if info.Replication == nil || info.Replication.Role != "master" || info.Replication.MasterLinkUp != nil {
		t.Errorf("replication: %+v", info.Replication)
	}
	if info.Commands["info"].Calls.Or(0) < 1 || info.Percentiles["info"].P50 == nil {
		t.Errorf("commands %v, percentiles %v, want info among them", info.Commands, info.Percentiles)
	}
	if policy, err := admin.EvictionPolicy(t.Context()); err != nil || policy != "allkeys-lru" {
		t.Errorf("EvictionPolicy = %q, %v", policy, err)
	}
	runID := info.Server.RunID
	server.Restart()
	info, err = admin.Info(t.Context())
	if err != nil || info.Server.RunID == runID {
		t.Errorf("after a restart: run ID %+v, %v, want another one", info.Server, err)
	}
}

// TestUnknownValues checks that a value which the server does not report is null, never 0.
func TestUnknownValues(t *testing.T) {
	embedded, _ := redistest.Embedded(t)
	ctx := t.Context()
	admin := newAdmin(embedded)
	info, err := admin.Info(ctx)
	if err != nil || info.Server != nil || info.Memory != nil || info.Keyspace != nil || info.Clients == nil {
		t.Errorf("embedded: Info = %+v, %v, want clients and stats only", info, err)
	}
	if text, _ := json.Marshal(info); !strings.Contains(string(text), `"blocked_clients":null`) || !strings.Contains(string(text), `"memory":null`) {
		t.Errorf("embedded: %s", text)
	}
	if policy, err := admin.EvictionPolicy(ctx); !errors.Is(err, redisadmin.ErrNotOffered) {
		t.Errorf("embedded: EvictionPolicy = %q, %v, want ErrNotOffered", policy, err)
	}
	if _, err := admin.Keyspace(ctx); !errors.Is(err, redisadmin.ErrNotOffered) {
		t.Errorf("embedded: Keyspace: %v, want ErrNotOffered", err)
	}
	if _, err := admin.Clients(ctx, redisadmin.AllClients); !errors.Is(err, redisadmin.ErrNotOffered) {
		t.Errorf("embedded: Clients: %v, want ErrNotOffered", err)
	}

	server := redistest.Start(t, "--maxmemory-policy", "volatile-ttl")
	must(t, server.Client().Do(ctx, "ACL", "SETUSER", "default", "-info").Err())
	admin = newAdmin(quick(t, server.Addr()))
	if info, err := admin.Info(ctx); err != nil || info.Server != nil {
		t.Errorf("without INFO: Info = %+v, %v, want no section", info, err)
	}
	if policy, err := admin.EvictionPolicy(ctx); err != nil || policy != "volatile-ttl" {
		t.Errorf("without INFO: EvictionPolicy = %q, %v", policy, err)
	}
	must(t, server.Client().Do(ctx, "ACL", "SETUSER", "default", "-config").Err())
	if policy, err := admin.EvictionPolicy(ctx); !errors.Is(err, redisadmin.ErrNotOffered) || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("without INFO and CONFIG: EvictionPolicy = %q, %v, want ErrNotOffered with the reason", policy, err)
	}
}

// TestServerGone checks that every call ends in time with ErrUnavailable.
func TestServerGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := newAdmin(quick(t, server.Addr()))
	calls := map[string]func(context.Context) error{
		"Info":           func(ctx context.Context) error { _, err := admin.Info(ctx); return err },
		"Masters":        func(ctx context.Context) error { _, err := admin.Masters(ctx); return err },
		"EvictionPolicy": func(ctx context.Context) error { _, err := admin.EvictionPolicy(ctx); return err },
		"Stats":          func(ctx context.Context) error { _, err := admin.Stats(ctx); return err },
		"HitRatio":       func(ctx context.Context) error { _, err := admin.HitRatio(ctx); return err },
		"Keyspace":       func(ctx context.Context) error { _, err := admin.Keyspace(ctx); return err },
		"Latency":        func(ctx context.Context) error { _, err := admin.Latency(ctx); return err },
		"LatencyProbe":   func(ctx context.Context) error { _, err := admin.LatencyProbe(ctx, 3); return err },
		"Clients": func(ctx context.Context) error {
			_, err := admin.Clients(ctx, redisadmin.AllClients)
			return err
		},
	}
	check := func(state string, wait time.Duration) {
		t.Helper()
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			start := time.Now()
			err := call(ctx)
			cancel()
			if took := time.Since(start); took > wait+20*time.Second {
				t.Errorf("%s: %s took %v", state, name, took)
			}
			if !errors.Is(err, redisadmin.ErrUnavailable) {
				t.Errorf("%s: %s: %v, want ErrUnavailable", state, name, err)
			}
		}
	}
	server.Pause()
	check("paused", 100*time.Millisecond)
	server.Resume()
	server.Kill()
	check("killed", 10*time.Second)
	server.Restart()
	eventually(t, "the server is back", func() bool {
		for _, call := range calls {
			if call(t.Context()) != nil {
				return false
			}
		}
		return true
	})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := admin.Info(canceled); !errors.Is(err, context.Canceled) || errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("a canceled call: %v, want context.Canceled", err)
	}
}

func TestEvictsSessions(t *testing.T) {
	for policy, want := range map[string]bool{
		"noeviction": false, "volatile-ttl": false, "": false, "unknown": false,
		"volatile-lru": true, "volatile-lfu": true, "volatile-random": true,
		"allkeys-lru": true, "allkeys-lfu": true, "allkeys-random": true,
	} {
		if got := redisadmin.EvictsSessions(policy); got != want {
			t.Errorf("EvictsSessions(%q) = %v", policy, got)
		}
	}
}
