package live_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestCandleEntries subscribes to candles and day figures beside quotes. Each answer is compared as
// text.
func TestCandleEntries(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Channels, c.Roles = []string{"news"}, `{"basic":{"symbols":["EUR/*"],"max_symbols":4,"max_rate":1}}`
	})
	prices := protocol.OHLC{Open: "1.10", High: "1.2", Low: "1.0", Close: "1.1"}
	candle := protocol.Candle{Start: time.Unix(1_800_000_000, 0), Bid: prices, Ask: prices, Ticks: 57, Complete: true}
	const closed = `{"t":"2027-01-15T08:00:00Z","bid":["1.10","1.2","1.0","1.1"],"ask":["1.10","1.2","1.0","1.1"],"ticks":57,"complete":true}`
	day := protocol.Day{Since: candle.Start, Open: "1.10", High: "1.2", Low: "1.0"}
	const figures = `"since":"2027-01-15T08:00:00Z","open":"1.10","high":"1.2","low":"1.0","previous_close":null}`
	token, _ := n.SignIn("dan", "basic")
	c, _ := n.Connect(token)
	ask := func(c *webtest.Client, command, want string) {
		t.Helper()
		c.Say(command)
		if got := c.Next().Raw; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", command, got, want)
		}
	}
	receive := func(c *webtest.Client, want string) {
		t.Helper()
		if got := c.Next().Raw; got != want {
			t.Errorf("received\n%s\nwant\n%s", got, want)
		}
	}
	refusal := func(symbol, code, message string) string {
		return fmt.Sprintf(`{"symbol":"%s","code":"%s","message":"%s"}`, symbol, code, message)
	}
	foreign := refusal("USD/JPY", "not_entitled", "the session's role does not include this symbol")
	many := func(symbol string) string {
		return refusal(symbol, "too_many_symbols", "at most 4 symbols and wildcards per connection")
	}

	watched := func(symbol string) { // which may come after the ack
		t.Helper()
		webtest.Eventually(t, "the day figures are wanted", func() bool { return n.Hub.WantsDay(symbol) })
	}

	ask(c, `{"op":"subscribe","id":1,"symbols":["eurusd","USD/JPY"],"candles":"1m"}`, `{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[`+foreign+`],"candles":"1m"}`)
	n.Hub.Candle("EUR/USD", "1m", candle)
	n.Hub.Candle("EUR/USD", "5m", candle)
	n.Hub.Day("EUR/USD", day)
	n.Hub.Candle("USD/JPY", "1m", candle)
	receive(c, `{"type":"candle","symbol":"EUR/USD","interval":"1m","data":`+closed+`}`)
	running := candle
	running.Open = true
	n.Hub.Candle("EUR/USD", "1m", running)
	receive(c, `{"type":"candle","symbol":"EUR/USD","interval":"1m","data":`+strings.TrimSuffix(closed, "}")+`,"open":true}}`)

	// Another client has the running one after its ack, as text in both subprotocols.
	for _, other := range []*webtest.Client{n.User(), n.BinaryUser()} {
		ask(other, `{"op":"subscribe","symbols":["EUR/USD"],"candles":"1m"}`, `{"type":"ack","op":"subscribe","ok":["EUR/USD"],"failed":[],"candles":"1m"}`)
		receive(other, `{"type":"candle","symbol":"EUR/USD","interval":"1m","data":`+strings.TrimSuffix(closed, "}")+`,"open":true}}`)
	}

	// An entry per symbol and interval beside quotes; day figures are none of their own.
	ask(c, `{"op":"subscribe","symbols":["EUR/*"],"candles":"5m"}`, `{"type":"ack","op":"subscribe","ok":["EUR/*"],"failed":[],"candles":"5m"}`)
	ask(c, `{"op":"subscribe","symbols":["EUR/GBP","EUR/CHF","EUR/JPY"],"day":true}`,
		`{"type":"ack","op":"subscribe","ok":["EUR/GBP","EUR/CHF"],"failed":[`+many("EUR/JPY")+`],"max_rate":1,"mode":"latest","day":true}`)
	for range 2 {
		if m := c.Want("status"); m.Status != "unknown" {
			t.Errorf("status: %s", m.Raw)
		}
	}
	ask(c, `{"op":"subscribe","symbols":["EUR/USD"],"candles":"1h"}`, `{"type":"ack","op":"subscribe","ok":[],"failed":[`+many("EUR/USD")+`],"candles":"1h"}`)
	ask(c, `{"op":"list","id":2}`, `{"type":"list","id":2,"symbols":["EUR/GBP","EUR/CHF"],"channels":[],"candles":[{"symbol":"EUR/USD","interval":"1m"},{"symbol":"EUR/*","interval":"5m"}],"day":["EUR/GBP","EUR/CHF"]}`)
	watched("EUR/GBP")
	n.Hub.Day("EUR/GBP", day)
	receive(c, `{"type":"day","symbol":"EUR/GBP",`+figures)

	// An unsubscribe without candles leaves candles alone, and the other way round.
	ask(c, `{"op":"unsubscribe","symbols":["EUR/USD","EUR/GBP"]}`,
		`{"type":"ack","op":"unsubscribe","ok":["EUR/GBP"],"failed":[`+refusal("EUR/USD", "not_subscribed", "not subscribed under this name")+`]}`)
	n.Hub.Day("EUR/GBP", day)
	n.Hub.Candle("EUR/USD", "1m", candle)
	receive(c, `{"type":"candle","symbol":"EUR/USD","interval":"1m","data":`+closed+`}`)
	ask(c, `{"op":"unsubscribe","symbols":["EUR/USD","EUR/GBP"],"candles":"1m"}`,
		`{"type":"ack","op":"unsubscribe","ok":["EUR/USD"],"failed":[`+refusal("EUR/GBP", "not_subscribed", "not subscribed under this name")+`],"candles":"1m"}`)
	n.Hub.Candle("EUR/USD", "1m", candle)
	ask(c, `{"op":"list"}`, `{"type":"list","symbols":["EUR/CHF"],"channels":[],"candles":[{"symbol":"EUR/*","interval":"5m"}],"day":["EUR/CHF"]}`)

	// Day figures end with a subscribe without them, and with the last entry of their symbol.
	ask(c, `{"op":"subscribe","symbols":["EUR/CHF"]}`, `{"type":"ack","op":"subscribe","ok":["EUR/CHF"],"failed":[],"max_rate":1,"mode":"latest"}`)
	c.Want("status")
	ask(c, `{"op":"subscribe","symbols":["EUR/JPY"],"candles":"1d","day":true}`, `{"type":"ack","op":"subscribe","ok":["EUR/JPY"],"failed":[],"candles":"1d","day":true}`)
	watched("EUR/JPY")
	n.Hub.Day("EUR/CHF", day)
	n.Hub.Day("EUR/JPY", day)
	receive(c, `{"type":"day","symbol":"EUR/JPY",`+figures)
	ask(c, `{"op":"unsubscribe","symbols":["EUR/JPY"],"candles":"1d"}`, `{"type":"ack","op":"unsubscribe","ok":["EUR/JPY"],"failed":[],"candles":"1d"}`)
	n.Hub.Day("EUR/JPY", day)
	ask(c, `{"op":"list"}`, `{"type":"list","symbols":["EUR/CHF"],"channels":[],"candles":[{"symbol":"EUR/*","interval":"5m"}]}`)

	// Settings of quotes are errors, and an error changes nothing.
	for _, field := range []string{`"mode":"latest"`, `"max_rate":4`, `"since":{"EUR/USD":{"epoch":"e","seq":1}}`, `"candles":"2m"`} {
		c.Say(`{"op":"subscribe","symbols":["EUR/USD"],"candles":"1m",` + field + `}`)
		if m := c.Next(); m.Type != "error" || m.ErrorCode() != "bad_field" || !strings.HasPrefix(m.Message, strings.Split(field, `"`)[1]) {
			t.Errorf("%s: %s", field, m.Raw)
		}
	}
	ask(c, `{"op":"list"}`, `{"type":"list","symbols":["EUR/CHF"],"channels":[],"candles":[{"symbol":"EUR/*","interval":"5m"}]}`)

	// A pace does not hold candles back, nor does max_rate those that have closed.
	ask(c, `{"op":"pace","every_ms":60000}`, `{"type":"ack","op":"pace","every_ms":60000,"align":false}`)
	n.Publish([3]string{"EUR/CHF", "0.9", "0.91"})
	c.Want("status")
	for range 3 {
		n.Hub.Candle("EUR/CHF", "5m", candle)
		receive(c, `{"type":"candle","symbol":"EUR/CHF","interval":"5m","data":`+closed+`}`)
	}

	// The rate of the role bounds running ones, of which the last one comes.
	ask(c, `{"op":"subscribe","symbols":["EUR/SEK"],"candles":"1m"}`, `{"type":"ack","op":"subscribe","ok":["EUR/SEK"],"failed":[],"candles":"1m"}`)
	webtest.Eventually(t, "the candles are wanted", func() bool { return n.Hub.WantsCandles("EUR/SEK", "1m") })
	received, last := 0, ""
	next := func() string {
		m := c.Next()
		if m.Symbol == "EUR/SEK" {
			received, last = received+1, m.Raw
		}
		return m.Type
	}
	began := time.Now()
	for running.Ticks = 1; running.Ticks <= 20; running.Ticks++ {
		n.Hub.Candle("EUR/SEK", "1m", running)
		c.Say(`{"op":"ping"}`)
		for next() != "pong" {
		}
	}
	for !strings.Contains(last, `"ticks":20,`) {
		next()
	}
	if most := 1 + int(time.Since(began)/time.Second); received > most {
		t.Errorf("%d candles in %v, want at most %d", received, time.Since(began), most)
	}
}
