package web_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestOpenAPI tests that the document is valid OpenAPI 3.1 and describes exactly the routes. A
// real answer of every operation must match its description.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	public, admin := webtest.NewHTTPClient(t, n.Public), webtest.NewHTTPClient(t, n.Admin)
	served := public.Do("GET", "/openapi.json", "", nil)
	if served.Status != 200 || served.Header.Get("Content-Type") != "application/json" || served.Header.Get("ETag") == "" {
		t.Fatalf("openapi.json: %d %v", served.Status, served.Header)
	}
	if a := public.Do("GET", "/openapi.json", "", map[string][]string{"If-None-Match": {served.Header.Get("ETag")}}); a.Status != 304 || a.Body != "" {
		t.Errorf("second request: %d", a.Status)
	}
	publicRoutes, adminRoutes := n.Web.Routes()
	outside, err := openapi3.NewLoader().LoadFromData([]byte(served.Body))
	if err != nil {
		t.Fatal(err)
	}
	if err := outside.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for path, item := range outside.Paths.Map() {
		for method := range item.Operations() {
			if pattern := method + " " + path; pattern != "GET /" && !slices.Contains(publicRoutes, pattern) {
				t.Errorf("the public listener describes %s", pattern)
			}
		}
	}
	if strings.Contains(served.Body, "ADMIN_ADDR:") || strings.Contains(served.Body, "9090") || strings.Contains(served.Body, "/api/v1/redis") {
		t.Error("the public listener describes the admin API")
	}
	served = admin.Do("GET", "/openapi.json", "", webtest.Bearer(webtest.AdminToken))
	doc, err := openapi3.NewLoader().LoadFromData([]byte(served.Body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}

	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = false
		}
	}
	for _, pattern := range slices.Concat(publicRoutes, adminRoutes) {
		if strings.HasPrefix(pattern, "/debug/pprof/") { // net/http/pprof describes itself
			continue
		}
		if pattern == "/" {
			pattern = "GET /"
		}
		if _, ok := described[pattern]; !ok {
			t.Errorf("%s is not described", pattern)
		}
		described[pattern] = true
	}
	for name, is := range described {
		if !is {
			t.Errorf("%s is described, and not in a table", name)
		}
	}

	// Real answers.
	s := readSpec(t, served.Body)
	seen := map[string]bool{}
	pathOf := func(path string) string {
		path, _, _ = strings.Cut(path, "?")
		if s.root["paths"].(map[string]any)[path] != nil {
			return path
		}
		for known := range doc.Paths.Map() {
			pattern := "^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(known), "[^/]+") + "$"
			if known != "/" && regexp.MustCompile(pattern).MatchString(path) {
				return known
			}
		}
		t.Fatalf("no description of %s", path)
		return ""
	}
	call := func(status int, method, path, body, token string) webtest.Answer {
		t.Helper()
		on := public
		known := pathOf(path)
		if op := doc.Paths.Value(known).GetOperation(method); op.Servers != nil {
			on = admin
		}
		header := webtest.Bearer(token)
		if token == "" {
			header = nil
		}
		a := on.Do(method, path, body, header)
		if a.Status != status {
			t.Errorf("%s %s: %d %.300s, want %d", method, path, a.Status, a.Body, status)
			return a
		}
		if status < 400 {
			seen[method+" "+known] = true
		}
		kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
		where := []string{"paths", known, strings.ToLower(method), "responses", fmt.Sprint(status)}
		switch {
		case kind == "application/problem+json":
			response := doc.Paths.Value(known).GetOperation(method).Responses.Value(fmt.Sprint(status))
			if response == nil {
				t.Errorf("%s %s may answer %d, which is not described", method, known, status)
			}
			s.check(method+" "+path, "/components/schemas/Problem", a.Body)
		case kind == "application/json":
			s.check(method+" "+path, pointer(append(where, "content", kind, "schema")...), a.Body)
			if body != "" && status < 300 {
				s.check("the body of "+path, pointer("paths", known, strings.ToLower(method), "requestBody", "content", kind, "schema"), body)
			}
		case status != 204:
			response := doc.Paths.Value(known).GetOperation(method).Responses.Value(fmt.Sprint(status))
			if response == nil || response.Value.Content[kind] == nil {
				t.Errorf("%s %s answers %d %s, which is not described", method, known, status, kind)
			}
		}
		return a
	}
	token, sess := n.SignIn("lea", "user")
	c, welcome := n.Connect(token)
	call(200, "POST", "/api/v1/quotes", `[{"symbol":"EURUSD","bid":1.08450,"ask":"1.0846"},{"currency":"USD","bid":"2","ask":1,"ts":1700000000000}]`, webtest.PublishToken)
	webtest.Eventually(t, "the quote is here", func() bool { return n.LastQuotes() > 0 })
	webtest.Eventually(t, "the symbol is listed", func() bool { return call(200, "GET", "/api/v1/symbols", "", "").Body != "[]\n" })
	call(200, "GET", "/api/v1/quotes?symbols=*", "", token)
	call(400, "GET", "/api/v1/quotes?symbols=FOO/BAR", "", token)
	call(200, "GET", "/api/v1/quotes/EUR/USD/history?limit=5", "", token)
	call(404, "GET", "/api/v1/quotes/FOO/BAR/history", "", token)
	call(200, "GET", "/api/v1/quotes/EUR/USD/candles?interval=1d", "", token)
	call(200, "GET", "/api/v1/symbols", "", token)
	call(401, "GET", "/api/v1/quotes", "", "")
	call(401, "GET", "/api/v1/stream", "", "")
	call(426, "GET", "/ws", "", token)
	call(401, "POST", "/api/v1/quotes", "{}", token)
	guest := call(201, "POST", "/api/v1/session/guest", "", "")
	call(200, "POST", "/api/v1/session/guest", "", "") // its cookie is there now
	_ = guest
	call(200, "GET", "/api/v1/session", "", "")
	call(200, "POST", "/api/v1/ws-ticket", "", "")
	call(204, "DELETE", "/api/v1/session", "", "")
	other, _ := n.SignIn("max", "user")
	fresh := webtest.NewHTTPClient(t, n.Public)
	s.check("a bearer token for a cookie", pointer("paths", "/api/v1/session", "post", "responses", "200", "content", "application/json", "schema"),
		fresh.Do("POST", "/api/v1/session", "", webtest.Bearer(other)).Body)
	seen["POST /api/v1/session"] = true
	for _, path := range []string{"/livez", "/readyz", "/openapi.json", "/asyncapi.json", "/fx.proto", "/", "/metrics"} {
		call(200, "GET", path, "", "")
	}

	made := call(201, "POST", "/api/v1/sessions", `{"user_id":"123","role":"user","data":{"a":[1]},"ttl_seconds":60}`, webtest.AdminToken)
	call(400, "POST", "/api/v1/sessions", `{"user":"123"}`, webtest.AdminToken)
	call(413, "POST", "/api/v1/sessions", `{"user_id":"`+strings.Repeat("x", 70<<10)+`"}`, webtest.AdminToken)
	id := regexp.MustCompile(`"session_id":"(\w+)"`).FindStringSubmatch(made.Body)[1]
	call(200, "GET", "/api/v1/sessions?user_id=123", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/redis/session/"+sess.ID, "", webtest.AdminToken)
	call(404, "GET", "/api/v1/redis/session/none", "", webtest.AdminToken)
	call(401, "GET", "/api/v1/redis/session/none", "", token)
	call(200, "DELETE", "/api/v1/redis/session/"+id, "", webtest.AdminToken)
	call(200, "DELETE", "/api/v1/sessions?user_id=123", "", webtest.AdminToken)
	if err := n.RDB.ConfigSet(t.Context(), "slowlog-log-slower-than", "0").Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"health", "stats", "memory", "slowlog", "config", "cache/hit-ratio", "rate-limit/offenders"} {
		call(200, "GET", "/api/v1/redis/"+name, "", webtest.AdminToken)
	}
	call(400, "GET", "/api/v1/redis/slowlog?limit=0", "", webtest.AdminToken)
	call(200, "POST", "/api/v1/redis/cache/invalidate", `{"pattern":"*","namespace":"history"}`, webtest.AdminToken)
	call(200, "POST", "/api/v1/redis/pubsub/publish", `{"channel":"news","message":{"a":1}}`, webtest.AdminToken)
	for _, body := range []string{`{"key":"user:1","limit":1,"window_seconds":60}`, `{"key":"user:1","limit":1,"window_seconds":60,"cost":2,"peek":true}`} {
		call(200, "POST", "/api/v1/redis/rate-limit/check", body, webtest.AdminToken)
	}
	call(400, "POST", "/api/v1/redis/rate-limit/check", `{}`, webtest.AdminToken)
	call(200, "GET", "/api/v1/feed/symbols", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/feed/symbols/EUR/USD", "", webtest.AdminToken)
	call(404, "GET", "/api/v1/feed/symbols/FOO/USD", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/feed/sources/inbox", "", webtest.AdminToken)
	call(404, "GET", "/api/v1/feed/sources/none", "", webtest.AdminToken)
	call(200, "POST", "/api/v1/feed/reference", `{"symbol":"EUR/USD"}`, webtest.AdminToken)
	call(400, "POST", "/api/v1/feed/reference", `{"symbol":"FOO"}`, webtest.AdminToken)
	call(200, "DELETE", "/api/v1/symbols/EUR/USD", "", webtest.AdminToken)
	call(404, "DELETE", "/api/v1/symbols/EUR/USD", "", webtest.AdminToken)
	call(404, "DELETE", "/api/v1/symbols/FOO/USD", "", webtest.AdminToken)
	webtest.Eventually(t, "the rejected quote is listed", func() bool { return call(200, "GET", "/api/v1/feed/rejected", "", webtest.AdminToken).Body != "[]\n" })
	call(200, "GET", "/api/v1/metrics/history?range=24h", "", webtest.AdminToken)
	call(404, "GET", "/api/v1/metrics/history?node=none", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/connections", "", webtest.AdminToken)
	call(404, "DELETE", "/api/v1/connections/none", "", webtest.AdminToken)
	call(200, "DELETE", "/api/v1/connections/"+welcome.ConnID, "", webtest.AdminToken)
	c.WantClose(1008)
	for name := range described {
		if name != "GET /ws" && name != "GET /api/v1/stream" && !seen[name] { // those are described by AsyncAPI
			t.Errorf("no real answer of %s was tried", name)
		}
	}
	n.Redis.Kill()
	call(503, "GET", "/api/v1/redis/stats", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/redis/health", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/redis/cache/hit-ratio", "", webtest.AdminToken)
	call(200, "GET", "/api/v1/connections", "", webtest.AdminToken)
	webtest.Eventually(t, "it is not ready", func() bool { return public.Do("GET", "/readyz", "", nil).Status == 503 })
	call(503, "GET", "/readyz", "", "")
}
