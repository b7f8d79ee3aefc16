package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestAdminDoors requests every route of the admin listener. The public listener serves none of
// them. Without the admin token only health, metrics and the operator's page, which holds no
// data, answer.
func TestAdminDoors(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	closed := webtest.Start(t, func(c *webtest.Config) { c.Redis, c.NoTokens = n.Redis, true })
	public, admin, off := webtest.NewHTTPClient(t, n.Public), webtest.NewHTTPClient(t, n.Admin), webtest.NewHTTPClient(t, closed.Admin)
	open := map[string]bool{"/": true, "/metrics": true, "/livez": true, "/readyz": true}
	_, routes := n.Web.Routes()
	if len(routes) < 20 {
		t.Fatalf("only %q", routes)
	}
	shared := map[string]bool{} // paths that both listeners have
	all, _ := n.Web.Routes()
	for _, pattern := range all {
		shared[pattern] = true
	}
	for _, pattern := range routes {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "GET", pattern
		}
		path = strings.NewReplacer("{session_id}", strings.Repeat("ab", 32), "{conn_id}", "abc").Replace(path)
		if !shared[pattern] {
			for name, header := range map[string]http.Header{"a token": webtest.Bearer(webtest.AdminToken), "no token": nil} {
				if p := public.Do(method, path, "", header).Problem(t, 404); p.Title != "Not found" {
					t.Errorf("%s on the public listener with %s: %+v", pattern, name, p)
				}
			}
		}
		if open[path] {
			if a := admin.Do(method, path, "", nil); a.Status != 200 {
				t.Errorf("%s without a token: %d", pattern, a.Status)
			}
			continue
		}
		for name, header := range map[string]http.Header{"no token": nil, "another": webtest.Bearer(webtest.PublishToken), "half": webtest.Bearer(webtest.AdminToken[:20]),
			"basic": {"Authorization": {"Basic " + webtest.AdminToken}}, "query": nil} {
			target := path
			if name == "query" {
				target += "?token=" + webtest.AdminToken + "&access_token=" + webtest.AdminToken
			}
			a := admin.Do(method, target, "{}", header)
			a.Problem(t, 401)
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: no WWW-Authenticate", pattern, name)
			}
		}
		off.Do(method, path, "", webtest.Bearer(webtest.AdminToken)).Problem(t, 403)
	}
}

// TestEveryAnswer tests that every error is a problem, and that every answer has its headers.
func TestEveryAnswer(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	public, admin := webtest.NewHTTPClient(t, n.Public), webtest.NewHTTPClient(t, n.Admin)
	type call struct {
		h            *webtest.HTTPClient
		method, path string
		status       int
	}
	calls := []call{
		{public, "GET", "/nothing", 404}, {public, "GET", "/api", 404}, {public, "GET", "/api/v1/nothing", 404}, {public, "POST", "/api/v1/nothing", 404},
		{public, "GET", "/api/v1/symbols/", 404}, {public, "GET", "/static/index.html", 404}, {public, "GET", "/index.html/x", 404}, {public, "GET", "/%2e%2e/go.mod", 404},
		{public, "POST", "/", 405}, {public, "PUT", "/api/v1/quotes", 405}, {public, "POST", "/api/v1/symbols", 405}, {public, "GET", "/api/v1/ws-ticket", 405},
		{public, "DELETE", "/livez", 405}, {public, "BREW", "/ws", 405}, {public, "PATCH", "/api/v1/session", 405},
		{admin, "POST", "/", 405}, {admin, "GET", "/nothing", 404}, {admin, "GET", "/api/v1/quotes", 404}, {admin, "POST", "/metrics", 405}, {admin, "PUT", "/api/v1/sessions", 405},
		{admin, "GET", "/ws", 404},
	}
	// The public listener has no endpoint of the admin listener, with or without a token.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile", "/debug/pprof/symbol", "/debug/pprof/trace",
		"/api/v1/sessions", "/api/v1/sessions?user_id=a", "/api/v1/redis/session/abc", "/api/v1/redis/stats", "/api/v1/redis/health", "/api/v1/redis/cache/invalidate",
		"/api/v1/redis/rate-limit/check", "/api/v1/redis/pubsub/publish", "/api/v1/redis/memory", "/api/v1/redis/slowlog", "/api/v1/redis/config",
		"/api/v1/connections", "/api/v1/connections/x", "/api/v1/feed/rejected"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			status := 404
			if method != "GET" && !strings.HasPrefix(path, "/api/") {
				status = 405 // the path of the page serves GET only
			}
			calls = append(calls, call{public, method, path, status})
		}
	}
	for _, c := range calls {
		for _, header := range []http.Header{nil, webtest.Bearer(webtest.AdminToken)} {
			a := c.h.Do(c.method, c.path, "", header)
			p := a.Problem(t, c.status)
			if c.status == 405 && a.Header.Get("Allow") == "" {
				t.Errorf("%s %s: 405 without Allow", c.method, c.path)
			}
			if id := a.Header.Get("X-Request-Id"); id == "" || p.Instance != "urn:request:"+id {
				t.Errorf("%s %s: request id %q, instance %q", c.method, c.path, id, p.Instance)
			}
		}
	}
	for _, c := range []call{{public, "GET", "/", 0}, {public, "GET", "/nothing", 0}, {public, "GET", "/api/v1/symbols", 0}, {public, "GET", "/livez", 0}, {admin, "GET", "/metrics", 0}, {public, "GET", "/ws", 0}, {public, "POST", "/api/v1/quotes", 0}} {
		a := c.h.Do(c.method, c.path, "", nil)
		for k, v := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
			if a.Header.Get(k) != v {
				t.Errorf("%s: %s = %q, want %q", c.path, k, a.Header.Get(k), v)
			}
		}
		if a.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: Strict-Transport-Security without TLS", c.path)
		}
		if a.Header.Get("Server") != "" || a.Header.Get("X-Powered-By") != "" {
			t.Errorf("%s: the answer names the server's software", c.path)
		}
	}
	for path, limited := range map[string]bool{"/api/v1/symbols": true, "/api/v1/session": true, "/": false, "/livez": false, "/readyz": false} {
		if a := public.Do("GET", path, "", nil); (a.Header.Get("RateLimit") != "") != limited || (a.Header.Get("RateLimit-Policy") != "") != limited {
			t.Errorf("%s: RateLimit %q", path, a.Header.Get("RateLimit"))
		}
	}
	if a := public.Do("HEAD", "/api/v1/symbols", "", nil); a.Status != 200 || a.Body != "" {
		t.Errorf("HEAD: %d %q", a.Status, a.Body)
	}
	if a := public.Do("OPTIONS", "/api/v1/quotes", "", nil); a.Status != 204 || !strings.Contains(a.Header.Get("Allow"), "POST") {
		t.Errorf("OPTIONS: %d %v", a.Status, a.Header)
	}
}

// TestReadiness pauses Redis. The node is not ready within 4 s, ready again when Redis is back,
// and live all the time.
func TestReadiness(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	var body struct {
		Status string
		Checks []web.Check
	}
	h.Do("GET", "/readyz", "", nil).Into(t, 200, &body)
	if body.Status != "ready" || len(body.Checks) < 3 {
		t.Errorf("ready: %+v", body)
	}
	n.Redis.Pause()
	paused := time.Now()
	for {
		asked := time.Now()
		a := h.Do("GET", "/readyz", "", nil)
		if d := time.Since(asked); d > 10*time.Second { // less than a second, but for a busy machine
			t.Errorf("readyz took %v", d)
		}
		if h.Do("GET", "/livez", "", nil).Status != 200 {
			t.Error("not live")
		}
		if a.Status == 503 {
			a.Into(t, 503, &body)
			if i := slices.IndexFunc(body.Checks, func(c web.Check) bool { return !c.OK }); i < 0 || body.Checks[i].Name == "accepting" || body.Status != "not ready" {
				t.Errorf("not ready: %+v", body)
			}
			break
		}
		if time.Since(paused) > 20*time.Second { // 4 s, but for a busy machine
			t.Fatal("still ready 20 s after Redis stopped answering")
		}
		time.Sleep(50 * time.Millisecond)
	}
	webtest.NewHTTPClient(t, n.Admin).Do("GET", "/readyz", "", nil).Into(t, 503, &body)
	n.Redis.Resume()
	webtest.Eventually(t, "it is ready again", func() bool { return h.Do("GET", "/readyz", "", nil).Status == 200 })
}

// TestMetrics checks the node's metrics with promlint, after some use.
func TestMetrics(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Channels = []string{"news"} })
	c := n.User()
	c.Say(`{"op":"subscribe","symbols":["*"],"max_rate":-1}`)
	c.Want("error")
	n.Publish([3]string{"EUR/USD", "1", "2"})
	webtest.NewHTTPClient(t, n.Public).Do("GET", "/nothing", "", nil)
	problems, err := testutil.GatherAndLint(n.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	a := webtest.NewHTTPClient(t, n.Admin).Do("GET", "/metrics", "", nil)
	for _, line := range []string{`fx_web_upgrades_total{outcome="accepted"} 1`, `fx_web_command_errors_total{code="bad_field"} 1`, `fx_web_requests_total{class="4xx"} 1`, `fx_hub_clients 1`, `fx_web_panics_total 0`,
		`fx_hub_ended_total{reason="slow"} 0`, `fx_feed_held_over_total 0`, `fx_hub_client_disconnects_total{reason="slow"} 0`} {
		if !strings.Contains(a.Body, line+"\n") {
			t.Errorf("/metrics lacks %q", line)
		}
	}
	families, err := n.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "fx_") && !strings.HasPrefix(f.GetName(), "promhttp_") {
			t.Errorf("%s: want the prefix fx_", f.GetName())
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if strings.Contains(l.GetValue(), "u-Test") || strings.Contains(l.GetValue(), "127.0.0.1") {
					t.Errorf("%s has a label per user or address: %v", f.GetName(), l)
				}
			}
		}
	}
}

// TestRequestLimits tests that requests without a session are limited by address, and users by
// user.
func TestRequestLimits(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Rate = session.Rate{PerMinute: 5, PerHour: 100, PerDay: 1000}
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	h := webtest.NewHTTPClient(t, n.Public)
	from := func(ip string) http.Header { return http.Header{"X-Forwarded-For": {ip}} }
	for i := range 5 {
		a := h.Do("GET", "/api/v1/symbols", "", from("203.0.113.7"))
		if a.Status != 200 || !strings.Contains(a.Header.Get("RateLimit"), fmt.Sprintf("r=%d", 4-i)) || !strings.Contains(a.Header.Get("RateLimit-Policy"), "q=5;w=60") {
			t.Errorf("request %d: %d %q %q", i, a.Status, a.Header.Get("RateLimit"), a.Header.Get("RateLimit-Policy"))
		}
	}
	a := h.Do("GET", "/api/v1/symbols", "", from("203.0.113.7"))
	if a.Problem(t, 429); a.Header.Get("Retry-After") == "" {
		t.Errorf("429 with %v", a.Header)
	}
	h.Do("GET", "/api/v1/symbols", "", from("203.0.113.8")).Into(t, 200, new(any))
	token, _ := n.SignIn("olga", "user")
	for _, ip := range []string{"203.0.113.7", "203.0.113.9"} { // the limit is the user's, not the address's
		header := webtest.Bearer(token)
		header.Set("X-Forwarded-For", ip)
		h.Do("GET", "/api/v1/session", "", header).Into(t, 200, new(any))
	}
	for _, path := range []string{"/", "/livez", "/readyz"} {
		if a := h.Do("GET", path, "", from("203.0.113.7")); a.Status != 200 {
			t.Errorf("%s is limited: %d", path, a.Status)
		}
	}
	// A role without tiers is not limited, which is not an error.
	free := webtest.Start(t, func(c *webtest.Config) { c.Rate = session.Rate{}; c.Redis = n.Redis })
	webtest.NewHTTPClient(t, free.Public).Do("GET", "/api/v1/symbols", "", nil).Into(t, 200, new(any))
}

// A panic in a handler becomes a 500, and the log has the id of its request.
func TestPanicIsNamed(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := n.Web.Framed(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of this test") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	id := w.Header().Get("X-Request-Id")
	if w.Code != 500 || id == "" || !strings.Contains(w.Body.String(), "urn:request:"+id) || strings.Contains(w.Body.String(), "of this test") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if log := n.Log.Lines("request panicked"); !strings.Contains(log, "request="+id) || !strings.Contains(log, "of this test") {
		t.Errorf("logged %q, want request %s", log, id)
	}
	n.Log.Reset() // else the end of the test takes it for an unexpected panic
}
