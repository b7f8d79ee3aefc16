package redisadmin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

func TestHealthy(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl", "--notify-keyspace-events", "Exg",
		"--appendonly", "yes", "--client-output-buffer-limit", "pubsub 32mb 8mb 60")
	h := newAdmin(quick(t, server.Addr())).Health(t.Context())
	if h.Status != redisadmin.Healthy || h.Reason != "" || h.Role != "master" || h.Server != "redis" || h.Version == "" ||
		h.Mode != "standalone" || h.LatencySeconds == nil || *h.LatencySeconds <= 0 {
		t.Errorf("%+v", h)
	}
	for _, c := range h.Checks {
		if c.Result != redisadmin.OK || c.Value == "" || c.Why != "" {
			t.Errorf("%+v, want ok with a value and no explanation", c)
		}
	}
	want(t, h, redisadmin.CheckMemory, "", redisadmin.OK, "of 64.0 MiB")
	want(t, h, redisadmin.CheckOutputBuffers, "", redisadmin.OK, "32.0 MiB, 8.0 MiB for 1m0s")
	want(t, h, redisadmin.CheckPersistence, "", redisadmin.OK, "append-only file, last write ok")
}

// TestHealthOfAFreshServer checks that a Redis with default settings is healthy, and that optional
// settings are mentioned without a warning.
func TestHealthOfAFreshServer(t *testing.T) {
	server := redistest.Start(t)
	h := newAdmin(quick(t, server.Addr())).Health(t.Context())
	if h.Status != redisadmin.Healthy {
		t.Errorf("%s: %s", h.Status, h.Reason)
	}
	want(t, h, redisadmin.CheckEvents, "", redisadmin.OK, "off", "within 5 s", "CONFIG SET notify-keyspace-events Exg")
	want(t, h, redisadmin.CheckMemory, "", redisadmin.OK, "no limit")
	want(t, h, redisadmin.CheckPersistence, "", redisadmin.OK, "off", "loses sessions")
}

// TestHealthOfUnknownValues checks that an embedded server is healthy, and so is one whose ACL
// forbids commands. The checks that they cannot answer are unknown.
func TestHealthOfUnknownValues(t *testing.T) {
	embedded, _ := redistest.Embedded(t)
	server := redistest.Start(t)
	must(t, server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-info", "-config", "-client|list").Err())
	for name, client := range map[string]*redis.Client{"embedded": embedded, "forbidden": quick(t, server.Addr())} {
		h := newAdmin(client).Health(t.Context())
		if h.Status != redisadmin.Healthy || h.Version != "" || h.LatencySeconds == nil {
			t.Errorf("%s: %+v", name, h)
		}
		for _, c := range h.Checks {
			if c.Name == redisadmin.CheckReachable || c.Name == redisadmin.CheckLatency || name == "embedded" && c.Name == redisadmin.CheckBlocked {
				continue
			}
			if c.Result != redisadmin.Unknown || c.Value != "" || !strings.Contains(c.Why, "not available here") {
				t.Errorf("%s: %+v, want it unknown, with the reason", name, c)
			}
		}
	}
}

// TestHealthOfAServerThatIsGone checks the reason, the time that Health takes, and the recovery.
func TestHealthOfAServerThatIsGone(t *testing.T) {
	server := redistest.Start(t)
	const password = "a-secret-of-this-test"
	must(t, server.Client().Do(t.Context(), "ACL", "SETUSER", "fx", "on", ">"+password, "~*", "&*", "+@all").Err())
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), Username: "fx", Password: password, ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRetries: 1,
	})
	t.Cleanup(func() { client.Close() })
	admin := newAdmin(client)
	gone := func(state string, wait time.Duration, word string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		start := time.Now()
		h := admin.Health(ctx)
		if took := time.Since(start); took > wait+20*time.Second {
			t.Errorf("%s: took %v", state, took)
		}
		if h.Status != redisadmin.Unhealthy || !strings.Contains(h.Reason, word) || h.Version != "" || h.LatencySeconds != nil {
			t.Errorf("%s: %+v, want unhealthy and %q", state, h, word)
		}
		if strings.Contains(fmt.Sprintf("%+v", h), password) {
			t.Errorf("%s: the password is shown: %+v", state, h)
		}
		want(t, h, redisadmin.CheckReachable, "", redisadmin.Fail)
	}
	if h := admin.Health(t.Context()); h.Status != redisadmin.Healthy {
		t.Fatalf("%+v", h)
	}
	server.Pause()
	gone("paused", 200*time.Millisecond, "no answer in time")
	server.Resume()
	eventually(t, "healthy after the pause", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
	server.Kill()
	gone("killed", 10*time.Second, "refused")
	server.Restart() // without the user
	gone("user unknown", 10*time.Second, "WRONGPASS")
	must(t, server.Client().Do(t.Context(), "ACL", "SETUSER", "fx", "on", ">"+password, "~*", "&*", "+@all").Err())
	eventually(t, "healthy with the user", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
}

// TestHealthDeadline checks that Health of a paused server ends although the caller sets no limit.
func TestHealthDeadline(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := newAdmin(quick(t, server.Addr()))
	server.Pause()
	start := time.Now()
	h := admin.Health(t.Context())
	if took := time.Since(start); took > 20*time.Second || h.Status != redisadmin.Unhealthy {
		t.Errorf("after %v: %+v, want unhealthy within 5 s", took, h)
	}
	server.Resume()
}

// TestHealthWhileEvicting fills a server until it evicts, which is degraded with the reason. Once
// there is room again, it is healthy.
func TestHealthWhileEvicting(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "volatile-ttl")
	client := quick(t, server.Addr())
	admin := newAdmin(client)
	admin.SetWindow(time.Second)
	if h := admin.Health(t.Context()); h.Status != redisadmin.Healthy {
		t.Fatalf("before: %s", h.Reason)
	}
	value := strings.Repeat("v", 1000)
	var sessions []string
	for i := range 100 {
		key := fmt.Sprintf("session:%064x", i)
		sessions = append(sessions, key)
		must(t, client.Set(t.Context(), key, value, 24*time.Hour).Err())
	}
	pipe := client.Pipeline()
	for i := range 6000 {
		pipe.Set(t.Context(), fmt.Sprintf("fx:{%d}:quote", i), value, time.Minute)
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
	h := admin.Health(t.Context())
	if h.Status != redisadmin.Degraded || !strings.Contains(h.Reason, "evictions: ") || !strings.Contains(h.Reason, "Redis is full") {
		t.Errorf("%s: %q, want degraded for evictions", h.Status, h.Reason)
	}
	want(t, h, redisadmin.CheckEvictions, "", redisadmin.Warn, "in the last")
	want(t, h, redisadmin.CheckMemory, "", redisadmin.Warn, "of 4.0 MiB", "90 %")
	if n := client.Exists(t.Context(), sessions...).Val(); n != 100 {
		t.Errorf("%d of 100 sessions left", n)
	}
	unevictable(t, admin, client)
	must(t, client.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "allkeys-lru").Err())
	want(t, admin.Health(t.Context()), redisadmin.CheckPolicy, "", redisadmin.Warn, "allkeys-lru", "removes sessions that are in use", "volatile-ttl")
	must(t, client.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "noeviction").Err())
	if err := client.Set(t.Context(), "more", strings.Repeat("v", 1<<20), 0).Err(); err == nil {
		client.Set(t.Context(), "more", "v", 0)
	}
	eventually(t, "full without eviction is unhealthy", func() bool {
		client.Append(t.Context(), "more", strings.Repeat("v", 1<<18))
		h := admin.Health(t.Context())
		return h.Status == redisadmin.Unhealthy && strings.Contains(h.Reason, "writes are refused")
	})
	must(t, client.FlushAll(t.Context()).Err())
	must(t, client.Do(t.Context(), "CONFIG", "SET", "maxmemory-policy", "volatile-ttl").Err())
	eventually(t, "healthy again", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
}

func TestHealthOfAReplica(t *testing.T) {
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	replica := redistest.Start(t)
	host, port, _ := strings.Cut(master.Addr(), ":")
	must(t, replica.Client().Do(t.Context(), "REPLICAOF", host, port).Err())
	of, by := newAdmin(quick(t, replica.Addr())), newAdmin(quick(t, master.Addr()))
	eventually(t, "the link is up", func() bool {
		h := by.Health(t.Context())
		return h.Status == redisadmin.Healthy && strings.Contains(fmt.Sprint(h.Checks), "1 replica, lag")
	})
	eventually(t, "the replica has its data", func() bool {
		return strings.Contains(fmt.Sprint(of.Health(t.Context()).Checks), "link to its master is up")
	})
	h := of.Health(t.Context())
	if h.Status != redisadmin.Unhealthy || h.Role != "replica" {
		t.Errorf("%+v, want unhealthy, a replica", h)
	}
	want(t, h, redisadmin.CheckRole, "", redisadmin.Fail, "cannot be written", master.Addr())
	master.Kill()
	eventually(t, "the link is down", func() bool {
		return strings.Contains(fmt.Sprint(of.Health(t.Context()).Reason), "link to its master is down")
	})
}

// TestHealthOfASlowSubscriber stops reading until the subscriber's buffer exceeds the soft limit,
// and then until Redis disconnects it.
func TestHealthOfASlowSubscriber(t *testing.T) {
	server := redistest.Start(t, "--client-output-buffer-limit", "pubsub 64mb 1mb 600")
	client := quick(t, server.Addr())
	admin := newAdmin(client)
	conn := rawSubscriber(t, server.Addr(), "slow-reader", "news")
	eventually(t, "it subscribes", func() bool { return client.PubSubNumSub(t.Context(), "news").Val()["news"] == 1 })
	want(t, admin.Health(t.Context()), redisadmin.CheckOutputBuffers, "", redisadmin.OK, "of 1 subscriber")
	text := strings.Repeat("x", 256<<10)
	eventually(t, "degraded for a slow subscriber", func() bool {
		for range 8 {
			must(t, client.Publish(t.Context(), "news", text).Err())
		}
		h := admin.Health(t.Context())
		return h.Status == redisadmin.Degraded && strings.Contains(h.Reason, "slow-reader (127.0.0.1:")
	})
	list, err := admin.Clients(t.Context(), redisadmin.PubSubClients)
	if err != nil || list.Total != 1 || list.Clients[0].Name != "slow-reader" || list.Clients[0].OutputBufferBytes.Or(0) < 1<<20 {
		t.Errorf("Clients = %+v, %v", list, err)
	}
	conn.Close()
	eventually(t, "healthy without it", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
}

// TestHealthOfPersistence removes the directory for snapshots.
func TestHealthOfPersistence(t *testing.T) {
	server := redistest.Start(t, "--save", "900 1", "--enable-protected-configs", "yes")
	client := quick(t, server.Addr())
	admin := newAdmin(client)
	if h := admin.Health(t.Context()); h.Status != redisadmin.Healthy {
		t.Fatal(h.Reason)
	}
	breakSnapshots(t, client)
	want(t, admin.Health(t.Context()), redisadmin.CheckPersistence, "", redisadmin.Fail, "writes are refused", "BGSAVE")
	must(t, client.ConfigSet(t.Context(), "stop-writes-on-bgsave-error", "no").Err())
	want(t, admin.Health(t.Context()), redisadmin.CheckPersistence, "", redisadmin.Warn, "last snapshot failed")
}

func TestHealthOfConnections(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxclients", "12")
	admin := newAdmin(quick(t, server.Addr()))
	admin.SetWindow(time.Second)
	admin.Health(t.Context())
	var held []*redis.Client
	for range 20 {
		c := quick(t, server.Addr())
		if c.Ping(t.Context()).Err() == nil {
			held = append(held, c)
		}
	}
	h := admin.Health(t.Context())
	if h.Status != redisadmin.Degraded {
		t.Errorf("%s: %s", h.Status, h.Reason)
	}
	want(t, h, redisadmin.CheckConnections, "", redisadmin.Warn, " of 12, refused: ", "turned away", "maxclients")
	for _, c := range held {
		c.Close()
	}
	eventually(t, "healthy again", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
}

func TestHealthOfBlockedClients(t *testing.T) {
	server := redistest.Start(t)
	client := quick(t, server.Addr())
	admin := newAdmin(client)
	done := make(chan struct{})
	const waiting = 12
	for range waiting {
		c := quick(t, server.Addr())
		go func() { c.BLPop(t.Context(), 30*time.Second, "queue"); done <- struct{}{} }()
	}
	eventually(t, "degraded for blocked clients", func() bool {
		h := admin.Health(t.Context())
		return h.Status == redisadmin.Degraded && strings.Contains(h.Reason, "blocked clients: 12, ")
	})
	for range waiting {
		must(t, client.RPush(t.Context(), "queue", "x").Err())
		<-done
	}
	eventually(t, "healthy again", func() bool { return admin.Health(t.Context()).Status == redisadmin.Healthy })
}

// unevictable fills a server, whose policy is volatile-ttl, with keys that do not expire. Nothing
// can be evicted and every write is refused, so the memory check fails. Once there is room again it
// warns, until no write has been refused for a while.
func unevictable(t *testing.T, admin *redisadmin.Admin, client *redis.Client) {
	t.Helper()
	err := error(nil)
	for i := 0; err == nil && i < 1<<16; i++ {
		err = client.Set(t.Context(), fmt.Sprint("other:", i), strings.Repeat("v", 4000), 0).Err()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM ") {
		t.Fatalf("a server full of keys that do not expire accepts writes: %v", err)
	}
	h := admin.Health(t.Context())
	want(t, h, redisadmin.CheckMemory, "", redisadmin.Fail, "writes are refused", "cannot be evicted")
	if h.Status != redisadmin.Unhealthy {
		t.Errorf("%s: %s", h.Status, h.Reason)
	}
	must(t, client.Do(t.Context(), "CONFIG", "SET", "maxmemory", "64mb").Err())
	want(t, admin.Health(t.Context()), redisadmin.CheckMemory, "", redisadmin.Warn, "writes were refused for lack of memory in the last")
	for i := range 1 << 16 {
		if client.Unlink(t.Context(), fmt.Sprint("other:", i)).Val() == 0 {
			break
		}
	}
	must(t, client.Do(t.Context(), "CONFIG", "SET", "maxmemory", "4mb").Err())
}
