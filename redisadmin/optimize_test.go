package redisadmin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

func advised(t *testing.T, admin *redisadmin.Admin) map[string]redisadmin.Advice {
	t.Helper()
	list, err := admin.Optimize(t.Context())
	if err != nil || list == nil {
		t.Fatalf("%v, %v", list, err)
	}
	got := map[string]redisadmin.Advice{}
	for _, a := range list {
		got[a.Setting] = a
		if a.Why == "" || a.How == "" || a.Current == "" {
			t.Errorf("not complete: %+v", a)
		}
	}
	return got
}

func TestOptimize(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "allkeys-lru", "--client-output-buffer-limit", "pubsub 0 0 0", "--timeout", "30",
		"--notify-keyspace-events", "Kx", "--hz", "1", "--slowlog-log-slower-than", "-1", "--appendfsync", "always", "--maxmemory-samples", "3")
	rdb := server.Client()
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	list, err := admin.Optimize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Setting != "maxmemory-policy" || !strings.Contains(list[0].Why, "idle sessions") {
		t.Errorf("the most important advice is not first: %+v", list[0])
	}
	got := advised(t, admin)
	for setting, want := range map[string][2]string{
		"maxmemory-policy": {"allkeys-lru", "volatile-ttl"}, "maxmemory": {"0", "256mb"}, "maxmemory-samples": {"3", "5"},
		"appendonly": {"no", "yes"}, "appendfsync": {"always", "everysec"}, "client-output-buffer-limit": {"pubsub 0 0 0", "pubsub 32mb 8mb 60"},
		"timeout": {"30", "300"}, "tcp-keepalive": {"300", "60"}, "notify-keyspace-events": {"xK", "xKEg"}, "hz": {"1", "10"},
		"lazyfree-lazy-eviction": {"no", "yes"}, "slowlog-log-slower-than": {"-1", "10000"}, "latency-monitor-threshold": {"0", "100"},
	} {
		if a := got[setting]; a.Current != want[0] || a.Wanted != want[1] || a.How != redisadmin.ApplyLive {
			t.Errorf("%s: %+v, want %q to become %q", setting, a, want[0], want[1])
		}
	}
	if _, ok := got["dynamic-hz"]; ok {
		t.Error("dynamic-hz is good as it is")
	}
	if now, _ := rdb.ConfigGet(t.Context(), "maxmemory").Result(); now["maxmemory"] != "0" {
		t.Error("Optimize changed a setting")
	}

	rdb.ConfigSet(t.Context(), "hz", "7") // by another program, meanwhile
	list = append(list, redisadmin.Advice{Setting: "databases", Current: "16", Wanted: "4", How: redisadmin.ApplyRestart},
		redisadmin.Advice{Setting: "maxmemory", Current: "0", How: redisadmin.ApplyByHand},
		redisadmin.Advice{Setting: "port", How: redisadmin.ApplyLive, Wanted: "1", Node: "127.0.0.1:1"})
	done, err := admin.Apply(t.Context(), list)
	if err != nil || len(done) != len(list) {
		t.Fatalf("%d results, %v", len(done), err)
	}
	for _, d := range done {
		left := map[string]string{"hz": "changed meanwhile, to 7", "databases": "restart", "port": "no longer part"}[d.Setting]
		if d.Setting == "maxmemory" && d.How == redisadmin.ApplyByHand {
			left = "decide"
		}
		if d.Done != (left == "") || !strings.Contains(d.Fault, left) || d.Done != strings.Contains(d.Keep, "redis.conf") {
			t.Errorf("%+v", d)
		}
	}
	if now := advised(t, admin); len(now) != 1 || now["hz"].Current != "7" {
		t.Errorf("after Apply: %+v", now)
	}
	if now, _ := rdb.ConfigGet(t.Context(), "client-output-buffer-limit").Result(); now["client-output-buffer-limit"] != "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60" {
		t.Errorf("%v", now)
	}
}

// TestOptimizeOwnConf checks that the file of this repository needs no advice.
func TestOptimizeOwnConf(t *testing.T) {
	t.Parallel()
	file, err := redisadmin.ReadConfFile("../redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for name, values := range file.Values {
		switch name {
		case "bind", "port", "aclfile", "dir", "logfile", "pidfile", "unixsocket":
		default:
			args = append(append(args, "--"+name), strings.Join(values, " "))
		}
	}
	if got := advised(t, redisadmin.New(redisadmin.Config{Redis: redistest.Start(t, args...).Client()})); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestOptimizeNotOffered(t *testing.T) {
	t.Parallel()
	embedded, _ := redistest.Embedded(t)
	if list, err := redisadmin.New(redisadmin.Config{Redis: embedded}).Optimize(t.Context()); !errors.Is(err, redisadmin.ErrNotOffered) {
		t.Errorf("embedded: %v, %v", list, err)
	}
	server := redistest.Start(t)
	rdb := server.Client()
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "default", "-config|set").Err(); err != nil {
		t.Fatal(err)
	}
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	list, err := admin.Optimize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done, err := admin.Apply(t.Context(), list)
	if err != nil || len(done) != len(list) {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, d := range done {
		if d.Done || !strings.Contains(d.Fault, "NOPERM") {
			t.Errorf("%+v", d)
		}
	}
	server.Kill()
	if _, err := admin.Apply(t.Context(), list); !errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("killed: %v", err)
	}
	if _, err := admin.Optimize(t.Context()); !errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("killed: %v", err)
	}
}
