package admin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRedisSeen calls every endpoint that reads Redis, with a server that runs and with one that is
// gone.
func TestRedisSeen(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "redis.conf")
	if err := os.WriteFile(conf, []byte("maxmemory-policy volatile-ttl\nmaxclients 1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := webtest.Start(t, func(c *webtest.Config) { c.RedisConf = conf })
	o := n.Operator()
	n.Publish([3]string{"EUR/USD", "1.08501", "1.08513"})
	n.SignIn("123", "user")

	var health struct {
		Status         string
		LatencySeconds *float64 `json:"latency_seconds"`
		Role, Version  string
		Checks         []struct{ Name, Result string }
	}
	o.Get("/api/v1/redis/health", &health)
	if health.Status == "unhealthy" || health.Status == "" || health.LatencySeconds == nil || health.Role != "master" || health.Version == "" || len(health.Checks) < 5 {
		t.Errorf("health %+v", health)
	}
	var stats struct {
		Clients struct{ Connected *int }
		Memory  struct {
			Used *int `json:"used_bytes"`
		}
		Ops       *int `json:"ops_per_second"`
		Keyspace  []struct{ Keys int }
		Hits      *int
		Evictions *int
		PubSub    struct{ Channels *int }
		Quotes    struct{ Count *int }
		Sessions  struct{ Count *int }
		Cache     struct{ Count *int }
	}
	o.Get("/api/v1/redis/stats", &stats)
	if stats.Clients.Connected == nil || stats.Memory.Used == nil || stats.Ops == nil || len(stats.Keyspace) != 1 || stats.Hits == nil || stats.Evictions == nil ||
		stats.PubSub.Channels == nil || *stats.Quotes.Count != 1 || *stats.Sessions.Count != 1 || stats.Cache.Count == nil {
		t.Errorf("stats %+v", stats)
	}
	var memory struct {
		Used  int `json:"used_bytes"`
		Kinds []struct {
			Kind  string
			Bytes int
		}
	}
	o.Get("/api/v1/redis/memory", &memory)
	seen := map[string]int{}
	for _, k := range memory.Kinds {
		seen[k.Kind] = k.Bytes
	}
	if memory.Used == 0 || seen["quotes"] == 0 || seen["sessions"] == 0 {
		t.Errorf("memory %+v", memory)
	}
	var config struct {
		Drift struct {
			File        string
			Differences []struct{ Setting, Running string }
		}
		Optimise []struct{ Setting, Why string }
	}
	o.Get("/api/v1/redis/config", &config)
	if config.Drift.File != conf || !strings.Contains(fmt.Sprint(config.Drift.Differences), "maxclients") || len(config.Optimise) == 0 {
		t.Errorf("config %+v", config)
	}

	if err := n.RDB.ConfigSet(t.Context(), "slowlog-log-slower-than", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := n.RDB.Set(t.Context(), "user:secret", "hunter2", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := n.RDB.ConfigSet(t.Context(), "slowlog-log-slower-than", "-1").Err(); err != nil {
		t.Fatal(err)
	}
	var slow []struct{ Command string }
	o.Get("/api/v1/redis/slowlog?limit=1000", &slow)
	if text := fmt.Sprint(slow); len(slow) == 0 || !strings.Contains(strings.ToLower(text), "set") || strings.Contains(text, "hunter2") {
		t.Errorf("slow log %s", text)
	}
	if o.Get("/api/v1/redis/slowlog?limit=1", &slow); len(slow) != 1 {
		t.Errorf("%d entries, asked for one", len(slow))
	}
	for _, limit := range []string{"0", "-1", "1001", "x", "1e3"} {
		o.Ask("GET", "/api/v1/redis/slowlog?limit="+limit, "").Problem(t, 400)
	}

	// Redis is gone: health still answers with the reason; the others cannot.
	n.Redis.Kill()
	var gone struct{ Status, Reason string }
	o.Get("/api/v1/redis/health", &gone)
	if gone.Status != "unhealthy" || gone.Reason == "" {
		t.Errorf("health without Redis: %+v", gone)
	}
	for _, path := range []string{"stats", "memory", "slowlog", "config"} {
		a := o.Ask("GET", "/api/v1/redis/"+path, "")
		if a.Problem(t, 503); a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	var ratio struct {
		Server  struct{ Hits *int }
		Missing string
	}
	if o.Get("/api/v1/redis/cache/hit-ratio", &ratio); ratio.Server.Hits != nil || ratio.Missing == "" {
		t.Errorf("hit ratio without Redis: %+v", ratio)
	}
	o.Ask("POST", "/api/v1/redis/cache/invalidate", `{"pattern":"*"}`).Problem(t, 503)
	o.Ask("POST", "/api/v1/redis/pubsub/publish", `{"channel":"x","message":1}`).Problem(t, 503)
}

// TestCacheAdmin invalidates by pattern within one namespace, and shows the ratio.
func TestCacheAdmin(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	o := n.Operator()
	users, err := n.Cache.Namespace("users", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := n.Cache.Namespace("", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := users.Set(t.Context(), fmt.Sprintf("user:%d", i), "x"); err != nil {
			t.Fatal(err)
		}
		if err := plain.Set(t.Context(), fmt.Sprintf("user:%d", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := users.Set(t.Context(), "group:1", "x"); err != nil {
		t.Fatal(err)
	}
	var done struct{ Deleted int }
	invalidate := func(body string) int {
		t.Helper()
		o.Ask("POST", "/api/v1/redis/cache/invalidate", body).Into(t, 200, &done)
		return done.Deleted
	}
	if got := invalidate(`{"pattern":"user:*","namespace":"users"}`); got != 30 {
		t.Errorf("deleted %d of 30", got)
	}
	if ok, err := users.Exists(t.Context(), "group:1"); err != nil || !ok {
		t.Errorf("what does not match: %v %v", ok, err)
	}
	if got := invalidate(`{"pattern":"user:*","namespace":"users"}`) + invalidate(`{"pattern":"user:*","namespace":"nobody"}`); got != 0 {
		t.Errorf("deleted %d of nothing", got)
	}
	if got := invalidate(`{"pattern":"user:[0-4]"}`); got != 5 {
		t.Errorf("deleted %d of the default namespace, want 5", got)
	}
	for body, names := range map[string]string{
		`{}`: "pattern", `{"pattern":""}`: "pattern", `{"pattern":1}`: "pattern", `{"pattern":"*","namespace":"a*"}`: "namespace",
		`{"pattern":"*","all":true}`: "all", `[]`: "object", ``: "object", `{"pattern":"*"} {}`: "more than one", `{"pattern":"[a"}`: "[a",
	} {
		if p := o.Ask("POST", "/api/v1/redis/cache/invalidate", body).Problem(t, 400); !strings.Contains(p.Detail, names) {
			t.Errorf("%s: %q does not name %q", body, p.Detail, names)
		}
	}
	o.Ask("POST", "/api/v1/redis/cache/invalidate", `{"pattern":"`+strings.Repeat("x", 65<<10)+`"}`).Problem(t, 413)

	type ratio struct {
		Hits, Misses *int
		Ratio        *float64
	}
	var seen struct {
		Server ratio
		Cache  struct {
			ratio
			Namespaces map[string]ratio
		}
		Node string
	}
	o.Get("/api/v1/redis/cache/hit-ratio", &seen)
	if seen.Server.Hits == nil || seen.Node != n.Nodes.Name() {
		t.Errorf("hit ratio %+v", seen)
	}
	if r := seen.Cache.Namespaces["nobody"]; r.Ratio != nil || *r.Hits != 0 {
		t.Errorf("a ratio without look-ups: %+v", r)
	}
	for _, key := range []string{"group:1", "group:1", "group:1", "none"} {
		_, _ = users.Get(t.Context(), key)
	}
	o.Get("/api/v1/redis/cache/hit-ratio", &seen)
	if r := seen.Cache.Namespaces["users"]; r.Ratio == nil || *r.Ratio != 0.75 || *r.Hits != 3 || *r.Misses != 1 {
		t.Errorf("ratio of 3 of 4: %+v", r)
	}
}

// TestPubSubPublish tests that a message to the inbox passes the gate, that a message on a relayed
// channel reaches clients, and that the program's own channels are refused.
func TestPubSubPublish(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Channels = []string{"news"} })
	o := n.Operator()
	token, _ := n.SignIn("reader", "user")
	c, _ := n.Connect(token)
	c.Say(`{"op":"subscribe","symbols":["EUR/USD"],"channels":["news"]}`)
	c.Until("ack")
	publish := func(body string) (receivers int) {
		t.Helper()
		var done struct{ Receivers int }
		o.Ask("POST", "/api/v1/redis/pubsub/publish", body).Into(t, 200, &done)
		return done.Receivers
	}
	if got := publish(`{"channel":"forex_updates","message":{"symbol":"EURUSD","bid":1.08500,"ask":"1.08513"}}`); got != 1 {
		t.Errorf("%d receivers of the inbox, want the node that holds it", got)
	}
	for {
		m := c.Next()
		if m.Type == "update" || m.Type == "snapshot" && strings.Contains(m.Raw, "bid") {
			if !strings.Contains(m.Raw, `"bid":"1.08500"`) {
				t.Errorf("the quote: %s", m.Raw)
			}
			break
		}
	}
	publish(`{"channel":"forex_updates","message":{"symbol":"EURUSD","bid":"2","ask":"1"}}`)
	webtest.Eventually(t, "the crossed quote is rejected", func() bool {
		return strings.Contains(o.Ask("GET", "/api/v1/feed/rejected", "").Body, `"crossed"`)
	})
	for _, tc := range []struct{ message, want string }{
		{`{"headline": "rates"}`, `{"headline":"rates"}`}, {`"plain text"`, `"plain text"`}, {`[1, 2]`, `[1,2]`}, {`null`, `null`}, {`0.10`, `0.10`},
	} {
		if got := publish(`{"channel":"news","message":` + tc.message + `}`); got != 1 {
			t.Errorf("%d receivers of news", got)
		}
		if m := c.Until("message"); !strings.Contains(m.Raw, `"data":`+tc.want) {
			t.Errorf("%s came as %s", tc.message, m.Raw)
		}
	}
	if got := publish(`{"channel":"nobody listens","message":1}`); got != 0 {
		t.Errorf("%d receivers of nothing", got)
	}
	for body, names := range map[string]string{
		`{"channel":"fx:{EUR/USD}","message":{}}`: "fx:", `{"channel":"fx:control","message":{}}`: "fx:", `{"channel":"__keyevent@0__:del","message":""}`: "__",
		`{"channel":"__sentinel__:hello","message":""}`: "__", `{"channel":"","message":1}`: "channel", `{"message":1}`: "channel", `{"channel":"x"}`: "message",
		`{"channel":"` + strings.Repeat("x", 257) + `","message":1}`: "256", `{"channel":"x","message":1,"qos":1}`: "qos", `{"channel":7,"message":1}`: "channel",
		`{"channel":"news","message":"` + strings.Repeat("x", 17<<10) + `"}`: "16384",
	} {
		if p := o.Ask("POST", "/api/v1/redis/pubsub/publish", body).Problem(t, 400); !strings.Contains(p.Detail, names) {
			t.Errorf("%.60s: %q does not name %q", body, p.Detail, names)
		}
	}
}
