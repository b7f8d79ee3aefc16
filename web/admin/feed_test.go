package admin_test

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

type sourceInfo struct {
	Symbol, Source string
	Last           bool
	Accepted       *time.Time `json:"accepted_at"`
	Heard          *time.Time `json:"heard_at"`
	Outliers       int
}

// TestFeed asks for all symbols, for one symbol, and for one source.
func TestFeed(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	o := n.Operator()
	public := webtest.NewHTTPClient(t, n.Public)
	var all []struct {
		Symbol, Status, Bid, Source string
		Age                         *float64  `json:"age_seconds"`
		Accepted                    time.Time `json:"accepted_at"`
	}
	if o.Get("/api/v1/feed/symbols", &all); all == nil || len(all) != 0 {
		t.Errorf("no symbol yet: %+v", all)
	}
	o.Ask("GET", "/api/v1/feed/symbols/EUR/USD", "").Problem(t, 404)
	o.Ask("GET", "/api/v1/feed/symbols/FOO/BAR", "").Problem(t, 404)
	o.Ask("GET", "/api/v1/feed/sources/lmax", "").Problem(t, 404)
	for _, body := range []string{
		`{"symbol":"EUR/USD","bid":"1.0850","ask":"1.0851","source":"lmax"}`,
		`{"symbol":"EUR/USD","bid":"1.0851","ask":"1.0852","source":"Bank 1"}`,
		`{"symbol":"GBP/USD","bid":"1.2","ask":"1.3","source":"lmax"}`,
		`{"symbol":"EUR/USD","bid":"2","ask":"1","source":"lmax"}`,
		`{"symbol":"EUR/USD","bid":"0","ask":"1","source":"lmax"}`,
		`{"symbol":"EUR/CHF","bid":"0","ask":"1","source":"desk"}`,
	} {
		if a := public.Do("POST", "/api/v1/quotes", body, webtest.Bearer(webtest.PublishToken)); a.Status != 200 {
			t.Fatalf("%s: %d", body, a.Status)
		}
	}
	webtest.Eventually(t, "both symbols are listed", func() bool {
		o.Get("/api/v1/feed/symbols", &all)
		return len(all) == 2
	})
	if all[0].Symbol != "EUR/USD" || all[0].Bid != "1.0851" || all[0].Source != "bank_1" || all[0].Age == nil || time.Since(all[0].Accepted) > time.Minute {
		t.Errorf("all symbols: %+v", all)
	}
	var one struct {
		Symbol    string
		Last      *struct{ Bid, Source string }
		Accepted  int
		Reference *struct {
			Mid    string
			Quotes int
		}
		Sources  []sourceInfo
		Rejected map[string]map[string]int
	}
	o.Get("/api/v1/feed/symbols/EUR/USD", &one)
	if one.Last == nil || one.Last.Source != "bank_1" || one.Accepted != 2 || one.Reference == nil || one.Reference.Mid != "1.08515" || one.Reference.Quotes != 2 ||
		len(one.Sources) != 2 || !one.Sources[0].Last || one.Sources[1].Last || one.Sources[1].Source != "lmax" || one.Sources[1].Accepted == nil || one.Sources[1].Heard != nil {
		t.Errorf("a symbol: %+v", one)
	}
	if r := one.Rejected; len(r) != 1 || r["lmax"]["crossed"] != 1 || r["lmax"]["zero"] != 1 {
		t.Errorf("why quotes of it were rejected: %v", r)
	}
	one.Last = nil
	if o.Get("/api/v1/feed/symbols/EUR/CHF", &one); one.Last != nil || one.Symbol != "EUR/CHF" {
		t.Errorf("a symbol of which all was rejected: %+v", one)
	}
	var source struct {
		Source   string
		Symbols  []sourceInfo
		Rejected map[string]int
	}
	o.Get("/api/v1/feed/sources/LMAX", &source)
	if source.Source != "lmax" || len(source.Symbols) != 2 || source.Symbols[0].Symbol != "EUR/USD" || source.Symbols[0].Last || !source.Symbols[1].Last ||
		len(source.Rejected) != 2 || source.Rejected["zero"] != 1 {
		t.Errorf("a source: %+v", source)
	}
	n.Redis.Kill()
	o.Ask("GET", "/api/v1/feed/symbols/EUR/USD", "").Problem(t, 503)
	o.Ask("GET", "/api/v1/feed/sources/lmax", "").Problem(t, 503)
}
