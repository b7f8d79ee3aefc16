package live_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
)

// TestBadMessages tests that each bad message gets a clear answer, and that the connection stays.
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
		const count = 1000
		names := make([]string, count)
		for i := range names {
			names[i] = fmt.Sprintf("Q%04d", i)
		}
		in, _ := json.Marshal(map[string]any{"op": "subscribe", "id": 1, "symbols": names})
		c.Say(string(in))
		if a := c.Want("ack"); len(a.OK) != 0 || len(a.Failed) != count || a.Failed[count-1].Symbol != "Q0999" || a.Failed[count-1].Code != "unknown_symbol" {
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

// TestLongCommands checks that a long command counts as several, and that its refusal has the ID and
// says why.
func TestLongCommands(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Commands = 4 })
	long := `{"op":"unsubscribe","id":"long","symbols":["` + strings.Repeat(`EUR/USD","`, 500) + `EUR/USD"]}`
	list := `{"op":"list","id":"short"}`
	for _, tc := range []struct {
		what     string
		commands []string
		refused  string // the ID of the last one
	}{
		{"five short ones", []string{list, list, list, list, list}, `"short"`},
		{"two long ones", []string{long, long}, ``},
		{"a third long one", []string{long, long, long}, `"long"`},
		{"one as long as a message may be", []string{`{"op":"list","id":1,"x":"` + strings.Repeat("x", 32<<10-27) + `"}`}, ``},
		{"a short one after it", []string{`{"op":"list","id":1,"x":"` + strings.Repeat("x", 32<<10-27) + `"}`, list}, `"short"`},
	} {
		c := n.User()
		var last webtest.Message
		for _, command := range tc.commands {
			c.Say(command)
			last = c.Next()
		}
		switch refused := last.Type == "error"; {
		case tc.refused == "" && refused:
			t.Errorf("%s: %s", tc.what, last.Raw)
		case tc.refused != "" && (last.ErrorCode() != "rate_limited" || string(last.ID) != tc.refused || last.Retry <= 0):
			t.Errorf("%s: %.200s, want rate_limited with id %s", tc.what, last.Raw, tc.refused)
		}
	}
}

// TestRefusedLongCommandsTakeTime checks that a client which sends long commands without waiting for
// answers is not read as fast as it sends: many such clients would keep the hub from the processors.
func TestRefusedLongCommandsTakeTime(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Commands = 4 })
	c := n.User()
	began, refused := time.Now(), 0
	const sent = 14
	for range sent {
		c.Say(`{"op":"list","x":"` + strings.Repeat("x", 5<<10) + `"}`)
	}
	for range sent {
		if c.Next().Type == "error" {
			refused++
		}
	}
	if took, least := time.Since(began), time.Duration(refused-1)*live.RefusedDelay; refused < 5 || took < least {
		t.Errorf("%d long commands were refused within %v, want at least %v", refused, took, least)
	}
}

// TestEndings ends connections in every way that a client can cause. The client must receive the
// code although it goes on sending.
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
				for range 60 { // in one write: the last ones follow the close frame
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
				// Messages that were in flight when the close frame came must not break the handshake.
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
				// The connection is upgraded before it is refused. The message that it sends with the
				// handshake must not matter.
				early := append(webtest.Masked(true, webtest.OpPing, []byte("early")), webtest.Masked(true, webtest.OpPong, nil)...)
				p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), early)
				if resp.StatusCode != 101 {
					t.Fatal(resp.Status)
				}
				defer p.Close()
				refused := webtest.NewClient(p, t)
				checkRefusal(t, refused.Want("closing"), 20*time.Second)
				refused.WantClose(4009)
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
