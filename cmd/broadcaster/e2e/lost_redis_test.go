package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// verdict is what each way out says of Redis at one moment: true = it is lost.
type verdict struct {
	client  bool // the last status of a connected client was degraded
	ready   bool // the check redis of /readyz is red
	gauge   bool // fx_redis_up is 0
	parts   bool // fx_feed_degraded or fx_session_degraded is 1
	status  int  // of /readyz
	missing bool // no node reads the inbox
}

// agree reports whether all ways out say the same. A missing leader of the inbox makes /readyz red,
// but it does not mean that Redis is lost.
func (v verdict) agree() bool {
	return v.client == v.ready && v.client == v.gauge && v.client == v.parts && (v.status == 503) == (v.ready || v.missing)
}

// TestLostRedisIsOneTruth loses Redis, or Pub/Sub alone while quotes and commands still work. It
// looks at a client, /readyz and the metrics together: they differ for at most one interval of the
// probes.
func TestLostRedisIsOneTruth(t *testing.T) {
	t.Parallel()
	user := func(t *testing.T, c *redis.Client, rules ...any) {
		t.Helper()
		if err := c.Do(t.Context(), append([]any{"ACL", "SETUSER", "node"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, fault := range []struct {
		name        string
		begin, heal func(t *testing.T, r *redistest.Server, c *redis.Client)
	}{
		{"paused", func(_ *testing.T, r *redistest.Server, _ *redis.Client) { r.Pause() },
			func(_ *testing.T, r *redistest.Server, _ *redis.Client) { r.Resume() }},
		{"killed", func(_ *testing.T, r *redistest.Server, _ *redis.Client) { r.Kill() },
			func(t *testing.T, r *redistest.Server, c *redis.Client) {
				r.Restart()
				user(t, c, "on", ">pw", "~*", "&*", "+@all") // the rules are lost with the server
			}},
		{"no test messages", func(t *testing.T, _ *redistest.Server, c *redis.Client) { user(t, c, "-publish") },
			func(t *testing.T, _ *redistest.Server, c *redis.Client) { user(t, c, "+publish") }},
		{"no channel for test messages of quotes", func(t *testing.T, _ *redistest.Server, c *redis.Client) {
			user(t, c, "resetchannels", "&forex_updates", "&fx:control*", "&fx:nodes*", "&fx:{*")
		}, func(t *testing.T, _ *redistest.Server, c *redis.Client) { user(t, c, "&*") }},
		{"no subscriptions", func(t *testing.T, _ *redistest.Server, c *redis.Client) {
			user(t, c, "-subscribe")
			if err := c.ClientKillByFilter(t.Context(), "USER", "node", "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, _ *redistest.Server, c *redis.Client) { user(t, c, "+subscribe") }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Start(t, redistest.Durable...) // sessions outlive the server
			admin := r.Client()
			user(t, admin, "on", ">pw", "~*", "&*", "+@all")
			n := startNode(t, r, "REDIS_USERNAME=node", "REDIS_PASSWORD=pw", "SESSION_GRACE=10m")
			client, _ := n.connect(n.signIn("ann", "user").Token)
			quotesFlow(t, admin)

			var last verdict
			differing := 0 // samples in a row
			look := func() verdict {
				t.Helper()
				v := n.verdict(client, last.client)
				if differing++; v.agree() {
					differing = 0
				}
				if differing == 20 { // of 50 ms each
					t.Fatalf("for 1 s: %+v", v)
				}
				last = v
				time.Sleep(50 * time.Millisecond)
				return v
			}
			until := func(what string, ok func(verdict) bool) {
				t.Helper()
				for deadline := time.Now().Add(patience); !ok(look()); {
					if time.Now().After(deadline) {
						t.Fatalf("not within %v: %s; %+v", patience, what, last)
					}
				}
			}
			for range 2 {
				until("well", func(v verdict) bool { return v.agree() && v.status == 200 })
				fault.begin(t, r, admin)
				until("lost", func(v verdict) bool { return v.agree() && v.client })
				for range 40 { // it stays so
					if v := look(); !v.client {
						t.Fatalf("no longer lost: %+v", v)
					}
				}
				fault.heal(t, r, admin)
			}
			until("well again", func(v verdict) bool { return v.agree() && v.status == 200 })
		})
	}
}

// verdict asks every way out once. degraded is what the client knew before.
func (n *testNode) verdict(client *socket, degraded bool) (v verdict) {
	n.t.Helper()
	v.client = degraded
	metrics := n.do("GET", n.admin+"/metrics", "", nil).body
	v.gauge = metricIn(metrics, "fx_redis_up") == "0"
	v.parts = metricIn(metrics, "fx_feed_degraded") == "1" || metricIn(metrics, "fx_session_degraded") == "1"
	answer := n.do("GET", n.public+"/readyz", "", nil)
	v.status = answer.status
	var body struct {
		Checks []struct {
			Name string
			OK   bool
		}
	}
	if err := json.Unmarshal([]byte(answer.body), &body); err != nil {
		n.t.Fatal(err)
	}
	for _, c := range body.Checks {
		v.ready = v.ready || c.Name == "redis" && !c.OK
		v.missing = v.missing || c.Name == "inbox" && !c.OK
	}
	for {
		select {
		case m, open := <-client.messages:
			if !open {
				n.t.Fatalf("the client was closed: %v", client.err)
			}
			if m.Type == "status" && m.Symbol == "" {
				v.client = m.Status == "degraded"
			}
			continue
		default:
		}
		return v
	}
}

// quotesFlow publishes a quote every 10 ms until the test ends, except while Redis does not answer.
func quotesFlow(t *testing.T, c *redis.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	p := accept.NewPublisher(accept.PublisherConfig{Redis: c, Keys: feed.Keys{Prefix: "fx:"}, Timeout: time.Second})
	running.Go(func() { _ = p.Run(ctx) })
	running.Go(func() {
		for i := 0; redislink.Sleep(ctx, 10*time.Millisecond); i++ {
			_, _ = p.Publish(ctx, []feed.Quote{{Symbol: "EUR/USD", Bid: "1.1", Ask: fmt.Sprintf("1.2%d", i%10)}})
		}
	})
}
