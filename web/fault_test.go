package web_test

import (
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRedisLost kills Redis under connected clients: they stay, are told, and
// go on when it is back.
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

// TestRedisFull has answers say what is wrong: a full Redis is there and answers.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Redis = redistest.Start(t) })
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	if err := n.RDB.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	h := webtest.NewHTTPClient(t, n.Public)
	if a := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, webtest.Bearer(webtest.PublishToken)); a.Problem(t, 503).Detail != "Redis is full and refuses to write; 0 of 1 quotes are settled, the others were not accepted" {
		t.Errorf("publishing: %s", a.Body)
	}
	if a := n.Operator().Ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`); a.Problem(t, 503).Detail != "Redis is full and refuses to write; try again" {
		t.Errorf("a session: %s", a.Body)
	}
}
