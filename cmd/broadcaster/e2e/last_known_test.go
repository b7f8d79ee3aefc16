package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A knownQuote is what a door gives of a last known price.
type knownQuote struct {
	Symbol, Bid, Epoch, Status string
	Seq                        uint64
	BidSize                    string `json:"bid_size"`
}

// TestLastKnownPrice lets quotes expire and looks at every door of two nodes: the last prices are
// there, stale or closed and never live, after a restart of a node and of Redis too, until the
// symbol is removed.
func TestLastKnownPrice(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t, redistest.Durable...)
	later := time.Now().UTC().AddDate(0, 0, 2).Weekday().String()[:3]
	settings := []string{"QUOTE_TTL=700ms", "STALE_AFTER=500ms", "HISTORY_TICKS=0", fmt.Sprintf(
		`INSTRUMENTS={"EUR/USD":{"hours":"always"},"GBP/USD":{"hours":{"open":"%s 00:00","close":"%[1]s 00:01","zone":"UTC"}}}`, later)}
	one, two := startNode(t, r, settings...), startNode(t, r, settings...)
	user := one.signIn("ann", "user")
	early, _ := one.connect(user.Token)
	early.say(`{"op":"subscribe","id":1,"symbols":["*"]}`)
	early.until("ack")
	var accepted struct{ Accepted int }
	one.do("POST", one.public+"/api/v1/quotes", `[{"symbol":"EUR/USD","bid":"1.08450","ask":"1.0846"},{"symbol":"GBP/USD","bid":"1.3","ask":"1.3"},
		{"symbol":"EUR/USD","bid":"1.08451","ask":"1.0846","bid_size":"1000"}]`, bearer(pubToken)).into(t, 200, &accepted)
	if accepted.Accepted != 3 {
		t.Fatalf("%d accepted, want 3", accepted.Accepted)
	}
	want := map[string]string{"EUR/USD": "stale", "GBP/USD": "closed"}
	for got := map[string]string{}; got["EUR/USD"] != "stale" || got["GBP/USD"] != "closed"; {
		m := early.until("status")
		got[m.Symbol] = m.Status
	}
	expired := func() bool {
		return one.rdb.Exists(t.Context(), "fx:{EUR/USD}:quote", "fx:{GBP/USD}:quote").Val() == 0
	}
	programtest.Eventually(t, "the quotes expire", expired)
	last := checkKnown(t, one, user.Token, want)
	checkKnown(t, two, user.Token, want)

	two.stop()
	two = startNode(t, r, settings...)
	if got := checkKnown(t, two, user.Token, want); got != last {
		t.Errorf("after a restart of a node: %+v, want %+v", got, last)
	}
	r.Kill()
	r.Restart()
	programtest.Eventually(t, "both nodes are ready again", func() bool { return one.readyStatus() == 200 && two.readyStatus() == 200 })
	checkKnown(t, one, user.Token, want)
	checkKnown(t, two, user.Token, want)

	// A client that was away over the quiet time goes on where it stood.
	every, _ := two.connect(user.Token)
	every.say(fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":%d}}}`, last.Epoch, last.Seq))
	every.until("ack")
	if m := every.until("resumed"); m.Symbol != "EUR/USD" {
		t.Errorf("resumed: %s", m.raw)
	}
	if m := every.until("status"); m.Status != "stale" {
		t.Errorf("after resumed: %s, want stale", m.raw)
	}

	checkRemoval(t, one, two, "EUR/USD", user.Token, early, every)
	checkKnown(t, two, user.Token, map[string]string{"GBP/USD": "closed"})
	for _, path := range []string{"/api/v1/symbols/EUR/USD", "/api/v1/symbols/FOO/BAR"} {
		if a := two.do("DELETE", two.admin+path, "", bearer(adminToken)); a.status != 404 {
			t.Errorf("DELETE %s: %d %s, want 404", path, a.status, a.body)
		}
	}
	if a := two.do("DELETE", two.admin+"/api/v1/symbols/GBP/USD", "", bearer(user.Token)); a.status != 401 {
		t.Errorf("DELETE without the admin token: %d", a.status)
	}
	if log := one.log.String(); !strings.Contains(log, `change="symbol removed" of.symbol=EUR/USD result=done`) {
		t.Error("the removal is not audited")
	}
}

// checkKnown wants these statuses of exactly these symbols at every door, and returns the quote of
// EUR/USD.
func checkKnown(t *testing.T, n *testNode, token string, want map[string]string) knownQuote {
	t.Helper()
	found := map[string]knownQuote{}
	compare := func(door string, quotes []knownQuote) {
		t.Helper()
		got := map[string]string{}
		for _, q := range quotes {
			got[q.Symbol] = q.Status
			if before, ok := found[q.Symbol]; ok && q != before {
				t.Errorf("%s: %+v, another door had %+v", door, q, before)
			}
			found[q.Symbol] = q
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", door, got, want)
		}
	}
	var quotes []knownQuote
	n.do("GET", n.public+"/api/v1/quotes", "", bearer(token)).into(t, 200, &quotes)
	compare("GET /quotes", quotes)
	programtest.Eventually(t, "the list of symbols", func() bool { // it may be a second old
		var symbols []struct{ Symbol, Status, TS string }
		n.do("GET", n.public+"/api/v1/symbols", "", nil).into(t, 200, &symbols)
		got := map[string]string{}
		for _, s := range symbols {
			got[s.Symbol] = s.Status
		}
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
	var names []string
	for s := range want {
		names = append(names, s)
	}
	list, _ := json.Marshal(names)
	for _, mode := range []string{"latest", "all"} {
		k, _ := n.connect(token)
		k.say(fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":%s,"mode":%q}`, list, mode))
		quotes = nil
		for len(quotes) < len(want) {
			var m struct{ Data []knownQuote }
			if err := json.Unmarshal([]byte(k.until("snapshot").raw), &m); err != nil {
				t.Fatal(err)
			}
			quotes = append(quotes, m.Data...)
		}
		compare("WebSocket, mode "+mode, quotes)
	}
	compare("event stream", streamSnapshot(t, n, token, names))
	return found["EUR/USD"]
}

// streamSnapshot reads the first quotes of an event stream.
func streamSnapshot(t *testing.T, n *testNode, token string, symbols []string) (quotes []knownQuote) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", n.public+"/api/v1/stream?symbols="+url.QueryEscape(strings.Join(symbols, ",")), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = bearer(token)
	resp, err := n.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); len(quotes) < len(symbols) && lines.Scan(); {
		var m struct {
			Type string
			Data []knownQuote
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(text), &m) == nil && m.Type == "snapshot" {
			quotes = append(quotes, m.Data...)
		}
	}
	return quotes
}

// checkRemoval removes a symbol through one node. Subscribers of all nodes get the status unknown,
// no door has it any more, and its next quote begins a new epoch.
func checkRemoval(t *testing.T, one, two *testNode, symbol, token string, subscribers ...*socket) {
	t.Helper()
	var before []knownQuote
	one.do("GET", one.public+"/api/v1/quotes?symbols="+symbol, "", bearer(token)).into(t, 200, &before)
	if len(before) != 1 {
		t.Fatalf("before the removal of %s: %+v", symbol, before)
	}
	var removed struct {
		Symbol string
		Silent []string
	}
	began := time.Now()
	one.do("DELETE", one.admin+"/api/v1/symbols/"+symbol, "", bearer(adminToken)).into(t, 200, &removed)
	if removed.Symbol != symbol || removed.Silent == nil {
		t.Errorf("removed: %+v, want %s", removed, symbol)
	}
	for _, k := range subscribers {
		for m := k.until("status"); m.Symbol != symbol || m.Status != "unknown"; {
			m = k.until("status")
		}
	}
	t.Logf("subscribers have the status %v after the request; silent: %v", time.Since(began), removed.Silent)
	for _, n := range []*testNode{one, two} {
		for _, path := range []string{"/api/v1/quotes?symbols=" + symbol, "/api/v1/quotes/" + symbol + "/history"} {
			if a := n.do("GET", n.public+path, "", bearer(token)); a.status != 200 || strings.TrimSpace(a.body) != "[]" {
				t.Errorf("%s: %d %s, want nothing", path, a.status, a.body)
			}
		}
	}
	var accepted struct{ Accepted int }
	two.do("POST", two.public+"/api/v1/quotes", `{"symbol":"`+symbol+`","bid":"77.1","ask":"77.2"}`, bearer(pubToken)).into(t, 200, &accepted)
	if accepted.Accepted != 1 {
		t.Fatalf("the next quote was not accepted")
	}
	for _, k := range subscribers {
		for {
			m := k.until("update")
			var q struct{ Data []knownQuote }
			if err := json.Unmarshal([]byte(m.raw), &q); err != nil {
				t.Fatal(err)
			}
			if q.Data[0].Symbol != symbol {
				continue
			}
			if got := q.Data[0]; got.Seq != 1 || got.Bid != "77.1" || got.Epoch == "" || got.Epoch == before[0].Epoch || got.Status != "" {
				t.Errorf("the next quote: %s, want number 1 of another epoch than %s", m.raw, before[0].Epoch)
			}
			break
		}
	}
	one.do("DELETE", one.admin+"/api/v1/symbols/"+symbol, "", bearer(adminToken)).into(t, 200, &removed)
}

// keysOf returns the keys of a symbol on all servers.
func keysOf(t *testing.T, rdb redis.UniversalClient, symbol string) (n int64) {
	t.Helper()
	for _, kind := range []string{"quote", "seq", "ticks"} {
		n += rdb.Exists(t.Context(), "fx:{"+symbol+"}:"+kind).Val()
	}
	return n
}
