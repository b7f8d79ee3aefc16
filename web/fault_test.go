package web_test

import (
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
)

// TestSessionEndsSockets revokes a session on one node: its sockets close on both.
func TestSessionEndsSockets(t *testing.T) {
	t.Parallel()
	a := startNode(t, nil)
	b := startNode(t, func(c *nodeConfig) { c.redis = a.redis })
	token, sess := a.signIn("eve", "user")
	other, _ := a.signIn("eve", "user")
	onA, _ := a.connect(token)
	onB, _ := b.connect(token)
	stays, _ := b.connect(other)
	onA.say(`{"op":"subscribe","symbols":["*"]}`)
	onA.want("ack")
	start := time.Now()
	newHTTPClient(t, a.public).do("DELETE", "/api/v1/session", "", bearer(token))
	onA.wantClose(4001)
	onB.wantClose(4001)
	if d := time.Since(start); d > 2*time.Second { // 1 s by the contract, on an idle machine
		t.Errorf("closed after %v", d)
	}
	p, resp := upgrade(t, dialServer(t, b.public), "/ws", bearer(token), nil)
	p.Close()
	if resp.StatusCode != 401 {
		t.Errorf("with a revoked session: %s", resp.Status)
	}
	stays.say(`{"op":"ping"}`)
	stays.want("pong")

	// A key that another program deletes.
	token, sess = b.signIn("frank", "user")
	gone, _ := b.connect(token)
	if err := b.rdb.Del(t.Context(), "session:"+sess.ID).Err(); err != nil {
		t.Fatal(err)
	}
	gone.wantClose(4001)
}

// TestRelayedChannels relays JSON as it is and other text as a string.
func TestRelayedChannels(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.channels = []string{"news", "alerts"} })
	c := n.user()
	c.say(`{"op":"subscribe","id":1,"channels":["news"]}`)
	c.want("ack")
	publish := func(channel, data string) {
		t.Helper()
		if err := n.rdb.Publish(t.Context(), channel, data).Err(); err != nil {
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
		if m := c.want("message"); m.Channel != "news" || string(m.Data) != tc[1] && tc[0] != "null" || m.Dropped != 0 || !strings.Contains(m.raw, `"data":`+tc[1]) {
			t.Errorf("%.40q came as %.100s", tc[0], m.raw)
		}
	}
	publish("news", `"`+strings.Repeat("x", 16<<10)+`"`) // too long
	publish("news", `"after"`)
	if m := c.want("message"); string(m.Data) != `"after"` {
		t.Errorf("after a message over 16 KB: %.100s", m.raw)
	}

	// A client that does not read loses the oldest and is told how many.
	for i := range 600 {
		publish("news", fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 15000)))
	}
	next, dropped := 0, 0
	for next < 600 {
		m := c.want("message")
		var got struct{ N int }
		if err := jsonInto(m.Data, &got); err != nil {
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
	c.say(`{"op":"unsubscribe","id":2,"channels":["news","alerts"]}`)
	if a := c.want("ack"); !slices.Equal(a.OK, []string{"news"}) || len(a.Failed) != 1 || a.Failed[0].Code != "not_subscribed" {
		t.Errorf("ack: %s", a.raw)
	}
	publish("news", `"not any more"`)
	c.say(`{"op":"ping"}`)
	c.want("pong")
}

// TestRedisLost kills Redis under connected clients: they stay, are told, and
// go on when it is back.
func TestRedisLost(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.redis = redistest.Start(t, redistest.Durable...) })
	token, _ := n.signIn("gina", "user")
	c, _ := n.connect(token)
	n.publish([3]string{"EUR/USD", "1.1", "1.2"})
	c.say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	c.want("ack")
	for m := c.next(); m.Type != "snapshot" && m.Type != "update"; m = c.next() {
	}
	n.redis.Kill()
	for m := c.until("status"); m.Symbol != "" || m.Status != "degraded"; m = c.until("status") {
	}
	h := newHTTPClient(t, n.public)
	h.do("GET", "/livez", "", nil).into(t, 200, new(any))
	if a := h.do("GET", "/api/v1/quotes", "", bearer(token)); a.problem(t, 503).Detail == "" || a.header.Get("Retry-After") == "" {
		t.Errorf("without Redis: %v", a)
	}
	p, resp := upgrade(t, dialServer(t, n.public), "/ws", bearer(token), nil)
	p.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("connecting without Redis: %s %v", resp.Status, resp.Header)
	}
	c.say(`{"op":"ping"}`)
	c.until("pong")
	if a := h.do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, bearer(publishToken)); a.problem(t, 503).Detail == "" {
		t.Errorf("publishing without Redis: %v", a)
	}
	n.redis.Restart()
	for m := c.until("status"); m.Symbol != "" || m.Status != "ok"; m = c.until("status") {
	}
	eventually(t, "quotes are accepted again", func() bool {
		return h.do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.30","ask":"1.31"}`, bearer(publishToken)).status == 200
	})
	for {
		if q := c.until("update").quotes(t); q[len(q)-1].Bid == "1.30" {
			break
		}
	}
}

// TestRedisFull has answers say what is wrong: a full Redis is there and answers.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.redis = redistest.Start(t) })
	n.publish([3]string{"EUR/USD", "1.1", "1.2"})
	if err := n.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	h := newHTTPClient(t, n.public)
	if a := h.do("POST", "/api/v1/quotes", `{"symbol":"EUR/USD","price":1}`, bearer(publishToken)); a.problem(t, 503).Detail != "Redis is full and refuses to write; 0 of 1 quotes are settled, the others were not accepted" {
		t.Errorf("publishing: %s", a.body)
	}
	if a := n.operator().ask("POST", "/api/v1/sessions", `{"user_id":"7","role":"user"}`); a.problem(t, 503).Detail != "Redis is full and refuses to write; try again" {
		t.Errorf("a session: %s", a.body)
	}
}

// TestStatusOfSymbols waits through the life of a quote.
func TestStatusOfSymbols(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.staleAfter, c.quoteTTL = 300*time.Millisecond, 1500*time.Millisecond })
	c := n.user()
	c.say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"]}`)
	c.want("ack")
	if m := c.want("status"); m.Symbol != "EUR/USD" || m.Status != "unknown" {
		t.Errorf("before the first quote: %s", m.raw)
	}
	for range 2 {
		n.publish([3]string{"EUR/USD", "1.1", "1.2"})
		if m := c.want("status"); m.Status != "live" || m.Symbol != "EUR/USD" {
			t.Errorf("got %s, want live", m.raw)
		}
		if q := c.want("update").quotes(t)[0]; q.Status != "" {
			t.Errorf("a live quote: %+v", q)
		}
		m := c.want("status")
		if m.Status != "stale" && m.Status != "closed" || m.Since == "" {
			t.Errorf("got %s, want stale, or closed at the weekend", m.raw)
		}
		// Subscribing again shows it in the quote.
		c.say(`{"op":"subscribe","id":2,"symbols":["EUR/USD"]}`)
		c.want("ack")
		if q := c.want("snapshot").quotes(t)[0]; q.Status != m.Status {
			t.Errorf("snapshot: %+v, want status %s", q, m.Status)
		}
		if m := c.want("status"); m.Status != "unknown" {
			t.Errorf("got %s, want unknown", m.raw)
		}
		c.say(`{"op":"subscribe","id":3,"symbols":["EUR/USD"]}`)
		c.want("ack")
		if m := c.want("status"); m.Status != "unknown" { // and no snapshot
			t.Errorf("got %s, want unknown", m.raw)
		}
	}
}

// TestDrain takes a node down with clients on it, one of which does not read.
func TestDrain(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, func(c *nodeConfig) { c.tls = kind == "tls" })
			token, _ := n.signIn("hal", "user")
			var clients []*client
			for range 30 {
				c, _ := n.connect(token)
				clients = append(clients, c)
			}
			var done sync.WaitGroup
			for _, c := range clients {
				done.Go(func() {
					for {
						m, err := c.receive()
						if err != nil {
							t.Errorf("before the closing message: %v", err)
							return
						}
						if m.Type == "closing" {
							if string(m.Code) != "1012" || m.Reconnect < 1 || m.Reconnect > 10000 {
								t.Errorf("closing: %s", m.raw)
							}
							break
						}
					}
					f, err := c.read()
					if err != nil || f.code() != 1012 {
						t.Errorf("after the closing message: %v %v", f, err)
						return
					}
					c.peer.send(true, opClose, f.payload)
					if _, err := c.read(); !errors.Is(err, io.EOF) {
						t.Errorf("after the handshake: %v", err)
					}
				})
			}
			n.web.StopAccepting()
			h := newHTTPClient(t, n.public)
			var ready struct {
				Status string
				Checks []web.Check
			}
			h.do("GET", "/readyz", "", nil).into(t, 503, &ready)
			if i := slices.IndexFunc(ready.Checks, func(c web.Check) bool { return c.Name == "accepting" }); i < 0 || ready.Checks[i].OK {
				t.Errorf("readyz: %+v", ready)
			}
			p, resp := upgrade(t, dialServer(t, n.public), "/ws", bearer(token), nil)
			p.Close()
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("connecting to a node that goes down: %s", resp.Status)
			}
			n.stop()
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
			n := startNode(t, func(c *nodeConfig) { c.tls = kind == "tls"; c.writeTimeout = 1500 * time.Millisecond })
			token, _ := n.signIn("ian", "user")
			var stuck []*client
			for i := range 6 {
				c := n.dial(token)
				if tcp, ok := c.Conn.(*net.TCPConn); ok {
					tcp.SetReadBuffer(4 << 10)
				}
				c.want("welcome")
				c.say(`{"op":"subscribe","symbols":["*"]}`)
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
			good, _ := n.connect(token)
			good.say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
			good.want("ack")
			codes := []string{"USD", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK"}
			var worst time.Duration
			for i := 0; n.hub.Clients() > 2; i++ { // the good one, and perhaps the slow one
				if i > 3000 {
					t.Fatalf("%d clients are left", n.hub.Clients())
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
				n.publish(all...)
				for got := ""; got != bid; {
					if m := good.next(); m.Type == "update" || m.Type == "snapshot" {
						q := m.quotes(t)
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
						f, err := c.read()
						if errors.Is(err, errFrame) || f.opcode == opClose && f.code() != 1013 {
							t.Errorf("a stuck client read %v %v", f.opcode, err)
						}
						if err != nil || f.opcode == opClose {
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
func (c *client) untilEnd() error {
	for {
		if _, err := c.receive(); err != nil {
			return err
		}
	}
}

// TestUnfinishedMessages lets clients begin what they never end: the server must
// be rid of them in bounded time, whatever it was doing.
func TestUnfinishedMessages(t *testing.T) {
	huge := slices.Clip(append(frameHead(true, opText, 1<<40), 1, 2, 3, 4))
	drip := func(p *peer, b []byte) {
		for {
			if _, err := p.Write(b); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	cases := map[string]struct {
		send func(p *peer)
		most time.Duration
	}{
		// Each of these had begun when the server's close frame went out.
		"huge message, then silence":   {func(p *peer) { p.Write(append(huge, make([]byte, 40<<10)...)) }, 8 * time.Second},
		"huge message without end":     {func(p *peer) { p.Write(append(huge, make([]byte, 40<<10)...)); drip(p, make([]byte, 100)) }, 8 * time.Second},
		"binary, then half a huge one": {func(p *peer) { p.send(true, opBinary, nil); p.Write(append(huge, 1)) }, 8 * time.Second},
		"not UTF-8, then small ones":   {func(p *peer) { p.send(true, opText, []byte("\xff")); drip(p, masked(true, opText, []byte("x"))) }, 8 * time.Second},
		"half a head":                  {func(p *peer) { p.Write([]byte{0x81}); p.Conn.(interface{ CloseWrite() error }).CloseWrite() }, 5 * time.Second},
		"half a message":               {func(p *peer) { p.Write(masked(true, opText, []byte("hello"))[:8]) }, web.MessageTime + 4*time.Second},
		"zero-length fragments for ever": {func(p *peer) {
			p.send(false, opText, nil)
			drip(p, masked(false, opContinuation, nil))
		}, web.MessageTime + 4*time.Second},
		"one byte at a time": {func(p *peer) {
			p.Write(frameHead(true, opText, 20000))
			drip(p, []byte{'x'})
		}, web.MessageTime + 4*time.Second},
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, func(c *nodeConfig) { c.tls = kind == "tls" })
			token, _ := n.signIn("pat", "user")
			var all sync.WaitGroup
			for name, tc := range cases {
				c, _ := n.connect(token)
				all.Go(func() {
					var sending sync.WaitGroup
					start := time.Now()
					sending.Go(func() { tc.send(c.peer) })
					c.SetReadDeadline(start.Add(tc.most))
					var err error
					for err == nil {
						_, err = c.read()
					}
					if errors.Is(err, errFrame) || errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("%s: after %v the client saw %v, want the end", name, time.Since(start), err)
					}
					c.Close()
					sending.Wait()
				})
			}
			all.Wait()
			eventually(t, "all are gone", func() bool { return n.hub.Clients() == 0 })
		})
	}
}

// TestPeersThatVanish are noticed: at once by a reset, else by pings.
func TestPeersThatVanish(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.ping = 300 * time.Millisecond; c.heartbeat = 100 * time.Millisecond })
	token, _ := n.signIn("jo", "user")
	polite, _ := n.connect(token)
	polite.say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
	polite.want("ack")
	quotes := make(chan message, 10)
	go func() { // until the node is stopped
		for {
			m, err := polite.receive()
			if err != nil {
				return
			}
			if m.Type == "update" {
				quotes <- m
			}
		}
	}()
	for _, c := range []*client{n.dial(token), n.dial(token), n.dial(token)} {
		c.want("welcome")
		c.say(`{"op":"subscribe","symbols":["*"]}`)
		c.want("ack")
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close() // with a reset
	}
	eventually(t, "resets are noticed", func() bool { return n.hub.Clients() == 1 })

	silent, _ := n.connect(token) // reads, but answers no ping
	start := time.Now()
	silent.SetDeadline(time.Now().Add(patience))
	for {
		f, err := silent.read()
		if err != nil {
			t.Fatalf("want close 1001, got %v", err)
		}
		if f.opcode == opClose {
			if d := time.Since(start); f.code() != 1001 || d < 600*time.Millisecond {
				t.Errorf("closed with %d after %v", f.code(), d)
			}
			break
		}
	}
	silent.Close()
	// The polite one has been answering all the while.
	eventually(t, "only the polite one is left", func() bool { return n.hub.Clients() == 1 })
	n.publish([3]string{"EUR/USD", "1.5", "2"})
	select {
	case m := <-quotes:
		if q := m.quotes(t)[0]; q.Bid != "1.5" {
			t.Errorf("got %s", m.raw)
		}
	case <-time.After(patience):
		t.Error("the polite client gets no quotes any more")
	}

	half, _ := n.connect(token) // can be written to still, but will say no more
	half.Conn.(*net.TCPConn).CloseWrite()
	half.SetDeadline(time.Now().Add(patience))
	if err := half.untilEnd(); !errors.Is(err, io.EOF) {
		t.Errorf("half-closed: %v, want the end", err)
	}
}

// TestPingFlood wants others not to notice, and no more pongs than commands.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.commands = 20 })
	flooder, calm := n.user(), n.user()
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() {
		batch := []byte{}
		for range 200 {
			batch = append(batch, masked(true, opPing, make([]byte, 100))...)
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
			f, err := flooder.read()
			if err != nil {
				return
			}
			if f.opcode == opPong {
				pongs.Add(1)
			}
		}
	})
	start := time.Now()
	for range 20 {
		asked := time.Now()
		calm.say(`{"op":"ping"}`)
		calm.until("pong")
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
	eventually(t, "the flooder is gone", func() bool { return n.hub.Clients() == 1 })
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
			n := startNode(t, func(c *nodeConfig) { c.tls = kind == "tls"; c.writeTimeout = time.Second })
			token, _ := n.signIn("kim", "user")
			count := cycles
			if kind == "tls" {
				count /= 5 // handshakes are dear
			}
			ways := []func(*client){
				func(c *client) { c.Close() },
				func(c *client) { c.peer.send(true, opClose, closePayload(1000, "")); c.untilClose() },
				func(c *client) { c.peer.send(true, opBinary, nil); c.untilClose() },
				func(c *client) { c.say(`{"op":"subscribe","symbols":["*"]}`); c.want("ack"); c.Close() },
				func(c *client) { c.Write([]byte{0x81, 0x85, 1}) },
				func(c *client) {
					if tcp, ok := c.Conn.(*net.TCPConn); ok {
						tcp.SetLinger(0)
					}
				},
				func(c *client) { c.Conn.(interface{ CloseWrite() error }).CloseWrite(); c.untilEnd() },
			}
			cycle := func(i int) error {
				p, resp, err := tryUpgrade(dialServer(t, n.public), "/ws", bearer(token), nil)
				if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					return fmt.Errorf("cycle %d: %v %v", i, resp, err)
				}
				defer p.Close()
				c := &client{p, t}
				if m, err := c.receive(); err != nil || m.Type != "welcome" {
					return fmt.Errorf("cycle %d: %s %v", i, m.raw, err)
				}
				ways[i%len(ways)](c)
				return nil
			}
			for i := range 2 * len(ways) { // what is made once and kept
				if err := cycle(i); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are gone", func() bool { return n.hub.Clients() == 0 })
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
						n.publishNow()
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
			deadline := time.Now().Add(patience)
			for {
				g, d := settle()
				if n.hub.Clients() == 0 && g <= goroutines+slack && d <= descriptors+slack {
					break
				}
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<20)
					t.Fatalf("%d clients; goroutines %d, before %d; descriptors %d, before %d\n%s",
						n.hub.Clients(), g, goroutines, d, descriptors, stacks[:runtime.Stack(stacks, true)])
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

// publishNow puts a quote straight into the hub, so that sockets are written to
// while they come and go.
func (n *testNode) publishNow() {
	n.hub.Publish("EUR/USD", "direct", uint64(time.Now().UnixNano()), []byte(`{"symbol":"EUR/USD","bid":"1","ask":"2","ts":"","seq":1`), 0)
}

func (c *client) untilClose() {
	if _, ok := errors.AsType[closedError](c.untilEnd()); !ok {
		c.t.Error("no close frame came")
	}
}

func openDescriptors(t testing.TB) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors can not be counted here")
	}
	return len(d)
}
