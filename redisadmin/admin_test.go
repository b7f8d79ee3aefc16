package redisadmin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

func TestInfoOfARealServer(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	admin := redisadmin.New(server.Client())
	info, err := admin.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Server == nil || info.Server.Version == "" || len(info.Server.RunID) != 40 || info.Server.Mode != "standalone" {
		t.Errorf("server: %+v", info.Server)
	}
	if info.Memory == nil || info.Memory.UsedBytes <= 0 || info.Memory.MaxBytes != 64<<20 || info.Memory.Policy != "allkeys-lru" {
		t.Errorf("memory: %+v", info.Memory)
	}
	if info.Replication == nil || info.Replication.Role != "master" {
		t.Errorf("replication: %+v", info.Replication)
	}
	if policy, err := admin.EvictionPolicy(t.Context()); err != nil || policy != "allkeys-lru" {
		t.Errorf("EvictionPolicy = %q, %v", policy, err)
	}
	runID := info.Server.RunID
	server.Restart()
	info, err = admin.Info(t.Context())
	if err != nil || info.Server.RunID == runID {
		t.Errorf("after a restart: run id %+v, %v, want another one", info.Server, err)
	}
}

func TestWhatTheServerDoesNotTell(t *testing.T) {
	embedded, _ := redistest.Embedded(t)
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-info", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	for name, admin := range map[string]*redisadmin.Admin{
		"embedded":  redisadmin.New(embedded),
		"forbidden": redisadmin.New(server.Client()),
	} {
		if info, err := admin.Info(t.Context()); !errors.Is(err, redisadmin.ErrUnavailable) {
			t.Errorf("%s: Info = %+v, %v, want ErrUnavailable", name, info, err)
		}
		if policy, err := admin.EvictionPolicy(t.Context()); !errors.Is(err, redisadmin.ErrUnavailable) {
			t.Errorf("%s: EvictionPolicy = %q, %v, want ErrUnavailable", name, policy, err)
		}
	}
	// INFO forbidden, CONFIG allowed.
	other := redistest.Start(t, "--maxmemory-policy", "volatile-ttl")
	if err := other.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-info").Err(); err != nil {
		t.Fatal(err)
	}
	if policy, err := redisadmin.New(other.Client()).EvictionPolicy(t.Context()); err != nil || policy != "volatile-ttl" {
		t.Errorf("without INFO: EvictionPolicy = %q, %v", policy, err)
	}
}

func TestServerGone(t *testing.T) {
	server := redistest.Start(t)
	admin := redisadmin.New(server.Client())
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := admin.Info(ctx); err == nil || errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("Info: %v, want an error that is not ErrUnavailable", err)
	}
	if _, err := admin.EvictionPolicy(ctx); err == nil || errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("EvictionPolicy: %v, want an error that is not ErrUnavailable", err)
	}
}

func TestEvictsSessions(t *testing.T) {
	for policy, want := range map[string]bool{
		"noeviction": false, "volatile-ttl": false, "": false, "not told": false,
		"volatile-lru": true, "volatile-lfu": true, "volatile-random": true,
		"allkeys-lru": true, "allkeys-lfu": true, "allkeys-random": true,
	} {
		if got := redisadmin.EvictsSessions(policy); got != want {
			t.Errorf("EvictsSessions(%q) = %v", policy, got)
		}
	}
}
