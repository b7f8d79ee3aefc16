package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestPublishing posts quotes in every form, and with every mistake.
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
	// The rejections are counted, and kept for the admin API.
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
	webtest.Eventually(t, "a body that is refused as a whole is kept too", func() bool {
		a := admin.Do("GET", "/api/v1/feed/rejected", "", webtest.Bearer(webtest.AdminToken))
		return strings.Contains(a.Body, `"via":"http","input":"nonsense"`)
	})

	// The name of a token is the source of its quotes, even if they name another source.
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

// TestUntimedByHTTP publishes quotes without a time, without a zone, and with unreadable sizes.
// HTTP counts them as the other inputs do, and accepts the quotes.
func TestUntimedByHTTP(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	var answer struct{ Accepted int }
	webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/quotes", `[{"symbol":"EURUSD","price":1,"ts":"2020-01-01T00:00:00"},{"symbol":"EURUSD","price":1,"time":""},
		{"symbol":"EURUSD","price":1,"timestamp":null,"bid_size":-1},{"symbol":"EURUSD","price":1,"ask_size":"1e-9999999999"},
		{"symbol":"EURUSD","price":1,"ts":"`+time.Now().UTC().Format(time.RFC3339)+`","bid_size":"1e3"}]`, webtest.Bearer(webtest.PublishToken)).Into(t, 200, &answer)
	metrics := webtest.NewHTTPClient(t, n.Admin).Do("GET", "/metrics", "", nil).Body
	if answer.Accepted != 5 || !strings.Contains(metrics, "\nfx_feed_untimed_total 4\n") || !strings.Contains(metrics, "\nfx_feed_bad_sizes_total 2\n") {
		t.Errorf("%d accepted, want 5; 4 without a time, 2 bad sizes", answer.Accepted)
	}
}

// TestUnreplicatedByHTTP publishes without a replica: the answer lists the accepted quotes that no
// replica has. Without PUBLISH_ACK=replicated the answer has no such list.
func TestUnreplicatedByHTTP(t *testing.T) {
	t.Parallel()
	const body = `[{"symbol":"EURUSD","price":1},{"symbol":"EURUSD","price":-1},{"symbol":"USDJPY","price":150}]`
	n := webtest.Start(t, func(c *webtest.Config) { c.Replicated = true })
	got := webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/quotes", body, webtest.Bearer(webtest.PublishToken))
	if got.Status != 200 || !strings.Contains(got.Body, `"accepted":2,"rejected":[{"index":1,`) || !strings.HasSuffix(strings.TrimSpace(got.Body), `"unreplicated":[0,2]}`) {
		t.Errorf("without a replica: %d %s, want the quotes 0 and 2 unreplicated", got.Status, got.Body)
	}
	got = webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/quotes", `[]`, webtest.Bearer(webtest.PublishToken))
	if !strings.Contains(got.Body, `"unreplicated":[]`) {
		t.Errorf("no quotes: %s, want an empty list", got.Body)
	}
	if n.RDB.XLen(t.Context(), "fx:{EUR/USD}:ticks").Val() != 1 {
		t.Error("an unreplicated quote is not in the history")
	}
	plain := webtest.Start(t, func(c *webtest.Config) { c.Redis = n.Redis })
	got = webtest.NewHTTPClient(t, plain.Public).Do("POST", "/api/v1/quotes", body, webtest.Bearer(webtest.PublishToken))
	if got.Status != 200 || strings.Contains(got.Body, "unreplicated") {
		t.Errorf("PUBLISH_ACK=accepted: %d %s", got.Status, got.Body)
	}
}
