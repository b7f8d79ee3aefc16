package live_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// A candleMessage is a candle as a client receives it, with the time of its arrival.
type candleMessage struct {
	protocol.CandleUpdate
	at time.Time
}

// readCandle returns the next candle, and skips other messages.
func readCandle(c *webtest.Client) (candleMessage, error) {
	for {
		m, err := c.Receive()
		if err != nil {
			return candleMessage{}, err
		}
		decoded, err := protocol.Decode([]byte(m.Raw))
		if candle, ok := decoded.(protocol.CandleUpdate); ok || err != nil {
			return candleMessage{candle, time.Now()}, err
		}
	}
}

// TestCandlesOnTwoNodes publishes through one node and another to clients of both, over the end of a
// minute. Every client gets the same closed candle, within a second though no quote follows, and
// running ones at most 4 times a second.
func TestCandlesOnTwoNodes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	use := func(c *webtest.Config) { c.Redis = redis }
	one, two := webtest.Start(t, use), webtest.Start(t, use)
	clients := []*webtest.Client{one.User(), two.User(), two.BinaryUser()}
	for _, c := range clients {
		c.Say(`{"op":"subscribe","symbols":["EUR/*"],"candles":"1m"}`)
		c.Want("ack")
	}
	ticks := uint64(0)
	publish := func(n *webtest.Node, bid string) {
		t.Helper()
		for _, o := range n.Publish([3]string{"EUR/USD", bid, "1.1120"}) {
			if o.Rejection != nil {
				t.Fatal(o.Rejection)
			}
		}
		ticks++
	}
	// Begin early in a minute, so that the clock's next boundary is the only one.
	for time.Now().Second() > 54 {
		time.Sleep(100 * time.Millisecond) // the real clock of Redis decides
	}
	minute := time.Now().UTC().Truncate(time.Minute)
	publish(one, "1.10")
	for _, c := range clients { // the wildcard includes the new symbol
		first, err := readCandle(c)
		if err != nil {
			t.Fatal(err)
		}
		if !first.Data.Open || first.Symbol != "EUR/USD" || first.Interval != "1m" || first.Data.Bid.Open != "1.10" || !first.Data.Start.Equal(minute) {
			t.Fatalf("the first candle is %+v", first)
		}
	}
	began := time.Now()
	for _, bid := range []string{"1.1100", "1.0950", "1.105"} {
		publish(two, bid)
		publish(one, bid)
	}
	received := make([][]candleMessage, len(clients)) // up to the closed one
	var readers sync.WaitGroup
	for i, c := range clients {
		readers.Go(func() {
			for open := true; open; {
				m, err := readCandle(c)
				if err != nil {
					t.Error(err)
					return
				}
				received[i], open = append(received[i], m), m.Data.Open
			}
		})
	}
	for n := 0; time.Until(minute.Add(time.Minute)) > 5*time.Second; n++ {
		publish(one, "1.100")
		if n > 100 {
			time.Sleep(time.Second) // no client waits for longer than its patience
		}
	}
	readers.Wait()
	if t.Failed() {
		return
	}
	for i, all := range received {
		last := all[len(all)-1]
		if most := int(4*time.Since(began).Seconds()) + 1; len(all) > most {
			t.Errorf("client %d received %d candles in %v", i, len(all), time.Since(began))
		}
		if late := last.at.Sub(minute.Add(time.Minute)); late > time.Second+busy {
			t.Errorf("client %d received the closed candle %v after its end", i, late)
		}
		got, _ := json.Marshal(last.Data)
		want := protocol.Candle{Start: minute, Bid: protocol.OHLC{Open: "1.10", High: "1.1100", Low: "1.0950", Close: "1.100"},
			Ask: protocol.OHLC{Open: "1.1120", High: "1.1120", Low: "1.1120", Close: "1.1120"}, Ticks: ticks, Complete: last.Data.Complete}
		if text, _ := json.Marshal(want); string(got) != string(text) {
			t.Errorf("client %d: closed %s, want %s", i, got, text)
		}
	}

	// Both nodes serve the same.
	token, _ := one.SignIn("reader", "user")
	var pages [2]string
	for i, n := range []*webtest.Node{one, two} {
		pages[i] = webtest.NewHTTPClient(t, n.Public).Do("GET", "/api/v1/quotes/EUR/USD/candles?interval=1m", "", webtest.Bearer(token)).Body
	}
	var candles []protocol.Candle
	if err := json.Unmarshal([]byte(pages[0]), &candles); err != nil || pages[0] != pages[1] || len(candles) != 1 || candles[0].Open || candles[0].Ticks != ticks {
		t.Errorf("the nodes serve %s and %s", pages[0], pages[1])
	}
}

// TestDayOnTwoNodes publishes rising prices much faster than once a second, through both nodes, and
// then none. Every client of both gets day figures at most once a second, and those of the last price.
func TestDayOnTwoNodes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	use := func(c *webtest.Config) { c.Redis = redis }
	one, two := webtest.Start(t, use), webtest.Start(t, use)
	clients := []*webtest.Client{one.User(), two.User(), two.BinaryUser()}
	for _, c := range clients {
		c.Say(`{"op":"subscribe","symbols":["EUR/*"],"day":true}`)
		c.Want("ack")
	}
	began := time.Now()
	high := ""
	rise := func(n *webtest.Node, by int) {
		t.Helper()
		high = fmt.Sprintf("1.%05d", 10_000+by)
		for _, o := range n.Publish([3]string{"EUR/USD", high, "1.2"}) {
			if o.Rejection != nil {
				t.Fatal(o.Rejection)
			}
		}
	}
	changes := 0
	read := func(publishing func()) {
		t.Helper()
		var readers sync.WaitGroup
		ready := make(chan struct{}) // closed once the last price is published
		counts := make([]int, len(clients))
		for i, c := range clients {
			readers.Go(func() {
				for newest := ""; ; {
					select {
					case <-ready:
						if newest == high {
							return
						}
					default:
					}
					m, err := c.Receive() // a heartbeat, if nothing else
					if err != nil || time.Since(began) > 2*webtest.Patience {
						t.Errorf("client %d has the high %q, want the last one: %v", i, newest, err)
						return
					}
					if decoded, _ := protocol.Decode([]byte(m.Raw)); decoded != nil {
						if d, ok := decoded.(protocol.DayUpdate); ok {
							counts[i], newest = counts[i]+1, d.Day.High
						}
					}
				}
			})
		}
		publishing()
		close(ready)
		readers.Wait()
		for i, n := range counts {
			if most := 2 + int(time.Since(began)/time.Second); n < 1 || n > most {
				t.Errorf("client %d received day figures %d times for %d changes in %v, want at most %d", i, n, changes, time.Since(began), most)
			}
		}
	}
	// For longer than two seconds, so that some changes must wait; the last one waits too.
	read(func() {
		for changes < 10 || time.Since(began) < 2100*time.Millisecond {
			changes++
			rise([]*webtest.Node{one, two}[changes%2], changes)
			time.Sleep(20 * time.Millisecond) // the pace of the market that the test plays
		}
	})
	// One change alone, through one node, after the figures have come.
	began = time.Now()
	read(func() { changes++; rise(one, changes) })
}
