package live_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestSubscribe follows one client through the protocol on a whole node.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Channels = []string{"news"} })
	n.Publish([3]string{"EUR/USD", "1.08500", "1.08510"}, [3]string{"GBP/USD", "1.27000", "1.2701"})
	webtest.Eventually(t, "both symbols are here", func() bool { return n.LastQuotes() == 2 })

	token, sess := n.SignIn("alice", "user")
	c, welcome := n.Connect(token)
	if welcome.Protocol != "fx.v1" || welcome.ConnID == "" || welcome.Heartbeat != 1000 || welcome.Session.ID != sess.ID ||
		welcome.Session.Role != "user" || welcome.Limits.MaxSymbols != 200 || welcome.Limits.Commands != 1000 || welcome.Limits.MaxMessages != 32768 {
		t.Errorf("welcome: %s", welcome.Raw)
	}
	if _, err := time.Parse(time.RFC3339Nano, welcome.Time); err != nil || !strings.HasSuffix(welcome.Time, "Z") {
		t.Errorf("server_time %q", welcome.Time)
	}
	if strings.Contains(welcome.Raw, token) {
		t.Error("the welcome shows the token")
	}

	c.Say(`{"op":"subscribe","id":7,"symbols":["eurusd","GBP/*","EUR_USD","FOO/BAR"],"max_rate":0,"unknown":{"x":[1]}}`)
	ack := c.Want("ack")
	if string(ack.ID) != "7" || ack.Op != "subscribe" || !slices.Equal(ack.OK, []string{"EUR/USD", "GBP/*"}) || ack.Mode != "latest" || ack.MaxRate == nil || *ack.MaxRate != 0 {
		t.Errorf("ack: %s", ack.Raw)
	}
	if len(ack.Failed) != 1 || ack.Failed[0].Symbol != "FOO/BAR" || ack.Failed[0].Code != "unknown_symbol" || ack.Failed[0].Message == "" {
		t.Errorf("failed: %s", ack.Raw)
	}
	got := map[string]webtest.Quote{}
	for len(got) < 2 { // one message or two
		for _, q := range c.Want("snapshot").Quotes(t) {
			if q.Epoch == "" || q.Skipped != 0 || q.Seq != 1 || q.Status != "" {
				t.Errorf("snapshot %+v", q)
			}
			got[q.Symbol] = q
		}
	}
	if q := got["EUR/USD"]; q.Bid != "1.08500" || q.Ask != "1.08510" {
		t.Errorf("prices are not the producer's digits: %+v", q)
	}
	if q := got["GBP/USD"]; q.Bid != "1.27000" || q.Ask != "1.2701" {
		t.Errorf("prices are not the producer's digits: %+v", q)
	}

	// Updates, even of a symbol that did not exist when the client subscribed to its wildcard.
	for i := range 20 {
		n.Publish([3]string{"EUR/USD", fmt.Sprintf("1.086%02d", i), "1.08700"})
	}
	seq, last := uint64(1), ""
	for last != "1.08619" {
		for _, q := range c.Want("update").Quotes(t) {
			if q.Seq != seq+q.Skipped+1 || q.Epoch != "" {
				t.Fatalf("after seq %d came %+v", seq, q)
			}
			seq, last = q.Seq, q.Bid
		}
	}
	n.Publish([3]string{"GBP/JPY", "190.1", "190.2"})
	if q := c.Until("update").Quotes(t)[0]; q.Symbol != "GBP/JPY" || q.Epoch == "" || q.Seq != 1 {
		t.Errorf("the first update of a new symbol: %+v", q)
	}

	// list, ping, unsubscribe, ids of both kinds.
	c.Say(`{"op":"subscribe","channels":["news","no-such"],"id":"c-1"}`)
	if a := c.Until("ack"); !slices.Equal(a.OK, []string{"news"}) || len(a.Failed) != 1 || a.Failed[0].Channel != "no-such" || a.Failed[0].Code != "unknown_channel" || string(a.ID) != `"c-1"` {
		t.Errorf("ack: %s", a.Raw)
	}
	c.Say(`{"op":"list","id":12345678901234567890123}`)
	if l := c.Until("list"); string(l.ID) != "12345678901234567890123" || !slices.Equal(l.Symbols, []string{"EUR/USD", "GBP/*"}) || !slices.Equal(l.Channels, []string{"news"}) {
		t.Errorf("list: %s", l.Raw)
	}
	c.Say(`{"op":"ping","id":"größe \"1\""}`)
	if p := c.Until("pong"); string(p.ID) != `"größe \"1\""` || p.TS == "" {
		t.Errorf("pong: %s", p.Raw)
	}
	c.Say(`{"op":"ping"}`)
	if p := c.Until("pong"); p.ID != nil {
		t.Errorf("pong: %s", p.Raw)
	}
	c.Say(`{"op":"unsubscribe","id":1.5,"symbols":["EUR/USD","USD/JPY","gbp/*"]}`)
	if a := c.Until("ack"); !slices.Equal(a.OK, []string{"EUR/USD", "GBP/*"}) || len(a.Failed) != 1 || a.Failed[0].Code != "not_subscribed" || string(a.ID) != "1.5" {
		t.Errorf("ack: %s", a.Raw)
	}
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"}, [3]string{"GBP/USD", "1.1", "1.2"})
	c.Say(`{"op":"subscribe","id":2,"symbols":["*/USD"]}`)
	c.Want("ack") // no message about an unsubscribed symbol came before it
	bid := map[string]string{}
	for m := c.Want("snapshot"); ; m = c.Next() { // or as updates, if they come only now
		for _, q := range m.Quotes(t) {
			bid[q.Symbol] = q.Bid
		}
		if bid["EUR/USD"] == "1.1" && bid["GBP/USD"] == "1.1" {
			break
		}
	}
}

// TestAckIsBounded names what does not exist as often as fits into a message.
func TestAckIsBounded(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	c := n.User()
	for _, op := range []string{"subscribe", "unsubscribe"} {
		c.Say(`{"op":"` + op + `","symbols":[` + strings.Repeat(`"",`, 1000-3) + `"EUR/USD","eurusd"],"channels":["none"]}`)
		a := c.Until("ack") // the status of the symbol may come between the two
		if len(a.OK) != 1 || len(a.Failed) != 2 {
			t.Errorf("%s: %d bytes, want each name answered once: %.300s", op, len(a.Raw), a.Raw)
		}
		if op == "subscribe" {
			c.Say(`{"op":"ping"}`)
			c.Until("pong")
		}
		c.Say(`{"op":"` + op + `","symbols":[` + strings.Repeat(`"",`, 9000) + `""]}`)
		if m := c.Until("error"); m.ErrorCode() != "bad_field" || !strings.Contains(m.Raw, "1000") {
			t.Errorf("%s: %.300s", op, m.Raw)
		}
	}
}

// TestSubscribeOrder subscribes while ticks arrive: ack, snapshot, updates, and every seq is
// accounted for.
func TestSubscribeOrder(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n.Publish([3]string{"EUR/USD", fmt.Sprintf("1.%05d", i+1), "2"}, [3]string{"EUR/GBP", fmt.Sprintf("0.8%04d", i%9999), "0.9"})
		}
	})
	defer publishing.Wait()
	defer stop()
	webtest.Eventually(t, "ticks come", func() bool { return n.LastQuotes() == 2 })
	token, _ := n.SignIn("order", "user")
	for range 15 {
		c, _ := n.Connect(token)
		c.Say(`{"op":"subscribe","id":1,"symbols":["EUR/*"]}`)
		c.Want("ack")
		seq := map[string]uint64{}
		for len(seq) < 2 {
			m := c.Next()
			if m.Type != "snapshot" && len(seq) == 0 {
				t.Fatalf("after the ack: %s", m.Raw)
			}
			for _, q := range m.Quotes(t) {
				if old, ok := seq[q.Symbol]; ok && q.Seq != old+q.Skipped+1 {
					t.Fatalf("after seq %d: %+v", old, q)
				} else if !ok && m.Type != "snapshot" {
					t.Fatalf("an update before the snapshot: %s", m.Raw)
				}
				seq[q.Symbol] = q.Seq
			}
		}
		for i := 0; i < 40; {
			for _, q := range c.Want("update").Quotes(t) {
				if q.Seq != seq[q.Symbol]+q.Skipped+1 {
					t.Fatalf("after seq %d: %+v", seq[q.Symbol], q)
				}
				seq[q.Symbol] = q.Seq
				i++
			}
		}
		c.Close()
	}
}

// TestMaxRate tests that updates are few, that skipped is exact, and that the last value arrives.
func TestMaxRate(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	c := n.User()
	c.Say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"],"max_rate":10}`)
	if a := c.Want("ack"); a.MaxRate == nil || *a.MaxRate != 10 {
		t.Errorf("ack: %s", a.Raw)
	}
	var publishing sync.WaitGroup
	defer publishing.Wait()
	const last = 150
	start := time.Now()
	publishing.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range last {
			<-tick.C
			n.Publish([3]string{"EUR/USD", fmt.Sprintf("1.%05d", i+1), "2"})
		}
	})
	seq, updates := uint64(0), 0
	for seq < last {
		m := c.Next()
		if m.Type == "status" {
			continue
		}
		for _, q := range m.Quotes(t) {
			if seq > 0 && q.Seq != seq+q.Skipped+1 {
				t.Fatalf("after seq %d: %+v", seq, q)
			}
			seq = q.Seq
			updates++
		}
	}
	took := time.Since(start)
	if most := int(took.Seconds()*10) + 2; updates > most || updates < 5 {
		t.Errorf("%d updates in %v at 10 a second", updates, took)
	}
	// Another rate replaces the first, with a snapshot.
	c.Say(`{"op":"subscribe","id":2,"symbols":["EURUSD"],"max_rate":0.5}`)
	if a := c.Want("ack"); *a.MaxRate != 0.5 {
		t.Errorf("ack: %s", a.Raw)
	}
	if q := c.Want("snapshot").Quotes(t)[0]; q.Seq != last || q.Skipped != 0 || q.Epoch == "" {
		t.Errorf("snapshot: %+v", q)
	}
}

// TestRoles tests that a session sees exactly what its role is granted.
func TestRoles(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Channels = []string{"news", "vip"}
		c.Roles = `{"basic":{"symbols":["EUR/*"],"channels":["news"],"max_rate":2,"max_symbols":3}}`
	})
	n.Publish([3]string{"EUR/USD", "1", "2"}, [3]string{"USD/JPY", "1", "2"})
	webtest.Eventually(t, "the quotes are here", func() bool { return n.LastQuotes() == 2 })
	token, _ := n.SignIn("dan", "basic")
	c, w := n.Connect(token)
	if w.Limits.MaxSymbols != 3 || w.Limits.MaxRate != 2 {
		t.Errorf("welcome: %s", w.Raw)
	}
	c.Say(`{"op":"subscribe","id":1,"symbols":["*","EUR/USD","USD/JPY","*/USD"],"channels":["news","vip"]}`)
	a := c.Want("ack")
	if !slices.Equal(a.OK, []string{"EUR/USD", "news"}) || a.MaxRate == nil || *a.MaxRate != 2 || len(a.Failed) != 4 {
		t.Errorf("ack: %s", a.Raw)
	}
	for _, f := range a.Failed {
		if f.Symbol != "" && f.Code != "not_entitled" {
			t.Errorf("failed: %+v", f)
		}
	}
	var quotes []webtest.Quote
	webtest.NewHTTPClient(t, n.Public).Do("GET", "/api/v1/quotes", "", webtest.Bearer(token)).Into(t, 200, &quotes)
	if len(quotes) != 1 || quotes[0].Symbol != "EUR/USD" {
		t.Errorf("quotes: %+v", quotes)
	}
}
