package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestCandleRequests asks for candles in every wrong way.
func TestCandleRequests(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Roles = `{"basic":{"symbols":["EUR/*"]}}` })
	h := webtest.NewHTTPClient(t, n.Public)
	token, _ := n.SignIn("dan", "basic")
	for _, c := range []struct {
		path   string
		token  string
		status int
		detail string
	}{
		{"EUR/USD/candles", "", 401, ""},
		{"USD/JPY/candles", token, 403, "the session's role does not include this symbol"},
		{"FOO/BAR/candles", token, 404, ""},
		{"EUR/USD/candles?interval=2m", token, 400, "interval: want one of 1m, 5m, 15m, 1h, 4h, 1d"},
		{"EUR/USD/candles?limit=0", token, 400, "limit: want 1 to 1000"},
		{"EUR/USD/candles?limit=1001", token, 400, "limit: want 1 to 1000"},
		{"EUR/USD/candles?limit=x", token, 400, "limit: want 1 to 1000"},
		{"EUR/USD/candles?before=yesterday", token, 400, "before: want a time such as 2026-11-22T10:15:00Z, or a Unix time"},
	} {
		header := webtest.Bearer(c.token)
		if c.token == "" {
			header = nil
		}
		a := h.Do("GET", "/api/v1/quotes/"+c.path, "", header)
		if p := a.Problem(t, c.status); c.detail != "" && p.Detail != c.detail {
			t.Errorf("%s: %q, want %q", c.path, p.Detail, c.detail)
		}
	}
	a := h.Do("GET", "/api/v1/quotes/eur/usd/candles?interval=1d&limit=1000&before=2026-11-22T10:15:00Z", "", webtest.Bearer(token))
	if a.Status != 200 || strings.TrimSpace(a.Body) != "[]" || a.Header.Get("RateLimit") == "" {
		t.Errorf("without a candle: %d %q %v", a.Status, a.Body, a.Header)
	}
}

// A removed symbol is at once neither listed nor in the day figures, although both are cached.
func TestRemovedSymbolIsNotListed(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	public, admin := webtest.NewHTTPClient(t, n.Public), webtest.NewHTTPClient(t, n.Admin)
	token, _ := n.SignIn("dan", "basic")
	n.Publish([3]string{"EUR/USD", "1.1000", "1.1060"}, [3]string{"GBP/USD", "1.25", "1.26"})
	list := func(header http.Header) (names []string) {
		t.Helper()
		var symbols []struct{ Symbol string }
		public.Do("GET", "/api/v1/symbols", "", header).Into(t, 200, &symbols)
		for _, s := range symbols {
			names = append(names, s.Symbol)
		}
		return names
	}
	webtest.Eventually(t, "both symbols", func() bool { return len(list(nil)) == 2 })
	list(webtest.Bearer(token)) // now all is cached
	if a := admin.Do("DELETE", "/api/v1/symbols/GBP/USD", "", webtest.Bearer(webtest.AdminToken)); a.Status != 200 {
		t.Fatalf("DELETE: %d %s", a.Status, a.Body)
	}
	for _, header := range []http.Header{nil, webtest.Bearer(token)} {
		if names := list(header); !slices.Equal(names, []string{"EUR/USD"}) {
			t.Errorf("after the removal of GBP/USD: %q", names)
		}
	}
}

// TestCandlesAndDay reads the running candles, and the day figures of the symbols that the role
// includes.
func TestCandlesAndDay(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Roles = `{"basic":{"symbols":["EUR/*"]}}` })
	h := webtest.NewHTTPClient(t, n.Public)
	token, _ := n.SignIn("dan", "basic")
	for _, bid := range []string{"1.1000", "1.105", "1.10"} {
		n.Publish([3]string{"EUR/USD", bid, "1.1060"}, [3]string{"GBP/USD", "1.25", "1.26"})
	}
	type candle struct {
		Start          time.Time `json:"t"`
		Bid, Ask       []string
		Ticks          int
		Complete, Open bool
	}
	for _, interval := range protocol.Intervals() {
		var candles []candle
		h.Do("GET", "/api/v1/quotes/EUR/USD/candles?interval="+interval, "", webtest.Bearer(token)).Into(t, 200, &candles)
		ticks := 0
		for _, c := range candles { // two, if the interval has just ended
			ticks += c.Ticks
		}
		last := candles[len(candles)-1]
		if ticks != 3 || !last.Open || last.Bid[3] != "1.10" || last.Ask[0] != "1.1060" {
			t.Errorf("%s: %+v", interval, candles)
		}
		var before []candle
		h.Do("GET", "/api/v1/quotes/EUR/USD/candles?interval="+interval+"&before="+last.Start.Format(time.RFC3339), "", webtest.Bearer(token)).Into(t, 200, &before)
		if len(before) != len(candles)-1 {
			t.Errorf("%s before %v: %+v", interval, last.Start, before)
		}
	}

	type symbol struct {
		Symbol string
		Day    *struct {
			Since           time.Time
			Open, High, Low string
			PreviousClose   *string `json:"previous_close"`
		}
	}
	var all []symbol
	webtest.Eventually(t, "the symbols are listed", func() bool {
		h.Do("GET", "/api/v1/symbols", "", nil).Into(t, 200, &all)
		return len(all) == 2
	})
	if len(all) != 2 || all[0].Day != nil || all[1].Day != nil {
		t.Errorf("without a session: %+v", all)
	}
	h.Do("GET", "/api/v1/symbols", "", webtest.Bearer(token)).Into(t, 200, &all)
	if len(all) != 2 || all[0].Symbol != "EUR/USD" || all[0].Day == nil || all[1].Day != nil {
		t.Fatalf("with a session: %+v", all)
	}
	if d := all[0].Day; d.Open != "1.1000" || d.High != "1.105" || d.Low != "1.1000" || d.PreviousClose != nil || time.Since(d.Since) > 25*time.Hour {
		t.Errorf("day: %+v", d)
	}
}
