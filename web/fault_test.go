package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
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
	if d := time.Since(start); d > 2*time.Second { // 1 s by the contract, on an idle machine
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
		if m := c.Want("message"); m.Channel != "news" || string(m.Data) != tc[1] && tc[0] != "null" || m.Dropped != 0 || !strings.Contains(m.Raw, `"data":`+tc[1]) {
			t.Errorf("%.40q came as %.100s", tc[0], m.Raw)
		}
	}
	publish("news", `"`+strings.Repeat("x", 16<<10)+`"`) // too long
	publish("news", `"after"`)
	if m := c.Want("message"); string(m.Data) != `"after"` {
		t.Errorf("after a message over 16 KB: %.100s", m.Raw)
	}

	// A client that does not read loses the oldest and is told how many.
	for i := range 600 {
		publish("news", fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 15000)))
	}
	next, dropped := 0, 0
	for next < 600 {
		m := c.Want("message")
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
	if a := c.Want("ack"); !slices.Equal(a.OK, []string{"news"}) || len(a.Failed) != 1 || a.Failed[0].Code != "not_subscribed" {
		t.Errorf("ack: %s", a.Raw)
	}
	publish("news", `"not any more"`)
	c.Say(`{"op":"ping"}`)
	c.Want("pong")
}

// TestRedisLost kills Redis under connected clients: they stay, are told, and
// go on when it is back.
func TestRedisLost(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Redis = redistest.Start(t, redistest.Durable...) })
	token, _ := n.SignIn("gina", "user")
	c, _ := n.Connect(token)
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	c.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	c.Want("ack")
	for m := c.Next(); m.Type != "snapshot" && m.Type != "update"; m = c.Next() {
	}
	n.Redis.Kill()
	for m := c.Until("status"); m.Symbol != "" || m.Status != "degraded"; m = c.Until("status") {
	}
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("GET", "/livez", "", nil).Into(t, 200, new(any))
	if a := h.Do("GET", "/api/v1/quotes", "", webtest.Bearer(token)); a.Problem(t, 503).Detail == "" || a.Header.Get("Retry-After") == "" {
		t.Errorf("without Redis: %v", a)
	}
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), nil)
	p.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("connecting without Redis: %s %v", resp.Status, resp.Header)
	}
	c.Say(`{"op":"ping"}`)
	c.Until("pong")
	if a := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, webtest.Bearer(webtest.PublishToken)); a.Problem(t, 503).Detail == "" {
		t.Errorf("publishing without Redis: %v", a)
	}
	n.Redis.Restart()
	for m := c.Until("status"); m.Symbol != "" || m.Status != "ok"; m = c.Until("status") {
	}
	webtest.Eventually(t, "quotes are accepted again", func() bool {
		return h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.30","ask":"1.31"}`, webtest.Bearer(webtest.PublishToken)).Status == 200
	})
	for {
		if q := c.Until("update").Quotes(t); q[len(q)-1].Bid == "1.30" {
			break
		}
	}
}

// TestRedisFull has answers say what is wrong: a full Redis is there and answers.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Redis = redistest.Start(t) })
	n.Publish([3]string{"EUR/USD", "1.1", "1.2"})
	if err := n.RDB.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	h := webtest.NewHTTPClient(t, n.Public)
	if a := h.Do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, webtest.Bearer(webtest.PublishToken)); a.Problem(t, 503).Detail != "Redis is full and refuses to write; 0 of 1 quotes are settled, the others were not accepted" {
		t.Errorf("publishing: %s", a.Body)
	}
	if a := n.Operator().Ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`); a.Problem(t, 503).Detail != "Redis is full and refuses to write; try again" {
		t.Errorf("a session: %s", a.Body)
	}
}

// TestStatusOfSymbols waits through the life of a quote.
func TestStatusOfSymbols(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.StaleAfter, c.QuoteTTL = 300*time.Millisecond, 1500*time.Millisecond })
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

// TestDrain takes a node down with clients on it, one of which does not read.
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

// TestStuckReaders has clients that never read, or read one byte a second: the
// others get the newest quote at once, and nothing is left of the stuck ones.
func TestStuckReaders(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = kind == "tls"; c.WriteTimeout = 1500 * time.Millisecond })
			token, _ := n.SignIn("ian", "user")
			var stuck []*webtest.Client
			for i := range 6 {
				c := n.Dial(token)
				if tcp, ok := c.Conn.(*net.TCPConn); ok {
					tcp.SetReadBuffer(4 << 10)
				}
				c.Want("welcome")
				c.Say(`{"op":"subscribe","symbols":["*"]}`)
				if i == 0 { // reads on, a byte a second
					stop, done := make(chan struct{}), make(chan struct{})
					defer func() { close(stop); c.Close(); <-done }()
					go func() {
						defer close(done)
						tick := time.NewTicker(time.Second)
						defer tick.Stop()
						for b := []byte{0}; ; {
							if _, err := c.Conn.Read(b); err != nil {
								return
							}
							select {
							case <-tick.C:
							case <-stop:
								return
							}
						}
					}()
				}
				stuck = append(stuck, c)
			}
			good, _ := n.Connect(token)
			good.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
			good.Want("ack")
			codes := []string{"USD", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK"}
			var worst time.Duration
			for i := 0; n.Hub.Clients() > 2; i++ { // the good one, and perhaps the slow one
				if i > 3000 {
					t.Fatalf("%d clients are left", n.Hub.Clients())
				}
				var all [][3]string
				for _, a := range codes {
					for _, b := range codes {
						if a != b {
							all = append(all, [3]string{a + "/" + b, fmt.Sprintf("1.%05d", i+1), "2"})
						}
					}
				}
				bid := fmt.Sprintf("1.%05d", i+1)
				all = append(all, [3]string{"EUR/USD", bid, "2"})
				start := time.Now()
				n.Publish(all...)
				for got := ""; got != bid; {
					if m := good.Next(); m.Type == "update" || m.Type == "snapshot" {
						q := m.Quotes(t)
						got = q[len(q)-1].Bid
					}
				}
				worst = max(worst, time.Since(start))
			}
			if worst > 2*time.Second {
				t.Errorf("beside stuck clients a quote took %v", worst)
			}
			// Whatever a stuck client reads in the end is whole up to where it was cut.
			// The kernel may take its time to send it.
			var reading sync.WaitGroup
			for _, c := range stuck[1:] {
				reading.Go(func() {
					c.SetReadDeadline(time.Now().Add(2 * time.Second))
					for {
						f, err := c.ReadFrame()
						if errors.Is(err, webtest.ErrFrame) || f.Opcode == webtest.OpClose && f.Code() != 1013 {
							t.Errorf("a stuck client read %v %v", f.Opcode, err)
						}
						if err != nil || f.Opcode == webtest.OpClose {
							return
						}
					}
				})
			}
			reading.Wait()
		})
	}
}

// untilEnd reads until the connection ends.
func untilEnd(c *webtest.Client) error {
	for {
		if _, err := c.Receive(); err != nil {
			return err
		}
	}
}

// TestUnfinishedMessages lets clients begin what they never end: the server must
// be rid of them in bounded time, whatever it was doing.
func TestUnfinishedMessages(t *testing.T) {
	huge := slices.Clip(append(webtest.FrameHead(true, webtest.OpText, 1<<40), 1, 2, 3, 4))
	drip := func(p *webtest.Peer, b []byte) {
		for {
			if _, err := p.Write(b); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	cases := map[string]struct {
		send func(p *webtest.Peer)
		most time.Duration
	}{
		// Each of these had begun when the server's close frame went out.
		"huge message, then silence":   {func(p *webtest.Peer) { p.Write(append(huge, make([]byte, 40<<10)...)) }, 8 * time.Second},
		"huge message without end":     {func(p *webtest.Peer) { p.Write(append(huge, make([]byte, 40<<10)...)); drip(p, make([]byte, 100)) }, 8 * time.Second},
		"binary, then half a huge one": {func(p *webtest.Peer) { p.SendFrame(true, webtest.OpBinary, nil); p.Write(append(huge, 1)) }, 8 * time.Second},
		"not UTF-8, then small ones": {func(p *webtest.Peer) {
			p.SendFrame(true, webtest.OpText, []byte("\xff"))
			drip(p, webtest.Masked(true, webtest.OpText, []byte("x")))
		}, 8 * time.Second},
		"half a head":    {func(p *webtest.Peer) { p.Write([]byte{0x81}); p.Conn.(interface{ CloseWrite() error }).CloseWrite() }, 5 * time.Second},
		"half a message": {func(p *webtest.Peer) { p.Write(webtest.Masked(true, webtest.OpText, []byte("hello"))[:8]) }, web.MessageTime + 4*time.Second},
		"zero-length fragments for ever": {func(p *webtest.Peer) {
			p.SendFrame(false, webtest.OpText, nil)
			drip(p, webtest.Masked(false, webtest.OpContinuation, nil))
		}, web.MessageTime + 4*time.Second},
		"one byte at a time": {func(p *webtest.Peer) {
			p.Write(webtest.FrameHead(true, webtest.OpText, 20000))
			drip(p, []byte{'x'})
		}, web.MessageTime + 4*time.Second},
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = kind == "tls" })
			token, _ := n.SignIn("pat", "user")
			var all sync.WaitGroup
			for name, tc := range cases {
				c, _ := n.Connect(token)
				all.Go(func() {
					var sending sync.WaitGroup
					start := time.Now()
					sending.Go(func() { tc.send(c.Peer) })
					c.SetReadDeadline(start.Add(tc.most))
					var err error
					for err == nil {
						_, err = c.ReadFrame()
					}
					if errors.Is(err, webtest.ErrFrame) || errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%s: after %v the client saw %v, want the end", name, time.Since(start), err)
					}
					c.Close()
					sending.Wait()
				})
			}
			all.Wait()
			webtest.Eventually(t, "all are gone", func() bool { return n.Hub.Clients() == 0 })
		})
	}
}

// TestPeersThatVanish are noticed: at once by a reset, else by pings.
func TestPeersThatVanish(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Ping = 300 * time.Millisecond; c.Heartbeat = 100 * time.Millisecond })
	token, _ := n.SignIn("jo", "user")
	polite, _ := n.Connect(token)
	polite.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	polite.Want("ack")
	quotes := make(chan webtest.Message, 10)
	go func() { // until the node is stopped
		for {
			m, err := polite.Receive()
			if err != nil {
				return
			}
			if m.Type == "update" {
				quotes <- m
			}
		}
	}()
	for _, c := range []*webtest.Client{n.Dial(token), n.Dial(token), n.Dial(token)} {
		c.Want("welcome")
		c.Say(`{"op":"subscribe","symbols":["*"]}`)
		c.Want("ack")
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close() // with a reset
	}
	webtest.Eventually(t, "resets are noticed", func() bool { return n.Hub.Clients() == 1 })

	silent, _ := n.Connect(token) // reads, but answers no ping
	start := time.Now()
	silent.SetDeadline(time.Now().Add(webtest.Patience))
	for {
		f, err := silent.ReadFrame()
		if err != nil {
			t.Fatalf("want close 1001, got %v", err)
		}
		if f.Opcode == webtest.OpClose {
			if d := time.Since(start); f.Code() != 1001 || d < 600*time.Millisecond {
				t.Errorf("closed with %d after %v", f.Code(), d)
			}
			break
		}
	}
	silent.Close()
	// The polite one has been answering all the while.
	webtest.Eventually(t, "only the polite one is left", func() bool { return n.Hub.Clients() == 1 })
	n.Publish([3]string{"EUR/USD", "1.5", "2"})
	select {
	case m := <-quotes:
		if q := m.Quotes(t)[0]; q.Bid != "1.5" {
			t.Errorf("got %s", m.Raw)
		}
	case <-time.After(webtest.Patience):
		t.Error("the polite client gets no quotes any more")
	}

	half, _ := n.Connect(token) // can be written to still, but will say no more
	half.Conn.(*net.TCPConn).CloseWrite()
	half.SetDeadline(time.Now().Add(webtest.Patience))
	if err := untilEnd(half); !errors.Is(err, io.EOF) {
		t.Errorf("half-closed: %v, want the end", err)
	}
}

// TestPingFlood wants others not to notice, and no more pongs than commands.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Commands = 20 })
	flooder, calm := n.User(), n.User()
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() {
		batch := []byte{}
		for range 200 {
			batch = append(batch, webtest.Masked(true, webtest.OpPing, make([]byte, 100))...)
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := flooder.Write(batch); err != nil {
				return
			}
		}
	})
	var pongs atomic.Int64
	flooding.Go(func() {
		for {
			f, err := flooder.ReadFrame()
			if err != nil {
				return
			}
			if f.Opcode == webtest.OpPong {
				pongs.Add(1)
			}
		}
	})
	start := time.Now()
	for range 20 {
		asked := time.Now()
		calm.Say(`{"op":"ping"}`)
		calm.Until("pong")
		if d := time.Since(asked); d > time.Second {
			t.Errorf("beside a flood a ping took %v", d)
		}
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	took := time.Since(start)
	flooder.Close()
	flooding.Wait()
	if most := int64(20*took.Seconds()) + 21; pongs.Load() > most || pongs.Load() == 0 {
		t.Errorf("%d pongs in %v at 20 commands a second", pongs.Load(), took)
	}
	webtest.Eventually(t, "the flooder is gone", func() bool { return n.Hub.Clients() == 1 })
}

// TestNothingIsLeftBehind connects and disconnects in many ways and then counts
// goroutines and descriptors. FXCAST_LONG=1 makes it 10,000 cycles.
func TestNothingIsLeftBehind(t *testing.T) {
	cycles := 1000
	if os.Getenv("FXCAST_LONG") == "1" {
		cycles = 10000
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = kind == "tls"; c.WriteTimeout = time.Second })
			token, _ := n.SignIn("kim", "user")
			count := cycles
			if kind == "tls" {
				count /= 5 // handshakes are dear
			}
			ways := []func(*webtest.Client){
				func(c *webtest.Client) { c.Close() },
				func(c *webtest.Client) {
					c.Peer.SendFrame(true, webtest.OpClose, webtest.ClosePayload(1000, ""))
					untilClose(c)
				},
				func(c *webtest.Client) { c.Peer.SendFrame(true, webtest.OpBinary, nil); untilClose(c) },
				func(c *webtest.Client) { c.Say(`{"op":"subscribe","symbols":["*"]}`); c.Want("ack"); c.Close() },
				func(c *webtest.Client) { c.Write([]byte{0x81, 0x85, 1}) },
				func(c *webtest.Client) {
					if tcp, ok := c.Conn.(*net.TCPConn); ok {
						tcp.SetLinger(0)
					}
				},
				func(c *webtest.Client) { c.Conn.(interface{ CloseWrite() error }).CloseWrite(); untilEnd(c) },
			}
			cycle := func(i int) error {
				p, resp, err := webtest.TryUpgrade(webtest.DialServer(t, n.Public), "/ws", webtest.Bearer(token), nil)
				if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					return fmt.Errorf("cycle %d: %v %v", i, resp, err)
				}
				defer p.Close()
				c := webtest.NewClient(p, t)
				if m, err := c.Receive(); err != nil || m.Type != "welcome" {
					return fmt.Errorf("cycle %d: %s %v", i, m.Raw, err)
				}
				ways[i%len(ways)](c)
				return nil
			}
			for i := range 2 * len(ways) { // what is made once and kept
				if err := cycle(i); err != nil {
					t.Fatal(err)
				}
			}
			webtest.Eventually(t, "all are gone", func() bool { return n.Hub.Clients() == 0 })
			settle := func() (goroutines, descriptors int) {
				runtime.GC()
				return runtime.NumGoroutine(), openDescriptors(t)
			}
			goroutines, descriptors := settle()
			var wg sync.WaitGroup
			var next atomic.Int64
			var publishing sync.Mutex // the hub takes one at a time of a topic
			for range 8 {
				wg.Go(func() {
					for i := int(next.Add(1)); i <= count; i = int(next.Add(1)) {
						publishing.Lock()
						publishNow(n)
						publishing.Unlock()
						if err := cycle(i); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			const slack = 20 // idle connections to Redis, the runtime's own
			deadline := time.Now().Add(webtest.Patience)
			for {
				g, d := settle()
				if n.Hub.Clients() == 0 && g <= goroutines+slack && d <= descriptors+slack {
					break
				}
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<20)
					t.Fatalf("%d clients; goroutines %d, before %d; descriptors %d, before %d\n%s",
						n.Hub.Clients(), g, goroutines, d, descriptors, stacks[:runtime.Stack(stacks, true)])
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// publishNow puts a quote straight into the hub, so that sockets are written to
// while they come and go.
func publishNow(n *webtest.Node) {
	n.Hub.Publish("EUR/USD", "direct", uint64(time.Now().UnixNano()), []byte(`{"symbol":"EUR/USD","bid":"1","ask":"2","ts":"","seq":1`), 0)
}

func untilClose(c *webtest.Client) {
	if _, ok := errors.AsType[webtest.ClosedError](untilEnd(c)); !ok {
		c.T.Error("no close frame came")
	}
}

func openDescriptors(t testing.TB) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors can not be counted here")
	}
	return len(d)
}
