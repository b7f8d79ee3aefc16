package web_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestQuotesAndSymbols reads published quotes and their symbols.
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
