package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestQuotesAndSymbols reads what was published.
func TestQuotesAndSymbols(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	var symbols []struct {
		Symbol, Pip, Status, TS string
		Digits                  int
	}
	h.Do("GET", "/api/v1/symbols", "", nil).Into(t, 200, &symbols)
	if symbols == nil || len(symbols) != 0 {
		t.Errorf("symbols before any quote: %v, want []", symbols)
	}
	n.Publish([3]string{"USD/JPY", "151.20", "151.210"}, [3]string{"EUR/USD", "1.08450", "1.0846"})
	webtest.Eventually(t, "the quotes are here", func() bool { return n.LastQuotes() == 2 })
	webtest.Eventually(t, "the list of symbols, at most a second old, has both", func() bool {
		h.Do("GET", "/api/v1/symbols", "", nil).Into(t, 200, &symbols)
		return len(symbols) > 0
	})
	if len(symbols) != 2 || symbols[0].Symbol != "EUR/USD" || symbols[0].Digits != 5 || symbols[0].Pip != "0.0001" || symbols[0].Status != "live" || symbols[0].TS == "" ||
		symbols[1].Symbol != "USD/JPY" || symbols[1].Digits != 3 || symbols[1].Pip != "0.01" {
		t.Errorf("symbols: %+v", symbols)
	}
	h.Do("GET", "/api/v1/quotes", "", nil).Problem(t, 401)
	token, _ := n.SignIn("lea", "user")
	for query, want := range map[string][]string{
		"":                             {"EUR/USD", "USD/JPY"},
		"?symbols=":                    {"EUR/USD", "USD/JPY"},
		"?symbols=eurusd":              {"EUR/USD"},
		"?symbols=*/JPY,GBP/*":         {"USD/JPY"},
		"?symbols=EUR/USD&symbols=*":   {"EUR/USD", "USD/JPY"},
		"?symbols=CHF/SEK":             {},
		"?symbols=EUR%2FUSD,%20USDJPY": {"EUR/USD", "USD/JPY"},
	} {
		var quotes []webtest.Quote
		h.Do("GET", "/api/v1/quotes"+query, "", webtest.Bearer(token)).Into(t, 200, &quotes)
		got := []string{}
		for _, q := range quotes {
			got = append(got, q.Symbol)
			if q.Epoch == "" || q.Seq != 1 || q.Symbol == "EUR/USD" && (q.Bid != "1.08450" || q.Ask != "1.0846") {
				t.Errorf("%q: %+v", query, q)
			}
		}
		if quotes == nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	if p := h.Do("GET", "/api/v1/quotes?symbols=FOO/BAR", "", webtest.Bearer(token)).Problem(t, 400); !strings.Contains(p.Detail, "FOO") {
		t.Errorf("an unknown symbol: %+v", p)
	}
	h.Do("GET", "/api/v1/quotes?symbols="+strings.Repeat("EURUSD,", 201), "", webtest.Bearer(token)).Problem(t, 400)
}

// TestSessionEndpoints goes from a guest to nobody.
func TestSessionEndpoints(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("GET", "/api/v1/session", "", nil).Problem(t, 401)
	h.Do("POST", "/api/v1/ws-ticket", "", nil).Problem(t, 401)
	var guest, again webtest.SessionAnswer
	a := h.Do("POST", "/api/v1/session/guest", "", nil)
	a.Into(t, 201, &guest)
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"session_id=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %q lacks %s", cookie, part)
		}
	}
	if strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %q is Secure without TLS", cookie)
	}
	if guest.Role != "guest" || guest.UserID == "" || guest.ID == "" || guest.Token != "" || strings.Contains(a.Body, strings.Split(strings.TrimPrefix(cookie, "session_id="), ";")[0]) {
		t.Errorf("guest: %s", a.Body)
	}
	h.Do("POST", "/api/v1/session/guest", "", nil).Into(t, 200, &again)
	if again.ID != guest.ID {
		t.Error("a guest who asks again gets another session")
	}
	h.Do("GET", "/api/v1/session", "", nil).Into(t, 200, &again)
	if again.ID != guest.ID {
		t.Errorf("session: %+v", again)
	}
	var other webtest.SessionAnswer
	webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/session/guest", "", nil).Into(t, 201, &other)
	if other.UserID == guest.UserID {
		t.Error("two guests are one user")
	}
	// Sign out; doing it twice is no fault.
	for range 2 {
		a = h.Do("DELETE", "/api/v1/session", "", nil)
		if a.Status != 204 || !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("sign out: %d %v", a.Status, a.Header)
		}
	}
	h.Do("GET", "/api/v1/session", "", http.Header{"Cookie": {cookie}}).Problem(t, 401)

	// A bearer token becomes a cookie, with a new id.
	token, sess := n.SignIn("mia", "user")
	var renewed webtest.SessionAnswer
	a = h.Do("POST", "/api/v1/session", "", webtest.Bearer(token))
	a.Into(t, 200, &renewed)
	if renewed.ID == sess.ID || renewed.UserID != "mia" {
		t.Errorf("renewed: %+v", renewed)
	}
	h.Do("GET", "/api/v1/session", "", nil).Into(t, 200, &again)
	if again.ID != renewed.ID {
		t.Errorf("by cookie: %+v, want %s", again, renewed.ID)
	}
	h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)).Problem(t, 401)
	h.Do("POST", "/api/v1/session", "", nil).Problem(t, 401) // the cookie alone does not renew

	off := webtest.Start(t, func(c *webtest.Config) { c.NoGuests = true; c.TLS = true; c.Redis = n.Redis })
	secure := webtest.NewHTTPClient(t, off.Public)
	secure.Do("POST", "/api/v1/session/guest", "", nil).Problem(t, 403)
	token, _ = off.SignIn("mia", "user")
	if c := secure.Do("POST", "/api/v1/session", "", webtest.Bearer(token)).Header.Get("Set-Cookie"); !strings.Contains(c, "Secure") {
		t.Errorf("cookie %q is not Secure under TLS", c)
	}
}

// TestPublishing posts quotes in each form and each mistake.
func TestPublishing(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.PublishPerSecond = 2000 })
	h := webtest.NewHTTPClient(t, n.Public)
	type result struct {
		Accepted int
		Rejected []struct {
			Index   int
			Reason  feed.Reason
			Message string
		}
	}
	post := func(body string, token string) result {
		t.Helper()
		var r result
		h.Do("POST", "/api/v1/quotes", body, webtest.Bearer(token)).Into(t, 200, &r)
		if r.Rejected == nil {
			t.Errorf("%.60s: rejected is null", body)
		}
		return r
	}
	for body, want := range map[string]int{
		`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513"}`:                                  1,
		`{"currency":"USD","price":1.2345,"timestamp":"2020-01-01T00:00:00"}`:                   1,
		` [ {"pair":"GBPUSD","bid":1.27,"ask":1.2701}, {"symbol":"USD_JPY","price":"151.2"} ] `: 2,
		"{\"symbol\":\"AUDUSD\",\"price\":1}\n\n{\"symbol\":\"NZDUSD\",\"price\":1}\r\n":        2,
		`[]`: 0,
	} {
		if r := post(body, webtest.PublishToken); r.Accepted != want || len(r.Rejected) != 0 {
			t.Errorf("%.60s: %+v, want %d accepted", body, r, want)
		}
	}
	ahead := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	r := post(`[{"symbol":"EUR/CHF","bid":"1","ask":"1.1"},{"symbol":"EUR/CHF","bid":"2","ask":"1"},{"symbol":"EUR/CHF","price":1,"ts":"`+ahead+`"},
		17,{"symbol":"XXX/YYY","price":1},{"symbol":"EUR/CHF","bid":-1,"ask":1},{"symbol":"EUR/CHF","bid":0,"ask":1},{"symbol":"EUR/CHF","bid":1e400,"ask":1},
		{"symbol":"EUR/CHF","bid":"NaN","ask":"1"},{"symbol":"EUR/CHF"},{"symbol":"EUR/CHF","bid":"1.2","ask":"1.3"}]`, webtest.PublishToken)
	want := []feed.Reason{"", "crossed", "future", "bad_json", "unknown_symbol", "negative", "zero", "", "not_a_number", "missing_price"}
	if r.Accepted != 2 || len(r.Rejected) != 9 {
		t.Errorf("mixed: %+v", r)
	}
	for i, rej := range r.Rejected {
		if rej.Index != i+1 || want[i+1] != "" && rej.Reason != want[i+1] || rej.Message == "" {
			t.Errorf("rejected %d: %+v, want index %d and %s", i, rej, i+1, want[i+1])
		}
	}
	// They are counted and kept for the admin view.
	admin := webtest.NewHTTPClient(t, n.Admin)
	webtest.Eventually(t, "the rejections are kept", func() bool {
		a := admin.Do("GET", "/api/v1/feed/rejected", "", webtest.Bearer(webtest.AdminToken))
		return a.Status == 200 && strings.Contains(a.Body, "crossed") && strings.Contains(a.Body, "future")
	})

	for _, tc := range []struct {
		body, token string
		status      int
	}{
		{`{"symbol":"EUR/USD","price":1}`, "", 401},
		{`{"symbol":"EUR/USD","price":1}`, "wrong", 401},
		{`{"symbol":"EUR/USD","price":1}`, webtest.AdminToken, 401},
		{`{"symbol":"EUR/USD","price":1}`, webtest.PublishToken[:len(webtest.PublishToken)-1], 401},
		{"", webtest.PublishToken, 400},
		{"   ", webtest.PublishToken, 400},
		{"nonsense", webtest.PublishToken, 400},
		{`[{"symbol":"EUR/USD"`, webtest.PublishToken, 400},
		{`[1,2] x`, webtest.PublishToken, 400},
		{`[` + strings.Repeat(" ", 1<<20) + `]`, webtest.PublishToken, 413},
		{"[" + strings.Repeat("1,", 5000) + "1]", webtest.PublishToken, 429},
	} {
		a := h.Do("POST", "/api/v1/quotes", tc.body, webtest.Bearer(tc.token))
		a.Problem(t, tc.status)
		if tc.status == 401 && a.Header.Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
	}

	// The name of a token is the source of its quotes, whatever they say.
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	if r := post(`{"symbol":"USD/CAD","bid":"1.3","ask":"1.4","source":"someone"}`, webtest.NamedToken); r.Accepted != 1 {
		t.Errorf("with a named token: %+v", r)
	}
	if got := n.RDB.Get(t.Context(), "fx:{USD/CAD}:quote").Val(); !strings.Contains(got, `"source":"bank"`) {
		t.Errorf("in Redis: %s", got)
	}

	off := webtest.Start(t, func(c *webtest.Config) { c.NoTokens = true; c.Redis = n.Redis })
	for _, token := range []string{"", webtest.PublishToken} {
		if p := webtest.NewHTTPClient(t, off.Public).Do("POST", "/api/v1/quotes", `{}`, webtest.Bearer(token)).Problem(t, 403); !strings.Contains(p.Detail, "PUBLISH_TOKEN") {
			t.Errorf("without a token configured: %+v", p)
		}
		if p := webtest.NewHTTPClient(t, off.Admin).Do("GET", "/api/v1/feed/rejected", "", webtest.Bearer(token)).Problem(t, 403); !strings.Contains(p.Detail, "ADMIN_TOKEN") {
			t.Errorf("without an admin token configured: %+v", p)
		}
	}
}

// TestOtherSites wants no other site to make a browser act, and listed origins to
// work without cookies.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Origins = []string{"https://app.example"} })
	h := webtest.NewHTTPClient(t, n.Public)
	var guest webtest.SessionAnswer
	h.Do("POST", "/api/v1/session/guest", "", nil).Into(t, 201, &guest)
	host := n.Public.URL
	for name, tc := range map[string]struct {
		header http.Header
		ok     bool
	}{
		"no browser":         {nil, true},
		"same origin":        {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {host}}, true},
		"typed":              {http.Header{"Sec-Fetch-Site": {"none"}}, true},
		"old browser, same":  {http.Header{"Origin": {host}}, true},
		"cross-site":         {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, false},
		"same-site":          {http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.example"}}, false},
		"cross-site, hidden": {http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		"null":               {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}}, false},
		"old browser, other": {http.Header{"Origin": {"https://evil.example"}}, false},
	} {
		for _, call := range [][2]string{{"POST", "/api/v1/ws-ticket"}, {"POST", "/api/v1/session/guest"}, {"POST", "/api/v1/quotes"}, {"DELETE", "/api/v1/nothing"}, {"POST", "/"}} {
			a := h.Do(call[0], call[1], "", tc.header)
			if refused := a.Status == 403 && strings.Contains(a.Body, "another site"); refused == tc.ok {
				t.Errorf("%s: %s %s: %d %s", name, call[0], call[1], a.Status, a.Body)
			}
			if a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: gets CORS", name)
			}
		}
		if a := h.Do("GET", "/api/v1/symbols", "", tc.header); a.Status != 200 {
			t.Errorf("%s: reading: %d", name, a.Status)
		}
	}
	// A listed origin: CORS, by bearer token; its cookies are not believed.
	listed := http.Header{"Origin": {"https://app.example"}, "Sec-Fetch-Site": {"cross-site"}}
	a := h.Do("OPTIONS", "/api/v1/quotes", "", http.Header{"Origin": listed["Origin"], "Access-Control-Request-Method": {"POST"}})
	if a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST") || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", a.Status, a.Header)
	}
	a = h.Do("GET", "/api/v1/session", "", listed)
	a.Problem(t, 401)
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("a listed origin's 401 can not be read by its page: %v", a.Header)
	}
	token, sess := n.SignIn("nina", "user")
	listed.Set("Authorization", "Bearer "+token)
	var got webtest.SessionAnswer
	if h.Do("GET", "/api/v1/session", "", listed).Into(t, 200, &got); got.ID != sess.ID {
		t.Errorf("a listed origin with a bearer token: %+v", got)
	}
	h.Do("POST", "/api/v1/ws-ticket", "", listed).Into(t, 200, new(any))
	a = h.Do("OPTIONS", "/api/v1/quotes", "", http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}})
	if a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin gets CORS")
	}
	for _, path := range []string{"/", "/ws", "/livez"} {
		if a := h.Do("GET", path, "", listed); a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s gets CORS", path)
		}
	}
	if a := h.Do("GET", "/", "", nil); a.Header.Get("Content-Security-Policy") == "" {
		t.Error("the page has no Content-Security-Policy")
	}
}

// TestEveryAnswer wants problems and headers on whatever is asked.
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
	// What the admin listener has, the public one has not, with or without token.
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile", "/debug/pprof/symbol", "/debug/pprof/trace",
		"/api/v1/sessions", "/api/v1/sessions?user_id=a", "/api/v1/redis/session/abc", "/api/v1/redis/stats", "/api/v1/redis/health", "/api/v1/redis/cache/invalidate",
		"/api/v1/redis/rate-limit/check", "/api/v1/redis/pubsub/publish", "/api/v1/redis/memory", "/api/v1/redis/slowlog", "/api/v1/redis/config",
		"/api/v1/connections", "/api/v1/connections/x", "/api/v1/feed/rejected"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			status := 404
			if method != "GET" && !strings.HasPrefix(path, "/api/") {
				status = 405 // the page's path answers to GET alone
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
			t.Errorf("%s: the answer tells what serves it", c.path)
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

// TestReadiness pauses Redis: not ready within 4 s, ready again when it is back,
// live all the time.
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
		if d := time.Since(asked); d > time.Second {
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
		if time.Since(paused) > 4500*time.Millisecond {
			t.Fatal("still ready 4.5 s after Redis stopped answering")
		}
		time.Sleep(50 * time.Millisecond)
	}
	webtest.NewHTTPClient(t, n.Admin).Do("GET", "/readyz", "", nil).Into(t, 503, &body)
	n.Redis.Resume()
	webtest.Eventually(t, "it is ready again", func() bool { return h.Do("GET", "/readyz", "", nil).Status == 200 })
}

// TestMetrics has promlint read what the node tells after some use.
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
	for _, line := range []string{`fx_web_upgrades_total{outcome="accepted"} 1`, `fx_web_command_errors_total{code="bad_field"} 1`, `fx_web_requests_total{class="4xx"} 1`, `fx_hub_clients 1`, `fx_web_panics_total 0`} {
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

// TestRequestLimits limits strangers by address, and users by user.
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
	for _, ip := range []string{"203.0.113.7", "203.0.113.9"} { // the user's, not the address's
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
