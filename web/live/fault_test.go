package live_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestSessionEndsSockets revokes a session on one node: its sockets close on both.
func TestSessionEndsSockets(t *testing.T) {
	t.Parallel()
	a := webtest.Start(t, nil)
	b := webtest.Start(t, func(c *webtest.Config) { c.Redis = a.Redis })
	token, sess := a.SignIn("eve", "user")
	other, _ := a.SignIn("eve", "user")
	onA, _ := a.Connect(token)
	onB, _ := b.Connect(token)
	stays, _ := b.Connect(other)
	onA.Say(`{"op":"subscribe","symbols":["*"]}`)
	onA.Want("ack")
	start := time.Now()
	webtest.NewHTTPClient(t, a.Public).Do("DELETE", "/api/v1/session", "", webtest.Bearer(token))
	onA.WantClose(4001)
	onB.WantClose(4001)
	if d := time.Since(start); d > 4*time.Second { // 1 s by the contract, on an idle machine; 5 s without the notice
		t.Errorf("closed after %v", d)
	}
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, b.Public), "/ws", webtest.Bearer(token), nil)
	p.Close()
	if resp.StatusCode != 401 {
		t.Errorf("with a revoked session: %s", resp.Status)
	}
	stays.Say(`{"op":"ping"}`)
	stays.Want("pong")

	// A key that another program deletes.
	token, sess = b.SignIn("frank", "user")
	gone, _ := b.Connect(token)
	if err := b.RDB.Del(t.Context(), "session:"+sess.ID).Err(); err != nil {
		t.Fatal(err)
	}
	gone.WantClose(4001)
}

// TestRelayedChannels relays JSON as it is and other text as a string.
func TestRelayedChannels(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Channels = []string{"news", "alerts"} })
	c := n.User()
	c.Say(`{"op":"subscribe","id":1,"channels":["news"]}`)
	c.Want("ack")
	publish := func(channel, data string) {
		t.Helper()
		if err := n.RDB.Publish(t.Context(), channel, data).Err(); err != nil {
			t.Fatal(err)
		}
	}
	// On a busy machine the node may take a slow Redis for lost; such a status is skipped.
	publish("alerts", `"not for this client"`)
	for _, tc := range [][2]string{
		{`{"title":"ECB holds","x":[1,2.50,"é"]}`, `{"title":"ECB holds","x":[1,2.50,"é"]}`},
		{`17`, `17`},
		{`null`, `null`},
		{`plain text`, `"plain text"`},
		{``, `""`},
		{`{"broken":`, `"{\"broken\":"`},
		{"bad \xff utf-8", `"bad ` + "\ufffd" + ` utf-8"`},
		{`"` + strings.Repeat("x", 16<<10-2) + `"`, `"` + strings.Repeat("x", 16<<10-2) + `"`},
	} {
		publish("news", tc[0])
		if m := c.Until("message"); m.Channel != "news" || string(m.Data) != tc[1] && tc[0] != "null" || m.Dropped != 0 || !strings.Contains(m.Raw, `"data":`+tc[1]) {
			t.Errorf("%.40q came as %.100s", tc[0], m.Raw)
		}
	}
	publish("news", `"`+strings.Repeat("x", 16<<10)+`"`) // too long
	publish("news", `"after"`)
	if m := c.Until("message"); string(m.Data) != `"after"` {
		t.Errorf("after a message over 16 KB: %.100s", m.Raw)
	}

	// A client that does not read loses the oldest messages, and receives their number.
	for i := range 600 {
		publish("news", fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 15000)))
	}
	next, dropped := 0, 0
	for next < 600 {
		m := c.Until("message")
		var got struct{ N int }
		if err := json.Unmarshal(m.Data, &got); err != nil {
			t.Fatal(err)
		}
		if got.N != next+m.Dropped {
			t.Fatalf("message %d with %d dropped came after %d", got.N, m.Dropped, next-1)
		}
		dropped += m.Dropped
		next = got.N + 1
	}
	if dropped == 0 {
		t.Log("nothing was dropped: the kernel's buffers held 9 MB")
	}
	c.Say(`{"op":"unsubscribe","id":2,"channels":["news","alerts"]}`)
	if a := c.Until("ack"); !slices.Equal(a.OK, []string{"news"}) || len(a.Failed) != 1 || a.Failed[0].Code != "not_subscribed" {
		t.Errorf("ack: %s", a.Raw)
	}
	publish("news", `"not any more"`)
	c.Say(`{"op":"ping"}`)
	for m := c.Next(); m.Type != "pong"; m = c.Next() {
		if m.Type != "status" {
			t.Errorf("after the unsubscribe: %s", m.Raw)
		}
	}
}

// TestStatusOfSymbols waits through the life of a quote.
func TestStatusOfSymbols(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.StaleAfter, c.QuoteTTL, c.LastKnown = 300*time.Millisecond, 600*time.Millisecond, 2*time.Second
	})
	c := n.User()
	c.Say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"]}`)
	c.Want("ack")
	if m := c.Want("status"); m.Symbol != "EUR/USD" || m.Status != "unknown" {
		t.Errorf("before the first quote: %s", m.Raw)
	}
	for range 2 {
		n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
		if m := c.Want("status"); m.Status != "live" || m.Symbol != "EUR/USD" {
			t.Errorf("got %s, want live", m.Raw)
		}
		if q := c.Want("update").Quotes(t)[0]; q.Status != "" {
			t.Errorf("a live quote: %+v", q)
		}
		m := c.Want("status")
		if m.Status != "stale" && m.Status != "closed" || m.Since == "" {
			t.Errorf("got %s, want stale, or closed at the weekend", m.Raw)
		}
		// Subscribing again shows it in the quote.
		c.Say(`{"op":"subscribe","id":2,"symbols":["EUR/USD"]}`)
		c.Want("ack")
		if q := c.Want("snapshot").Quotes(t)[0]; q.Status != m.Status {
			t.Errorf("snapshot: %+v, want status %s", q, m.Status)
		}
		if m := c.Want("status"); m.Status != "unknown" {
			t.Errorf("got %s, want unknown", m.Raw)
		}
		c.Say(`{"op":"subscribe","id":3,"symbols":["EUR/USD"]}`)
		c.Want("ack")
		if m := c.Want("status"); m.Status != "unknown" { // and no snapshot
			t.Errorf("got %s, want unknown", m.Raw)
		}
	}
}

// TestDrain shuts down a node with clients, one of which does not read.
func TestDrain(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = kind == "tls" })
			token, _ := n.SignIn("hal", "user")
			var clients []*webtest.Client
			for range 30 {
				c, _ := n.Connect(token)
				clients = append(clients, c)
			}
			var done sync.WaitGroup
			for _, c := range clients {
				done.Go(func() {
					for {
						m, err := c.Receive()
						if err != nil {
							t.Errorf("before the closing message: %v", err)
							return
						}
						if m.Type == "closing" {
							if string(m.Code) != "1012" || m.Reconnect < 1 || m.Reconnect > 10000 {
								t.Errorf("closing: %s", m.Raw)
							}
							break
						}
					}
					f, err := c.ReadFrame()
					if err != nil || f.Code() != 1012 {
						t.Errorf("after the closing message: %v %v", f, err)
						return
					}
					c.Peer.SendFrame(true, webtest.OpClose, f.Payload)
					if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
						t.Errorf("after the handshake: %v", err)
					}
				})
			}
			n.Web.StopAccepting()
			h := webtest.NewHTTPClient(t, n.Public)
			var ready struct {
				Status string
				Checks []web.Check
			}
			h.Do("GET", "/readyz", "", nil).Into(t, 503, &ready)
			if i := slices.IndexFunc(ready.Checks, func(c web.Check) bool { return c.Name == "accepting" }); i < 0 || ready.Checks[i].OK {
				t.Errorf("readyz: %+v", ready)
			}
			p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), nil)
			p.Close()
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("connecting to a node that goes down: %s", resp.Status)
			}
			n.Stop()
			done.Wait()
		})
	}
}
