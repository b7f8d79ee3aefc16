package redisadmin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/redisadmin"
)

// TestCluster checks that reports cover every master, sum over them, and name a lost one.
func TestCluster(t *testing.T) {
	t.Parallel()
	client, servers := startCluster(t)
	admin := newAdmin(client)
	ctx := t.Context()
	h := admin.Health(ctx)
	if h.Status != redisadmin.Healthy || h.Mode != "cluster" {
		t.Errorf("%+v", h)
	}
	for _, s := range servers {
		want(t, h, redisadmin.CheckCluster, s.Addr(), redisadmin.OK, "state ok, 16384 of 16384 slots")
		want(t, h, redisadmin.CheckMemory, s.Addr(), redisadmin.OK)
	}
	fill(t, client, 20, 30, 40)
	s, err := admin.Stats(ctx)
	if err != nil || s.Nodes != 3 || s.Quotes != counted(20) || s.Sessions != counted(30) || s.Cache != counted(40) || s.Total != redisadmin.Known(115) ||
		len(s.Keyspace) != 1 || s.Keyspace[0].Keys != redisadmin.Known(115) || s.Memory.MaxBytes != redisadmin.Known(0) {
		t.Errorf("%+v, %v", s, err)
	}
	list, err := admin.Masters(ctx, "commandstats")
	if err != nil || len(list) != 3 || list[0].Addr == "" || list[0].Info.Commands == nil {
		t.Errorf("Masters = %+v, %v", list, err)
	}
	if probes, err := admin.LatencyProbe(ctx, 3); err != nil || len(probes) != 3 {
		t.Errorf("LatencyProbe = %+v, %v", probes, err)
	}
	if c, err := admin.Clients(ctx, redisadmin.AllClients); err != nil || c.Total < 3 || c.Clients[0].Node == "" {
		t.Errorf("Clients = %+v, %v", c, err)
	}
	must(t, servers[1].Client().ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
	h = admin.Health(ctx)
	if h.Status != redisadmin.Degraded || !strings.Contains(h.Reason, "eviction policy on "+servers[1].Addr()) {
		t.Errorf("one server with allkeys-lru: %s: %s", h.Status, h.Reason)
	}
	must(t, servers[1].Client().ConfigSet(ctx, "maxmemory-policy", "volatile-ttl").Err())

	// A client that takes a cluster's server for a single one.
	alone := newAdmin(quick(t, servers[0].Addr())).Health(ctx)
	want(t, alone, redisadmin.CheckCluster, "", redisadmin.Fail, "REDIS_MODE=cluster")

	short, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	servers[2].Pause()
	h = admin.Health(short)
	if h.Status != redisadmin.Unhealthy || !strings.Contains(h.Reason, "reachable on "+servers[2].Addr()) {
		t.Errorf("one server paused: %s: %s", h.Status, h.Reason)
	}
	servers[2].Resume()
	eventually(t, "healthy after the pause", func() bool { return admin.Health(ctx).Status == redisadmin.Healthy })
	servers[2].Kill()
	h = admin.Health(ctx)
	if h.Status != redisadmin.Unhealthy || !strings.Contains(h.Reason, "reachable on "+servers[2].Addr()) {
		t.Errorf("one server killed: %s: %s", h.Status, h.Reason)
	}
	if s, err := admin.Stats(ctx); err != nil || len(s.Silent) != 1 || s.Silent[0] != servers[2].Addr() {
		t.Errorf("Stats with one server killed: silent %v, %v", s.Silent, err)
	}
	eventually(t, "the others report the cluster broken", func() bool {
		return strings.Contains(admin.Health(ctx).Reason, "cluster on "+servers[0].Addr()+": state fail")
	})
}
