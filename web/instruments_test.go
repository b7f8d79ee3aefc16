package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// Every interface accepts a listed instrument under each of its names. The sizes of its quotes
// reach the WebSocket, the snapshot, GET /quotes and history digit by digit.
func TestListedInstrument(t *testing.T) {
	t.Parallel()
	table, err := feed.NewInstruments(feed.InstrumentsConfig{Suffixes: []string{".m"}, Listing: `{"BTC/USDT":{"digits":2,"pip":"1","hours":"always","aliases":["XBT"]},
		"USD/CNH":{"hours":{"open":"Mon 09:00","close":"Fri 17:30","zone":"Asia/Shanghai"}}}`})
	if err != nil {
		t.Fatal(err)
	}
	n := webtest.Start(t, func(c *webtest.Config) { c.Instruments, c.Roles = table, `{"user":{"symbols":["btc/*","USD/CNH"]}}` })
	h := webtest.NewHTTPClient(t, n.Public)
	token, _ := n.SignIn("lea", "user")
	c := n.Dial(token)
	c.Want("welcome")
	c.Say(`{"op":"subscribe","id":1,"symbols":["XBT","BTC_*","*/USDT","usdcnh.m"],"mode":"all"}`)
	if ack := c.Want("ack"); !strings.Contains(ack.Raw, `"ok":["BTC/USDT","BTC/*","USD/CNH"]`) || !strings.Contains(ack.Raw, `"not_entitled"`) {
		t.Errorf("ack %s", ack.Raw)
	}
	for m := c.Until("status"); !strings.Contains(m.Raw, "BTC/USDT"); m = c.Until("status") { // until then, no tick is an update
	}
	const q = `"symbol":"BTC/USDT","bid":"65000.120","ask":"65000.13","bid_size":"0.50","ask_size":"1200"`
	for _, body := range []string{
		"\ufeff" + `{"Instrument":"XBT","Bid":65000.120,"ASK":"6500013E-2","bid_size":"0.50","ask_size":1.2e3,"source":"Kraken Spot"}`,
		`[{"symbol":"C:BTCUSDT","bid":65000.120,"ask":"65000.13","bid_size":0.50,"ask_size":"1200"}]`,
		"\xff\xfe{\x00}\x00",
	} {
		var answer struct{ Accepted int }
		h.Do("POST", "/api/v1/quotes", body, webtest.Bearer(webtest.PublishToken)).Into(t, 200, &answer)
		if want := 1; answer.Accepted != want && body[0] != '\xff' {
			t.Errorf("%s: %d accepted", body, answer.Accepted)
		}
	}
	for seen := 0; seen < 2; { // in one message or in two
		m := c.Until("update")
		n := strings.Count(m.Raw, q)
		if n == 0 {
			t.Fatalf("update %s", m.Raw)
		}
		seen += n
	}
	for _, path := range []string{"/api/v1/quotes?symbols=XBT", "/api/v1/quotes?symbols=BTC*", "/api/v1/quotes/btc/usdt/history"} {
		if a := h.Do("GET", path, "", webtest.Bearer(token)); a.Status != 200 || !strings.Contains(a.Body, q) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := h.Do("GET", "/api/v1/symbols", "", nil); !strings.Contains(a.Body, `"symbol":"BTC/USDT","digits":2,"pip":"1","hours":"always","aliases":["XBT"]`) {
		t.Errorf("symbols: %s", a.Body)
	}
	h.Do("GET", "/api/v1/quotes/GOLD/USD/history", "", webtest.Bearer(token)).Problem(t, 404)
	encoded := http.Header{"Authorization": {"Bearer " + webtest.PublishToken}, "Content-Encoding": {"gzip"}}
	if p := h.Do("POST", "/api/v1/quotes", "\x1f\x8b", encoded).Problem(t, 415); !strings.Contains(p.Detail, "gzip") {
		t.Errorf("gzip: %s", p.Detail)
	}
}
