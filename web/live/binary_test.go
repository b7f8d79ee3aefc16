package live_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// A reading is what one client has received of each symbol.
type reading struct {
	*webtest.Client
	quotes map[string][]protocol.Quote
	resets int
}

// until reads until the client has a number of each symbol.
func (r *reading) until(last map[string]uint64) {
	r.T.Helper()
	for !r.has(last) {
		m := r.Next()
		decoded, err := protocol.Decode([]byte(m.Raw))
		if err != nil {
			r.T.Fatal(err)
		}
		var quotes []protocol.Quote
		switch d := decoded.(type) {
		case protocol.Snapshot:
			quotes = d.Data
			if d.Reset {
				r.resets++
			}
		case protocol.Update:
			quotes = d.Data
		}
		for _, q := range quotes {
			r.quotes[q.Symbol] = append(r.quotes[q.Symbol], q)
		}
	}
}

func (r *reading) has(last map[string]uint64) bool {
	for symbol, seq := range last {
		if q := r.quotes[symbol]; len(q) == 0 || q[len(q)-1].Seq < seq {
			return false
		}
	}
	return true
}

// varied publishes ticks of two symbols whose digits, sizes and length vary.
func varied(n *webtest.Node, count int) (last map[string]uint64) {
	n.T.Helper()
	last = map[string]uint64{}
	for i := range count {
		q := []feed.Quote{
			{Symbol: "EUR/USD", Bid: fmt.Sprintf("1.%05d", 10000+i*7%90), Ask: fmt.Sprintf("1.%05d", 10100+i*11%90)},
			{Symbol: "GBP/JPY", Bid: fmt.Sprintf("190.%03d", i), Ask: "191.0", BidSize: fmt.Sprintf("%d.50", i%3), AskSize: "1000000"},
		}
		if i%10 == 9 {
			q[0].Ask += "000000000000000000000000000" // 33 digits
			q[1].AskSize = ""
		}
		out, err := n.Publisher.Publish(n.T.Context(), q)
		if err != nil {
			n.T.Fatal(err)
		}
		for k, o := range out {
			if o.Rejection != nil {
				n.T.Fatalf("%+v: %v", q[k], o.Rejection)
			}
			last[string(q[k].Symbol)] = o.Seq
		}
	}
	return last
}

// Over a real connection, in both modes, conflated or not, after a resume and after a reset: what a
// client of binary quotes receives is what a client of JSON receives, field for field. Permessage-
// deflate stays off for it.
func TestBinaryQuotes(t *testing.T) {
	n := webtest.Start(t, func(c *webtest.Config) { c.Compression = true })
	first := varied(n, 3)
	join := func(c *webtest.Client, subscribe string) *reading {
		c.Say(subscribe)
		r := &reading{Client: c, quotes: map[string][]protocol.Quote{}}
		c.Want("ack")
		return r
	}
	const all, latest = `{"op":"subscribe","symbols":["EUR/USD","GBP/*"],"mode":"all"}`, `{"op":"subscribe","symbols":["*"],"max_rate":%d}`
	text, every := join(n.User(), all), join(n.BinaryUser(), all)
	newest, slow := join(n.BinaryUser(), fmt.Sprintf(latest, 0)), join(n.BinaryUser(), fmt.Sprintf(latest, 20))
	readers := []*reading{text, every, newest, slow}
	for _, r := range readers {
		r.until(first)
	}
	last := varied(n, 200)
	for _, r := range readers {
		r.until(last)
	}
	same := func(r *reading) (skipped uint64) {
		t.Helper()
		truth := map[string]protocol.Quote{}
		for symbol, quotes := range text.quotes {
			for _, q := range quotes {
				q.Extra = protocol.Extra{}
				truth[fmt.Sprint(symbol, q.Seq)] = q
			}
		}
		for symbol, quotes := range r.quotes {
			epoch, seq := "", uint64(0)
			for _, q := range quotes {
				if q.Epoch != "" {
					epoch = q.Epoch
				} else if q.Seq-seq-1 != q.Skipped {
					t.Fatalf("%d after %d, skipped %d", q.Seq, seq, q.Skipped)
				}
				seq, skipped = q.Seq, skipped+q.Skipped
				q.Extra = protocol.Extra{}
				if want := truth[fmt.Sprint(symbol, seq)]; q != want || epoch != text.quotes[symbol][0].Epoch {
					t.Fatalf("%+v of %s, want %+v", q, epoch, want)
				}
			}
		}
		return skipped
	}
	if same(every)+same(newest)+same(slow) == 0 {
		t.Error("nothing was conflated")
	}
	if got := len(every.quotes["EUR/USD"]); got < 200 {
		t.Errorf("%d quotes in mode all", got)
	}

	at := every.quotes["EUR/USD"][0]
	epoch := at.Epoch
	every.Close()
	missed := varied(n, 20)
	for what, c := range map[string]struct {
		epoch string
		seq   uint64
	}{"resumed": {epoch, last["EUR/USD"] - 100}, "reset": {"zzz", 5}} {
		back := join(n.BinaryUser(), fmt.Sprintf(`{"op":"subscribe","symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":%d}}}`, c.epoch, c.seq))
		text.until(missed)
		back.until(map[string]uint64{"EUR/USD": missed["EUR/USD"]})
		same(back)
		if q := back.quotes["EUR/USD"]; what == "resumed" && (q[0].Seq != c.seq+1 || q[0].Epoch != epoch || len(q) != 120 || back.resets != 0) || what == "reset" && (back.resets != 1 || len(q) != 1) {
			t.Errorf("%s: %d quotes from %+v, %d resets", what, len(q), q[0], back.resets)
		}
		back.Close()
	}
}

// Quotes carry a status that is not live, and a client's own binary message still ends the
// connection.
func TestBinaryStatus(t *testing.T) {
	n := webtest.Start(t, func(c *webtest.Config) { c.StaleAfter = 50 * time.Millisecond })
	n.Publish([3]string{"EUR/USD", "1.08450", "1.0846"})
	webtest.Eventually(t, "the quote is stale", func() bool {
		quotes, err := n.Lasts.Quotes(t.Context(), []string{"EUR/USD"})
		return err == nil && len(quotes) == 1 && quotes[0].Status != feed.StatusLive
	})
	c := n.BinaryUser()
	c.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	c.Want("ack")
	if m := c.Until("snapshot"); !strings.Contains(m.Raw, `"bid":"1.08450","ask":"1.0846"`) || !strings.Contains(m.Raw, `"status":`) {
		t.Errorf("%s", m.Raw)
	}
	if err := c.SendFrame(true, webtest.OpBinary, []byte("x")); err != nil {
		t.Fatal(err)
	}
	c.WantClose(1003)
}

// The server prefers binary quotes, whatever the order of the offer, and knows no other protocol.
func TestSubprotocols(t *testing.T) {
	n := webtest.Start(t, nil)
	token, _ := n.SignIn("u", "user")
	for offer, want := range map[string]string{"": "", "fx.v1": "fx.v1", "fx.v1.pb": "fx.v1.pb", "fx.v1,fx.v1.pb": "fx.v1.pb", "x, FX.V1": "FX.V1", "x, fx.v1.pb, fx.v1": "fx.v1.pb"} {
		h := webtest.Bearer(token)
		if offer != "" {
			h["Sec-Websocket-Protocol"] = []string{offer}
		}
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", h, nil)
		if resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Protocol") != want {
			t.Errorf("offer %q: %s, %q", offer, resp.Status, resp.Header.Get("Sec-Websocket-Protocol"))
		}
		p.Close()
	}
	h := webtest.Bearer(token)
	h["Sec-Websocket-Protocol"] = []string{"fx.v2"}
	if p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", h, nil); resp.StatusCode != 400 {
		p.Close()
		t.Errorf("offer of fx.v2: %s", resp.Status)
	}
}
