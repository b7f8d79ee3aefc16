package admin_test

import (
	"net/url"
	"testing"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestRejectedChosen filters the rejected quotes by reason, symbol and source.
func TestRejectedChosen(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	o := n.Operator()
	public := webtest.NewHTTPClient(t, n.Public)
	for _, body := range []string{
		`{"symbol":"EUR/USD","bid":"2","ask":"1","source":"lmax"}`,
		`{"symbol":"EUR/USD","bid":"0","ask":"1","source":"lmax"}`,
		`{"symbol":"GBP/USD","bid":"2","ask":"1","source":"Desk 1"}`,
		`{"symbol":"GBP/FOO","bid":"2","ask":"1","source":"lmax"}`,
	} {
		if a := public.Do("POST", "/api/v1/quotes", body, webtest.Bearer(webtest.PublishToken)); a.Status != 200 {
			t.Fatalf("%s: %d", body, a.Status)
		}
	}
	for query, want := range map[string]int{
		"": 4, "reason=crossed": 2, "symbol=EUR/USD": 2, "symbol=eurusd": 2, "symbol=USD/JPY": 0,
		"source=lmax": 3, "source=LMAX": 3, "source=" + url.QueryEscape("Desk 1"): 1,
		"reason=crossed&symbol=GBPUSD": 1, "reason=crossed&symbol=EUR_USD&source=lmax": 1, "reason=zero&source=desk_1": 0,
		"reason=&symbol=&source=": 4,
	} {
		var got []struct {
			Reason feed.Reason
			Symbol feed.Symbol
			Source string
		}
		o.Get("/api/v1/feed/rejected?"+query, &got)
		if len(got) != want || got == nil {
			t.Errorf("?%s: %+v, want %d", query, got, want)
		}
	}
}
