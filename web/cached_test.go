package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestHistoryIsFresh tests that pages come from the cache and still have every quote that the
// node has sent to its clients.
func TestHistoryIsFresh(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	token, _ := n.SignIn("reader", "user")
	read := func(query string) (quotes []webtest.Quote) {
		t.Helper()
		h.Do("GET", "/api/v1/quotes/EUR/USD/history"+query, "", webtest.Bearer(token)).Into(t, 200, &quotes)
		return quotes
	}
	if got := read(""); got == nil || len(got) != 0 {
		t.Errorf("history of nothing: %v", got)
	}
	var middle time.Time
	const count = 150
	for i := 1; i <= count; i++ {
		n.Publish([3]string{"EUR/USD", fmt.Sprintf("1.%03d", i), "2"})
		if i == 120 {
			last, err := n.RDB.Time(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			middle = last.UTC()
			time.Sleep(2 * time.Millisecond) // stream ids have milliseconds
		}
		if i%10 != 0 {
			continue
		}
		webtest.Eventually(t, "the node has the quote", func() bool {
			q, err := n.Lasts.Quotes(t.Context(), []string{"EUR/USD"})
			return err == nil && len(q) == 1 && q[0].Seq == uint64(i)
		})
		for range 3 {
			for query, want := range map[string]int{"": min(i, 100), "?limit=7": 7, "?limit=1000": i, "?limit=10000": i} {
				got := read(query)
				if len(got) != want || got[len(got)-1].Seq != uint64(i) || got[0].Seq != uint64(i-want+1) {
					t.Fatalf("%q after %d: %d quotes, from %d to %d", query, i, len(got), got[0].Seq, got[len(got)-1].Seq)
				}
			}
		}
	}
	at := middle.Format(time.RFC3339Nano)
	for query, want := range map[string][2]uint64{
		"?since=" + at: {121, count}, "?limit=5&since=" + at: {146, count}, "?limit=1000&since=" + at: {121, count}, "?limit=10000&since=" + at: {121, count},
		"?limit=120&since=2020-01-01T00:00:00Z": {31, count}, "?limit=100&since=2020-01-01T00:00:00Z": {51, count},
	} {
		if got := read(query); len(got) == 0 || got[0].Seq != want[0] || got[len(got)-1].Seq != want[1] || len(got) != int(want[1]-want[0]+1) {
			t.Errorf("%q: %d quotes, want from %d to %d", query, len(got), want[0], want[1])
		}
	}
	if got := read("?since=2100-01-01T00:00:00Z"); got == nil || len(got) != 0 {
		t.Errorf("since tomorrow: %v", got)
	}
	namespaces, _ := n.Cache.Stats()
	if s := namespaces["history"]; s.Hits == 0 || s.Misses == 0 {
		t.Errorf("the cache was not used: %+v", s)
	}
}

// TestSymbolsCached tests that the list is at most a second old, and that it survives the loss of
// Redis if the symbols are subscribed to.
func TestSymbolsCached(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	var symbols []struct{ Symbol string }
	list := func() int {
		t.Helper()
		h.Do("GET", "/api/v1/symbols", "", nil).Into(t, 200, &symbols)
		return len(symbols)
	}
	n.User().Say(`{"op":"subscribe","symbols":["*"]}`)
	for range 5 {
		if got := list(); got != 0 {
			t.Fatalf("%d symbols of none", got)
		}
	}
	n.Publish([3]string{"EUR/USD", "1", "2"})
	webtest.Eventually(t, "the node has the quote", func() bool { return n.LastQuotes() == 1 })
	heard := time.Now()
	webtest.Eventually(t, "the list has it", func() bool { return list() == 1 })
	if d := time.Since(heard); d > 20*time.Second { // a second, but for a busy machine
		t.Errorf("the list was %v old", d)
	}
	for range 5 {
		list()
	}
	namespaces, _ := n.Cache.Stats()
	if s := namespaces["symbols"]; s.Hits == 0 {
		t.Errorf("the cache was not used: %+v", s)
	}
	n.Redis.Kill()
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if got := list(); got != 1 {
			t.Fatalf("%d symbols without Redis", got)
		}
	}
}

// The parameter since accepts the times that every other input accepts: RFC 3339 with a zone, or
// Unix time.
func TestHistorySinceUnixTime(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	token, _ := n.SignIn("reader", "user")
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	now, err := n.RDB.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[time.Duration]int{-time.Minute: 1, time.Minute: 0} {
		at := now.UTC().Add(offset)
		for _, since := range []string{fmt.Sprint(at.UnixMilli()), fmt.Sprint(at.Unix()), fmt.Sprint(at.UnixNano()), at.Format(time.RFC3339Nano)} {
			var quotes []webtest.Quote
			h.Do("GET", "/api/v1/quotes/EUR/USD/history?since="+since, "", webtest.Bearer(token)).Into(t, 200, &quotes)
			if len(quotes) != want {
				t.Errorf("since %s: %d quotes, want %d", since, len(quotes), want)
			}
		}
	}
	for _, since := range []string{"yesterday", "2026-11-22T10:15:00", "2026-11-22"} {
		if p := h.Do("GET", "/api/v1/quotes/EUR/USD/history?since="+since, "", webtest.Bearer(token)).Problem(t, 400); !strings.Contains(p.Detail, "since") {
			t.Errorf("since %s: %s", since, p.Detail)
		}
	}
}
