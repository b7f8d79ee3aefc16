package web_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRedisLost kills Redis while clients are connected: they stay connected, receive a notice,
// and go on when Redis is back.
func TestRedisLost(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Redis = redistest.Start(t, redistest.Durable...) })
	token, _ := n.SignIn("gina", "user")
	c, _ := n.Connect(token)
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	c.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	c.Want("ack")
	for m := c.Next(); m.Type != "snapshot" && m.Type != "update"; m = c.Next() {
	}
	n.Redis.Kill()
	for m := c.Until("status"); m.Symbol != "" || m.Status != "degraded"; m = c.Until("status") {
	}
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("GET", "/livez", "", nil).Into(t, 200, new(any))
	if a := h.Do("GET", "/api/v1/quotes", "", webtest.Bearer(token)); a.Problem(t, 503).Detail == "" || a.Header.Get("Retry-After") == "" {
		t.Errorf("without Redis: %v", a)
	}
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), nil)
	p.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("connecting without Redis: %s %v", resp.Status, resp.Header)
	}
	c.Say(`{"op":"ping"}`)
	c.Until("pong")
	if a := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, webtest.Bearer(webtest.PublishToken)); a.Problem(t, 503).Detail == "" {
		t.Errorf("publishing without Redis: %v", a)
	}
	n.Redis.Restart()
	for m := c.Until("status"); m.Symbol != "" || m.Status != "ok"; m = c.Until("status") {
	}
	webtest.Eventually(t, "quotes are accepted again", func() bool {
		return h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.30","ask":"1.31"}`, webtest.Bearer(webtest.PublishToken)).Status == 200
	})
	for {
		if q := c.Until("update").Quotes(t); q[len(q)-1].Bid == "1.30" {
			break
		}
	}
}

// TestRedisFull tests that the answers name the fault: a full Redis can be reached and replies.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Redis = redistest.Start(t) })
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	if err := n.RDB.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	h := webtest.NewHTTPClient(t, n.Public)
	if a := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, webtest.Bearer(webtest.PublishToken)); a.Problem(t, 503).Detail != "Redis is full and refuses to write (OOM); 0 of 1 quotes are settled, the others were not accepted" {
		t.Errorf("publishing: %s", a.Body)
	}
	if a := n.Operator().Ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`); a.Problem(t, 503).Detail != "Redis is full and refuses to write (OOM); try again" {
		t.Errorf("a session: %s", a.Body)
	}
}

// TestRedisRefuses has a Redis that refuses writes called that, with the reason: in answers, in the
// log and in its health.
func TestRedisRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code, words string
		cause       func(*testing.T, *redistest.Server)
	}{
		{"NOREPLICAS", "min-replicas-to-write", func(t *testing.T, s *redistest.Server) {
			must(t, s.Client().ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
		}},
		{"READONLY", "a replica", func(t *testing.T, s *redistest.Server) {
			must(t, s.Client().ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
		}},
		{"MISCONF", "its disk", func(_ *testing.T, s *redistest.Server) { s.BreakSnapshots() }},
		{"OOM", "is full", func(t *testing.T, s *redistest.Server) {
			must(t, s.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
		}},
		{"BUSY", "a long script", func(_ *testing.T, s *redistest.Server) { s.Busy() }},
	} {
		t.Run(tc.code, func(t *testing.T) {
			t.Parallel()
			n := webtest.Start(t, func(c *webtest.Config) {
				c.Redis = redistest.Start(t, "--save", "900 1", "--enable-protected-configs", "yes", "--busy-reply-threshold", "20")
			})
			n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
			tc.cause(t, n.Redis)
			h := webtest.NewHTTPClient(t, n.Public)
			a := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.11","ask":"1.12"}`, webtest.Bearer(webtest.PublishToken))
			if d := a.Problem(t, 503).Detail; !strings.Contains(d, tc.words) || !strings.Contains(d, tc.code) || a.Header.Get("Retry-After") == "" {
				t.Errorf("publishing: %s", d)
			}
			if d := n.Operator().Ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`).Problem(t, 503).Detail; !strings.Contains(d, tc.words) || !strings.Contains(d, tc.code) {
				t.Errorf("a session: %s", d)
			}
			var health struct{ Status, Reason string }
			n.Operator().Ask("GET", "/api/v1/redis/health", "").Into(t, 200, &health)
			if health.Status != "unhealthy" || !strings.Contains(health.Reason, tc.code) {
				t.Errorf("health: %+v", health)
			}
			if log := n.Log.String(); !strings.Contains(log, tc.words) || !strings.Contains(log, tc.code) {
				t.Errorf("the log does not name it:\n%s", log)
			}
			inbox := regexp.MustCompile(`msg="inbox: (quotes lost|retrying)".*` + tc.code)
			webtest.Eventually(t, "the inbox names it", func() bool {
				if tc.code != "BUSY" { // which refuses PUBLISH too
					must(t, n.RDB.Publish(t.Context(), "forex_updates", `{"symbol":"EUR/USD","bid":"1.11","ask":"1.12"}`).Err())
				}
				return inbox.MatchString(n.Log.String())
			})
			if tc.code == "BUSY" {
				webtest.Eventually(t, "all parts have noticed", func() bool {
					log := n.Log.String()
					return strings.Contains(log, "session: redis refuses") && strings.Contains(log, "connection for quotes refused")
				})
				webtest.Eventually(t, "a session names it without asking Redis", func() bool {
					d := n.Operator().Ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`).Problem(t, 503).Detail
					return strings.Contains(d, tc.words) && strings.Contains(n.Log.String(), "it answered last: BUSY")
				})
			}
			// A limiter that has no answer within 50 ms may be right on a busy machine.
			if lost := regexp.MustCompile(`.*("(session|cache): [Rr]edis is lost|quotes lost, opening|sessions lost, opening|reachable|does not answer).*`).FindString(n.Log.String()); lost != "" {
				t.Errorf("the log calls it lost: %s", lost)
			}
		})
	}
}

// TestFirstQuoteRefused: a node that has published nothing yet calls a refusal by its name too.
func TestFirstQuoteRefused(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Redis = redistest.Start(t, "--save", "900 1", "--enable-protected-configs", "yes")
	})
	n.Redis.BreakSnapshots()
	a := webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.11","ask":"1.12"}`, webtest.Bearer(webtest.PublishToken))
	if d := a.Problem(t, 503).Detail; !strings.Contains(d, "its disk") || !strings.Contains(d, "MISCONF") {
		t.Errorf("publishing: %s", d)
	}
}

// TestRedisWantsAnotherPassword: answers and log say that the password is the fault.
func TestRedisWantsAnotherPassword(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	operator := n.Redis.Client()
	must(t, operator.ConfigSet(t.Context(), "requirepass", "another").Err())
	for _, kind := range []string{"normal", "pubsub"} {
		must(t, operator.ClientKillByFilter(t.Context(), "TYPE", kind, "SKIPME", "yes").Err())
	}
	const words = "Redis wants a password (NOAUTH)"
	h := webtest.NewHTTPClient(t, n.Public)
	webtest.Eventually(t, "publishing and sessions name it", func() bool {
		quote := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.11","ask":"1.12"}`, webtest.Bearer(webtest.PublishToken)).Problem(t, 503).Detail
		made := n.Operator().Ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`).Problem(t, 503).Detail
		return strings.Contains(quote, words) && strings.Contains(made, words)
	})
	webtest.Eventually(t, "each connection names it", func() bool {
		named := regexp.MustCompile(`connection for [a-z ]+ refused, opening it again".* reason="Redis wants a password`)
		return len(named.FindAllString(n.Log.String(), -1)) >= 3
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
