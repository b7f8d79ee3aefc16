package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
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

	// Updates, also of a symbol that did not exist when its wildcard was asked for.
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
	c.Want("ack") // nothing of what was unsubscribed came before
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

// TestSubscribeOrder subscribes while ticks pour in: ack, snapshot, updates, and
// every seq is accounted for.
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

// TestMaxRate wants few updates, exact skipped, and the last value in the end.
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

// TestBadMessages wants a clear answer to each, on a connection that lives on.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Commands = 1000 })
	c := n.User()
	for _, tc := range []struct{ in, code, names, id string }{
		{``, "bad_json", "", ""},
		{`{`, "bad_json", "", ""},
		{`hello`, "bad_json", "", ""},
		{`{"op":"ping"} {}`, "bad_json", "", ""},
		{`[]`, "bad_json", "array", ""},
		{`[{"op":"ping"}]`, "bad_json", "array", ""},
		{`"ping"`, "bad_json", "string", ""},
		{`17`, "bad_json", "number", ""},
		{`null`, "bad_json", "null", ""},
		{`true`, "bad_json", "bool", ""},
		{`{"id":1}`, "unknown_op", "op", "1"},
		{`{}`, "unknown_op", "op", ""},
		{`{"op":"subcribe","id":2}`, "unknown_op", "subcribe", "2"},
		{`{"op":"` + strings.Repeat("x", 5000) + `","id":2}`, "unknown_op", "xxx", "2"},
		{`{"op":5,"id":3}`, "bad_field", "op", "3"},
		{`{"op":null,"id":3}`, "unknown_op", "op", "3"},
		{`{"op":"subscribe","id":4,"symbols":"EUR/USD"}`, "bad_field", "symbols", "4"},
		{`{"op":"subscribe","id":5,"symbols":[1]}`, "bad_field", "symbols", "5"},
		{`{"op":"subscribe","id":5,"symbols":[["EUR/USD"]]}`, "bad_field", "symbols", "5"},
		{`{"op":"subscribe","id":6,"symbols":[]}`, "bad_field", "symbols", "6"},
		{`{"op":"subscribe","id":6}`, "bad_field", "symbols", "6"},
		{`{"op":"unsubscribe","id":6}`, "bad_field", "symbols", "6"},
		{`{"op":"subscribe","id":7,"channels":{}}`, "bad_field", "channels", "7"},
		{`{"op":"subscribe","id":8,"symbols":["EUR/USD"],"max_rate":"fast"}`, "bad_field", "max_rate", "8"},
		{`{"op":"subscribe","id":8,"symbols":["EUR/USD"],"max_rate":-1}`, "bad_field", "max_rate", "8"},
		{`{"op":"subscribe","id":8,"symbols":["EUR/USD"],"max_rate":1e400}`, "bad_field", "max_rate", "8"},
		{`{"op":"subscribe","id":8,"symbols":["EUR/USD"],"max_rate":NaN}`, "bad_json", "", ""},
		{`{"op":"subscribe","id":9,"symbols":["EUR/USD"],"mode":"all","max_rate":1}`, "bad_field", "max_rate", "9"},
		{`{"op":"subscribe","id":9,"symbols":["EUR/USD"],"mode":"most"}`, "bad_field", "mode", "9"},
		{`{"op":"subscribe","id":9,"symbols":["EUR/USD"],"mode":1}`, "bad_field", "mode", "9"},
		{`{"op":"subscribe","id":10,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":"k"}}}`, "bad_field", "since", "10"},
		{`{"op":"subscribe","id":10,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":"k","seq":-1}}}`, "bad_field", "since", "10"},
		{`{"op":"subscribe","id":10,"symbols":["EUR/USD"],"mode":"all","since":{"EUR":{"epoch":"k","seq":1}}}`, "bad_field", "since", "10"},
		{`{"op":"subscribe","id":10,"symbols":["EUR/USD"],"mode":"all","since":7}`, "bad_field", "since", "10"},
		{`{"op":"ping","id":{"a":1}}`, "bad_field", "id", ""},
		{`{"op":"ping","id":[1]}`, "bad_field", "id", ""},
		{`{"op":"ping","id":true}`, "bad_field", "id", ""},
		{`{"op":"ping","id":"` + strings.Repeat("i", 80) + `"}`, "bad_field", "id", ""},
		{strings.Repeat(`{"a":`, 6000), "bad_json", "", ""},
	} {
		c.Say(tc.in)
		m := c.Next()
		if m.Type != "error" || m.ErrorCode() != tc.code || !strings.Contains(m.Message, tc.names) || string(m.ID) != tc.id || m.Message == "" {
			t.Errorf("%.60s: got %s, want %s naming %q with id %q", tc.in, m.Raw, tc.code, tc.names, tc.id)
		}
		if len(m.Raw) > 500 || strings.Contains(m.Raw, "Unmarshal") || strings.Contains(m.Raw, "web.command") {
			t.Errorf("%.60s: answered with %s", tc.in, m.Raw)
		}
		c.Say(`{"op":"ping"}`)
		c.Want("pong")
	}

	t.Run("many symbols", func(t *testing.T) {
		c := webtest.NewClient(c.Peer, t)
		const count = 3000
		names := make([]string, count)
		for i := range names {
			names[i] = fmt.Sprintf("Q%04d", i)
		}
		in, _ := json.Marshal(map[string]any{"op": "subscribe", "id": 1, "symbols": names})
		c.Say(string(in))
		if a := c.Want("ack"); len(a.OK) != 0 || len(a.Failed) != count || a.Failed[2999].Symbol != "Q2999" || a.Failed[2999].Code != "unknown_symbol" {
			t.Errorf("%d ok, %d failed of %d", len(a.OK), len(a.Failed), count)
		}
		codes := []string{"EUR", "USD", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "TRY", "ZAR"}
		var pairs []string
		for _, a := range codes {
			for _, b := range codes {
				if a != b {
					pairs = append(pairs, a+"/"+b)
				}
			}
		}
		in, _ = json.Marshal(map[string]any{"op": "subscribe", "id": 2, "symbols": pairs})
		c.Say(string(in))
		a := c.Want("ack")
		if len(a.OK) != 200 || len(a.Failed) != len(pairs)-200 {
			t.Errorf("%d ok, %d failed of %d", len(a.OK), len(a.Failed), len(pairs))
		}
		for _, f := range a.Failed {
			if f.Code != "too_many_symbols" || !strings.Contains(f.Message, "200") {
				t.Fatalf("failed: %+v", f)
			}
		}
	})
}

// TestEndings ends connections in every way a client can bring about. The client
// must get the code although it sends on.
func TestEndings(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = kind == "tls"; c.Commands = 5; c.Conns = 4 })
			token, _ := n.SignIn("ends", "user")
			connect := func(t *testing.T) *webtest.Client {
				c, _ := n.Connect(token)
				t.Cleanup(func() { c.Close() })
				return webtest.NewClient(c.Peer, t)
			}
			t.Run("1009 big message", func(t *testing.T) {
				c := connect(t)
				go c.Peer.SendFrame(true, webtest.OpText, make([]byte, 1<<20))
				c.WantClose(1009)
			})
			t.Run("1009 by one byte", func(t *testing.T) {
				c := connect(t)
				c.Say(`{"op":"ping","id":1}` + strings.Repeat(" ", live.MaxMessageBytes-20))
				c.Until("pong")
				c.Say(strings.Repeat(" ", live.MaxMessageBytes+1))
				c.WantClose(1009)
			})
			t.Run("1007 not UTF-8", func(t *testing.T) {
				c := connect(t)
				c.Say("{\"op\":\"ping\",\"id\":\"\xff\"}")
				c.WantClose(1007)
			})
			t.Run("1003 binary", func(t *testing.T) {
				c := connect(t)
				c.Peer.SendFrame(true, webtest.OpBinary, []byte(`{"op":"ping"}`))
				c.WantClose(1003)
			})
			t.Run("1002 protocol error", func(t *testing.T) {
				c := connect(t)
				c.Peer.SendFrame(true, 0x3, []byte("x"))
				c.SetDeadline(time.Now().Add(webtest.Patience))
				for {
					f, err := c.ReadFrame()
					if err != nil {
						t.Fatalf("want close 1002, got %v", err)
					}
					if f.Opcode == webtest.OpClose {
						if f.Code() != 1002 {
							t.Errorf("closed with %d", f.Code())
						}
						return
					}
				}
			})
			t.Run("1008 bad messages", func(t *testing.T) {
				c := connect(t)
				for range 60 { // in one go: the last ones after the close frame
					c.Say("nonsense")
				}
				if m := c.WantClose(1008); m.Type != "error" || m.ErrorCode() != "bad_json" {
					t.Errorf("before the close came %s", m.Raw)
				}
			})
			t.Run("1008 and in between pings", func(t *testing.T) {
				c := connect(t)
				for range 20 {
					c.Say("nonsense")
				}
				var f webtest.Frame
				var err error
				for err == nil && f.Opcode != webtest.OpClose {
					f, err = c.ReadFrame()
				}
				if err != nil || f.Code() != 1008 {
					t.Fatalf("%v %v, want close 1008", f, err)
				}
				// What was on its way when the close frame came must not cost the handshake.
				for range 5 {
					c.Peer.SendFrame(true, webtest.OpPing, []byte("on its way"))
					c.Say(`{"op":"list"}`)
					time.Sleep(2 * time.Millisecond)
				}
				c.Peer.SendFrame(true, webtest.OpClose, f.Payload)
				if f, err := c.ReadFrame(); err != io.EOF {
					t.Errorf("got %v %v, want the end", f, err)
				}
			})
			t.Run("19 bad, one good", func(t *testing.T) {
				c := connect(t)
				for range 3 {
					for range 19 {
						c.Say(`{"op":"nothing"}`)
						c.Until("error")
					}
					c.Say(`{"op":"ping"}`)
					if m := c.Next(); m.Type != "pong" {
						t.Fatalf("got %s", m.Raw)
					}
				}
			})
			t.Run("4029 too fast", func(t *testing.T) {
				c := connect(t)
				for range 100 {
					c.Say(`{"op":"ping","id":1}`)
				}
				pongs, limited := 0, 0
				for m := c.Next(); ; m = c.Next() {
					if m.Type == "pong" {
						pongs++
						continue
					}
					if m.Type == "closing" {
						if string(m.Code) != "4029" || m.Reconnect < 1000 || m.Reason == "" {
							t.Errorf("closing: %s", m.Raw)
						}
						break
					}
					if m.Type != "error" || m.ErrorCode() != "rate_limited" || m.Retry < 1 || m.Retry > 1000 || string(m.ID) != "1" {
						t.Fatalf("got %s", m.Raw)
					}
					limited++
				}
				if pongs < 5 || pongs > 9 || limited != 20 {
					t.Errorf("%d pongs, %d refusals at 5 commands a second", pongs, limited)
				}
				c.WantClose(4029)
			})
			t.Run("1000 by the client", func(t *testing.T) {
				c := connect(t)
				c.Peer.SendFrame(true, webtest.OpClose, webtest.ClosePayload(1000, "bye"))
				for {
					f, err := c.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					if f.Opcode == webtest.OpClose {
						if f.Code() != 1000 {
							t.Errorf("closed with %d", f.Code())
						}
						break
					}
				}
			})
			t.Run("4009 too many", func(t *testing.T) {
				webtest.Eventually(t, "the others have gone", func() bool { return n.Hub.Clients() == 0 })
				token, _ := n.SignIn("crowd", "user")
				var in []*webtest.Client
				for range 4 {
					c, _ := n.Connect(token)
					in = append(in, c)
				}
				// Upgraded, then told. What it sends meanwhile must not matter: it was
				// sent with the handshake.
				early := append(webtest.Masked(true, webtest.OpPing, []byte("early")), webtest.Masked(true, webtest.OpPong, nil)...)
				p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), early)
				if resp.StatusCode != 101 {
					t.Fatal(resp.Status)
				}
				defer p.Close()
				if m := webtest.NewClient(p, t).WantClose(4009); m.Type != "" {
					t.Errorf("before the close came %s", m.Raw)
				}
				other, _ := n.SignIn("someone-else", "user")
				n.Connect(other)
				in[0].Close()
				webtest.Eventually(t, "there is room again", func() bool {
					c := n.Dial(token)
					m, err := c.Receive()
					c.Close()
					return err == nil && m.Type == "welcome"
				})
			})
		})
	}
}

// TestRefusedBeforeTheUpgrade wants problem+json for each.
func TestRefusedBeforeTheUpgrade(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Origins = []string{"https://*.good.example", "exact.example", "http://plain.example:8000"}
	})
	token, _ := n.SignIn("bob", "user")
	host := n.Public.Listener.Addr().String()
	with := func(pairs ...string) http.Header {
		h := webtest.Bearer(token)
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = []string{pairs[i+1]}
			if pairs[i+1] == "" {
				h[pairs[i]] = nil
			}
		}
		return h
	}
	for _, tc := range []struct {
		name   string
		path   string
		header http.Header
		want   int
		says   string
	}{
		{"same origin", "/ws", with("Origin", "http://"+host), 101, ""},
		{"no origin", "/ws", with(), 101, ""},
		{"listed origin", "/ws", with("Origin", "https://a.good.example"), 101, ""},
		{"listed host", "/ws", with("Origin", "http://exact.example"), 101, ""},
		{"listed host, upper case", "/ws", with("Origin", "https://EXACT.example"), 101, ""},
		{"listed with port", "/ws", with("Origin", "http://plain.example:8000"), 101, ""},
		{"other port", "/ws", with("Origin", "http://plain.example:8001"), 403, "ALLOWED_ORIGINS"},
		{"other scheme", "/ws", with("Origin", "http://a.good.example"), 403, "ALLOWED_ORIGINS"},
		{"other site", "/ws", with("Origin", "https://evil.example"), 403, "ALLOWED_ORIGINS"},
		{"suffix", "/ws", with("Origin", "https://exact.example.evil.example"), 403, "ALLOWED_ORIGINS"},
		{"user info", "/ws", with("Origin", "https://exact.example@evil.example"), 403, "ALLOWED_ORIGINS"},
		{"null", "/ws", with("Origin", "null"), 403, "ALLOWED_ORIGINS"},
		{"file", "/ws", with("Origin", "file://"), 403, "ALLOWED_ORIGINS"},
		{"garbage origin", "/ws", with("Origin", "%zz"), 403, "ALLOWED_ORIGINS"},
		{"no session", "/ws", http.Header{}, 401, "sign in"},
		{"bad bearer", "/ws", webtest.Bearer("nonsense"), 401, "sign in"},
		{"unknown bearer", "/ws", webtest.Bearer(strings.Repeat("A", 43)), 401, "sign in"},
		{"bad ticket", "/ws?ticket=nonsense", http.Header{}, 401, "sign in"},
		{"bad ticket and good bearer", "/ws?ticket=nonsense", with(), 401, "sign in"},
		{"subprotocol", "/ws", with("Sec-Websocket-Protocol", "fx.v1"), 101, ""},
		{"one of the subprotocols", "/ws", with("Sec-Websocket-Protocol", "soap, fx.v1"), 101, ""},
		{"other subprotocol", "/ws", with("Sec-Websocket-Protocol", "soap"), 400, "fx.v1"},
		{"no upgrade", "/ws", with("Upgrade", ""), 426, "WebSocket"},
		{"no connection", "/ws", with("Connection", "keep-alive"), 426, "WebSocket"},
		{"other upgrade", "/ws", with("Upgrade", "h2c"), 426, "WebSocket"},
		{"old version", "/ws", with("Sec-Websocket-Version", "8"), 426, "13"},
		{"no version", "/ws", with("Sec-Websocket-Version", ""), 426, "13"},
		{"no key", "/ws", with("Sec-Websocket-Key", ""), 400, "Key"},
		{"short key", "/ws", with("Sec-Websocket-Key", "c2hvcnQ="), 400, "Key"},
	} {
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), tc.path, tc.header, nil)
		body := ""
		if tc.want != 101 {
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(resp.Body, 1<<16), resp.Body}
			b, _ := io.ReadAll(resp.Body)
			body = string(b)
		}
		p.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%s: %s %s, want %d", tc.name, resp.Status, body, tc.want)
			continue
		}
		switch tc.want {
		case 101:
			if offered, chosen := tc.header["Sec-Websocket-Protocol"], resp.Header.Get("Sec-Websocket-Protocol"); offered != nil && chosen != "fx.v1" || offered == nil && chosen != "" {
				t.Errorf("%s: subprotocol %q", tc.name, chosen)
			}
			continue
		case 426:
			if !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
				t.Errorf("%s: 426 without the header Upgrade", tc.name)
			}
			if strings.Contains(tc.name, "version") && resp.Header.Get("Sec-Websocket-Version") != "13" {
				t.Errorf("%s: the answer does not say which version", tc.name)
			}
		}
		a := webtest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
		if resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", tc.name, resp.StatusCode, resp.Header.Get("Content-Type"))
		} else if pr := a.Problem(t, tc.want); !strings.Contains(pr.Detail, tc.says) {
			t.Errorf("%s: detail %q does not name %q", tc.name, pr.Detail, tc.says)
		}
		if strings.Contains(body, token) {
			t.Errorf("%s: shows the token", tc.name)
		}
	}
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("GET", "/ws", "", webtest.Bearer(token)).Problem(t, 426)
	h.Do("POST", "/ws", "", webtest.Bearer(token)).Problem(t, 405)
}

// TestWaysToSignIn connects by cookie, bearer and ticket; a ticket opens once.
func TestWaysToSignIn(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Rate.PerMinute = 12 })
	token, sess := n.SignIn("carol", "user")
	welcome := func(path string, h http.Header) webtest.Message {
		t.Helper()
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), path, h, nil)
		if resp.StatusCode != 101 {
			t.Fatal(resp.Status)
		}
		t.Cleanup(func() { p.Close() })
		return webtest.NewClient(p, t).Want("welcome")
	}
	if m := welcome("/ws", http.Header{"Cookie": {"a=b; session_id=" + token}}); m.Session.ID != sess.ID {
		t.Errorf("by cookie: %s", m.Raw)
	}
	if m := welcome("/ws", webtest.Bearer(token)); m.Session.ID != sess.ID {
		t.Errorf("by bearer: %s", m.Raw)
	}
	h := webtest.NewHTTPClient(t, n.Public)
	var ticket struct {
		Ticket  string
		Expires int `json:"expires_in"`
	}
	h.Do("POST", "/api/v1/ws-ticket", "", webtest.Bearer(token)).Into(t, 200, &ticket)
	if ticket.Expires != 30 || ticket.Ticket == "" || ticket.Ticket == token {
		t.Errorf("ticket: %+v", ticket)
	}
	// Another origin does not use it up.
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws?ticket="+ticket.Ticket, http.Header{"Origin": {"https://evil.example"}}, nil)
	p.Close()
	if resp.StatusCode != 403 {
		t.Errorf("ticket from another origin: %s", resp.Status)
	}
	if m := welcome("/ws?ticket="+ticket.Ticket, nil); m.Session.ID != sess.ID {
		t.Errorf("by ticket: %s", m.Raw)
	}
	p, resp = webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws?ticket="+ticket.Ticket, nil, nil)
	p.Close()
	if resp.StatusCode != 401 {
		t.Errorf("a ticket used twice: %s, want 401", resp.Status)
	}
	if strings.Contains(n.Log.String(), ticket.Ticket) || strings.Contains(n.Log.String(), token) {
		t.Error("the log holds a ticket or a token")
	}
	// Connects count against the user's tier.
	limited := false
	for range 12 {
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), nil)
		if p.Close(); resp.StatusCode == 429 {
			limited = true
			if resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("429 with %v", resp.Header)
			}
			break
		}
	}
	if !limited {
		t.Error("connects were not limited")
	}
}

// TestRoles lets a role see what it is granted and no more.
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
