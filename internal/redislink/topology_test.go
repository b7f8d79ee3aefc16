package redislink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rdb    redis.UniversalClient
		kind   redislink.Kind
		name   string
		single bool
		db     int
	}{
		{redis.NewClient(&redis.Options{DB: 3}), redislink.Standalone, "standalone", true, 3},
		{redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}}), redislink.Sentinel, "sentinel", true, 0},
		{redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}), redislink.Cluster, "cluster", false, 0},
		{redis.NewRing(&redis.RingOptions{}), redislink.Unknown, "unknown", false, 0},
	} {
		defer tc.rdb.Close()
		top := redislink.TopologyOf(tc.rdb)
		if top.Kind() != tc.kind || top.Kind().String() != tc.name || top.Single() != tc.single || top.DB() != tc.db {
			t.Errorf("%T: %v, single %v, database %d", tc.rdb, top.Kind(), top.Single(), top.DB())
		}
		own, release := redislink.Own(tc.rdb, redislink.OwnOptions{PoolSize: 1})
		if redislink.TopologyOf(own).Kind() != tc.kind {
			t.Errorf("a client of its own of %T is a %T", tc.rdb, own)
		}
		release()
		top.Reload(t.Context())
	}
}

func TestMasters(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	rdb := srv.Client()
	top := redislink.TopologyOf(rdb)
	if all, err := top.Masters(t.Context()); err != nil || len(all) != 1 || all[0] != rdb {
		t.Errorf("masters %v, %v", all, err)
	}
	if c, err := top.MasterOf(t.Context(), "k"); err != nil || c != rdb {
		t.Errorf("the master is %v, %v", c, err)
	}
}

func TestClusterMasters(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	rdb := cluster.Client()
	top := redislink.TopologyOf(rdb)
	all, err := top.Masters(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("masters %v, %v", all, err)
	}
	for i := 1; i < len(all); i++ {
		if all[i-1].Options().Addr >= all[i].Options().Addr {
			t.Error("they are in no order")
		}
	}
	own, release := redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1})
	defer release()
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		c, err := redislink.TopologyOf(own).MasterOf(t.Context(), key)
		if want := cluster.Server(cluster.Owner(cluster.SlotOf(key))).Addr(); err != nil || c.Options().Addr != want {
			t.Errorf("%s is at %v, %v, want %s", key, c, err, want)
		}
	}
	for i := range 3 {
		cluster.Server(i).Kill()
	}
	gone, release := redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1, Timeout: 200 * time.Millisecond})
	defer release()
	if all, err := redislink.TopologyOf(gone).Masters(t.Context()); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("without a node: %v, %v", all, err)
	}
	if _, err := redislink.TopologyOf(gone).MasterOf(t.Context(), "k"); !redislink.MayRetry(err) {
		t.Errorf("without a node: %v", err)
	}
}

// Own keeps the hook of the given client, and each wait ends.
func TestOwn(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	var before, after int
	opt := *srv.Client().Options()
	opt.ReadTimeout = time.Minute
	refuse := errors.New("not this one")
	opt.OnConnect = func(context.Context, *redis.Conn) error {
		if before++; before == 2 {
			return refuse
		}
		return nil
	}
	rdb := redis.NewClient(&opt)
	defer rdb.Close()
	open := func() (redis.UniversalClient, func()) {
		return redislink.Own(rdb, redislink.OwnOptions{PoolSize: 1, Timeout: 300 * time.Millisecond,
			OnConnect: func(context.Context, *redis.Conn) error { after++; return nil }})
	}
	own, release := open()
	if err := own.Ping(t.Context()).Err(); err != nil || before != 1 || after != 1 {
		t.Errorf("%v; hooks called %d and %d times", err, before, after)
	}
	release()
	own, release = open()
	defer release()
	if err := own.Ping(t.Context()).Err(); !redislink.MayRetry(err) || before != 2 || after != 1 {
		t.Errorf("the hook fails: %v; hooks called %d and %d times", err, before, after)
	}
	if err := own.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	srv.Pause()
	defer srv.Resume()
	asked := time.Now()
	if err := own.Ping(t.Context()).Err(); err == nil || time.Since(asked) > 20*time.Second {
		t.Errorf("paused: %v, after %v", err, time.Since(asked))
	}
	if redislink.Prober(rdb, own) != own {
		t.Error("without Sentinel its own client probes")
	}
}

// A client that does not heed contexts is bounded by the timeout.
func TestBounded(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	opt := *srv.Client().Options()
	opt.ContextTimeoutEnabled, opt.MaxRetries, opt.ReadTimeout = false, -1, time.Minute
	rdb := redis.NewClient(&opt)
	defer rdb.Close()
	bounded := redislink.Bounded(rdb, 200*time.Millisecond)
	opt.ContextTimeoutEnabled = true
	heeding := redis.NewClient(&opt)
	defer heeding.Close()
	if redislink.Bounded(heeding, time.Second) != redis.UniversalClient(heeding) {
		t.Error("a client that heeds contexts is used as it is")
	}
	if err := bounded.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	srv.Pause()
	defer srv.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	asked := time.Now()
	if err := bounded.Ping(ctx).Err(); err == nil || time.Since(asked) > 20*time.Second {
		t.Errorf("paused: %v, after %v", err, time.Since(asked))
	}
}
