package live_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
)

// TestStuckReaders has clients that never read, or read one byte a second. The others receive the
// newest quote at once, and the stuck ones leave nothing behind.
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
			for i := 0; n.Hub.Clients() > 2; i++ { // the reading client, and perhaps the slow one
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
			if worst > 5*time.Second { // far less, but for a busy machine
				t.Errorf("with stuck clients connected, a quote took %v", worst)
			}
			// When a stuck client reads at last, its frames are whole up to the end of the connection.
			// The kernel may take some time to send them.
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

// busy is what a busy machine adds to a limit.
const busy = 20 * time.Second

// untilEnd reads until the connection ends.
func untilEnd(c *webtest.Client) error {
	for {
		if _, err := c.Receive(); err != nil {
			return err
		}
	}
}

// TestUnfinishedMessages has clients that begin messages and never finish them. The server must
// close them in bounded time, whatever it was doing.
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
		"half a message": {func(p *webtest.Peer) { p.Write(webtest.Masked(true, webtest.OpText, []byte("hello"))[:8]) }, live.MessageTime + 4*time.Second},
		"zero-length fragments for ever": {func(p *webtest.Peer) {
			p.SendFrame(false, webtest.OpText, nil)
			drip(p, webtest.Masked(false, webtest.OpContinuation, nil))
		}, live.MessageTime + 4*time.Second},
		"one byte at a time": {func(p *webtest.Peer) {
			p.Write(webtest.FrameHead(true, webtest.OpText, 20000))
			drip(p, []byte{'x'})
		}, live.MessageTime + 4*time.Second},
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
					c.SetReadDeadline(start.Add(tc.most + busy))
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

// TestPeersThatVanish tests that the server notices lost peers: at once by a reset, else by pings.
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
	// The polite client has answered every ping.
	webtest.Eventually(t, "only the polite one is left", func() bool { return n.Hub.Clients() == 1 })
	n.Publish([3]string{"EUR/USD", "1.5", "2"})
	select {
	case m := <-quotes:
		if q := m.Quotes(t)[0]; q.Bid != "1.5" {
			t.Errorf("got %s", m.Raw)
		}
	case <-time.After(webtest.Patience):
		t.Error("the polite client receives no more quotes")
	}

	half, _ := n.Connect(token) // can still be written to, but sends nothing more
	half.Conn.(*net.TCPConn).CloseWrite()
	half.SetDeadline(time.Now().Add(webtest.Patience))
	if err := untilEnd(half); !errors.Is(err, io.EOF) {
		t.Errorf("half-closed: %v, want the end", err)
	}
}

// TestPingFlood tests that a flood of pings does not slow other clients, that pongs stay within the
// rate of commands, and that the flood is closed.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Commands = 20 })
	flooder, calm := n.User(), n.User()
	closed := make(chan int, 1)
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
			switch f.Opcode {
			case webtest.OpPong:
				pongs.Add(1)
			case webtest.OpClose:
				closed <- f.Code()
			}
		}
	})
	start := time.Now()
	for range 20 {
		asked := time.Now()
		calm.Say(`{"op":"ping"}`)
		calm.Until("pong")
		if d := time.Since(asked); d > time.Second {
			t.Errorf("during a flood a ping took %v", d)
		}
		time.Sleep(50 * time.Millisecond)
	}
	close(stop)
	took := time.Since(start)
	flooder.Close()
	flooding.Wait()
	select {
	case code := <-closed:
		if code != 1008 {
			t.Errorf("the flood was closed with %d, want 1008", code)
		}
	default:
		t.Error("the flood was not closed")
	}
	if most := int64(20*took.Seconds()) + 21; pongs.Load() > most || pongs.Load() == 0 {
		t.Errorf("%d pongs in %v at 20 commands a second", pongs.Load(), took)
	}
	webtest.Eventually(t, "the flooder is gone", func() bool { return n.Hub.Clients() == 1 })
}

// TestFragmentFlood sends one message with more empty fragments than are allowed.
func TestFragmentFlood(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := webtest.Start(t, func(c *webtest.Config) { c.TLS = kind == "tls" })
			c := n.User()
			c.Peer.SendFrame(false, webtest.OpText, []byte(`{"op":`))
			var batch []byte
			for range 1000 {
				batch = append(batch, webtest.Masked(false, 0, nil)...)
			}
			for range 11 { // 66 kB in all
				if _, err := c.Write(batch); err != nil {
					t.Fatal(err)
				}
			}
			c.WantClose(1008)
		})
	}
}

// TestPongsAreFree sends what a client that only listens may send in minutes.
func TestPongsAreFree(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Commands = 1 })
	c := n.User()
	for range 150 {
		c.Peer.SendFrame(true, webtest.OpPong, nil)
	}
	c.Say(`{"op":"ping"}`)
	c.Until("pong")
}

// TestNothingIsLeftBehind connects and disconnects in many ways, and then counts goroutines and
// descriptors. With FXCAST_LONG=1 it does 10,000 cycles.
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
				count /= 5 // handshakes are expensive
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
			for i := range 2 * len(ways) { // warm up whatever is created once and kept
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
			var publishing sync.Mutex // the hub accepts one publisher of a topic at a time
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
			const slack = 20 // idle connections to Redis, goroutines of the runtime
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

// publishNow publishes a quote to the hub directly, so that sockets are written to while they
// open and close.
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
		t.Skip("descriptors cannot be counted on this system")
	}
	return len(d)
}
