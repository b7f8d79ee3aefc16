package live_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
)

// An upgradeServer hands each upgraded connection to serve on a goroutine.
type upgradeServer struct {
	*httptest.Server
	running sync.WaitGroup
}

var kinds = []string{"plain", "tls"}

func newUpgradeServer(t testing.TB, kind string, wrap func(http.ResponseWriter) http.ResponseWriter, serve func(*live.Upgraded)) *upgradeServer {
	t.Helper()
	s := &upgradeServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := live.Upgrade(w, r, s.running.Go, wrap)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		s.running.Go(func() { serve(u) })
	}))
	if kind == "tls" {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.Close()
		waitFor(t, "the server's goroutines end", s.running.Wait)
	})
	return s
}

func (s *upgradeServer) dial(t testing.TB) *webtest.Peer {
	t.Helper()
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, s.Server), "/", nil, nil)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	t.Cleanup(func() { p.Close() })
	p.SetDeadline(time.Now().Add(webtest.Patience))
	return p
}

func waitFor(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(webtest.Patience):
		t.Errorf("in vain waited until %s", what)
	}
}

// drain reads messages until the connection ends.
func drain(u *live.Upgraded) error {
	for {
		if _, _, err := u.WS.Read(context.Background()); err != nil {
			return err
		}
	}
}

// TestEarlyBytes sends messages in the same write as the handshake, up to and
// beyond the bytes that net/http has buffered when the connection is taken over.
func TestEarlyBytes(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			type result struct {
				sum string
				err error
			}
			results := make(chan result, 1)
			s := newUpgradeServer(t, kind, nil, func(u *live.Upgraded) {
				var all strings.Builder
				for {
					_, m, err := u.WS.Read(context.Background())
					if err != nil || string(m) == "end" {
						results <- result{all.String(), err}
						u.WS.CloseNow()
						return
					}
					all.Write(m)
				}
			})
			for _, size := range []int{0, 1, 100, 200, 256, 257, 1000, 3700, 3800, 3900, 4096, 5000, 9000, 20000} {
				var early []byte
				var want strings.Builder
				for i := 0; len(early) < size; i++ {
					text := fmt.Sprintf("message %d %s;", i, strings.Repeat("x", i%150))
					want.WriteString(text)
					early = append(early, webtest.Masked(true, webtest.OpText, []byte(text))...)
				}
				early = append(early, webtest.Masked(true, webtest.OpText, []byte("end"))...)
				p, _ := webtest.Upgrade(t, webtest.DialServer(t, s.Server), "/", nil, early)
				if r := <-results; r.err != nil || r.sum != want.String() {
					t.Errorf("%d early bytes: %v, got %d of %d", size, r.err, len(r.sum), want.Len())
				}
				p.Close()
			}
		})
	}
}

// A pusher writes data frames as the hub does: one write at a time, the next
// when the socket is ready again.
type pusher struct {
	u     *live.Upgraded
	ready chan struct{}
}

func newPusher(u *live.Upgraded) *pusher {
	p := &pusher{u, make(chan struct{}, 1)}
	u.OnReady(func() { p.ready <- struct{}{} })
	return p
}

// push reports whether the socket can take more at once.
func (p *pusher) push(frames []byte) (bool, error) {
	ready, err := p.u.Offer(frames)
	return ready, err
}

// dataMessage returns a text that shows its position in the sequence and whether it is complete.
func dataMessage(i, size int) []byte {
	head := fmt.Sprintf("%08d:", i)
	return append([]byte(head), bytes.Repeat([]byte{byte('a' + i%26)}, size)...)
}

func checkData(payload []byte, want int) error {
	if len(payload) < 9 || string(payload[:9]) != fmt.Sprintf("%08d:", want) {
		return fmt.Errorf("message %d begins with %.20q", want, payload)
	}
	if rest := payload[9:]; len(bytes.Trim(rest, string(rune('a'+want%26)))) != 0 {
		return fmt.Errorf("message %d is torn", want)
	}
	return nil
}

// TestControlFramesNeverTearData has clients ping while their sockets are full
// of data, with a strict parser on the other side.
func TestControlFramesNeverTearData(t *testing.T) {
	const clients, messages = 20, 120
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newUpgradeServer(t, kind, nil, func(u *live.Upgraded) {
				p := newPusher(u)
				pushed := make(chan error, 1)
				go func() {
					pushed <- func() error {
						for i := range messages {
							ready, err := p.push(live.Frames{}.AppendMessage(nil, dataMessage(i, i*i%9000)))
							if err != nil {
								return err
							}
							if !ready {
								select {
								case <-p.ready:
								case <-time.After(webtest.Patience):
									return errors.New("ready was never called")
								}
							}
						}
						return nil
					}()
				}()
				reading := make(chan struct{})
				go func() { defer close(reading); drain(u) }()
				if err := <-pushed; err != nil {
					t.Errorf("push: %v", err)
				}
				if err := u.WS.Close(4000, "all sent"); err != nil {
					t.Errorf("close: %v", err)
				}
				<-reading
			})
			var wg sync.WaitGroup
			var answered atomic.Int64
			for range clients {
				p := s.dial(t)
				stop := make(chan struct{})
				pings := make(chan error, 1)
				go func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							pings <- nil
							return
						default:
						}
						payload := bytes.Repeat([]byte{byte(i)}, i%126)
						if p.SendFrame(true, webtest.OpPing, payload) != nil {
							pings <- nil // the server has closed
							return
						}
						time.Sleep(time.Millisecond) // this test is not about floods: see TestPingFlood
					}
				}()
				wg.Go(func() {
					defer func() { p.Close(); <-pings }()
					pongs := 0
					for i := 0; ; {
						f, err := p.ReadFrame()
						if err != nil {
							t.Errorf("after %d messages and %d pongs: %v", i, pongs, err)
							close(stop)
							return
						}
						switch f.Opcode {
						case webtest.OpText:
							if err := checkData(f.Payload, i); err != nil {
								t.Error(err)
							}
							if i++; i%20 == 0 {
								time.Sleep(5 * time.Millisecond) // lets the socket fill up
							}
						case webtest.OpPong:
							pongs++
							answered.Add(1)
							if n := len(f.Payload); n > 0 && len(bytes.Trim(f.Payload, string(f.Payload[:1]))) != 0 {
								t.Errorf("pong with another ping's payload % x", f.Payload)
							}
						case webtest.OpClose:
							close(stop)
							if i != messages || f.Code() != 4000 {
								t.Errorf("closed with %d after %d of %d messages and %d pongs", f.Code(), i, messages, pongs)
							}
							p.SendFrame(true, webtest.OpClose, f.Payload)
							return
						}
					}
				})
			}
			wg.Wait()
			if n := answered.Load(); n < clients {
				t.Errorf("%d pongs in all: the test did not mix them with data", n)
			}
		})
	}
}

// fill offers data until the socket accepts no more, and returns how much it accepted.
func fill(u *live.Upgraded) (messages int, err error) {
	p := newPusher(u)
	for i := 0; ; i++ {
		ready, err := p.push(live.Frames{}.AppendMessage(nil, dataMessage(i, 8000)))
		if err != nil {
			return i, err
		}
		if !ready {
			select {
			case <-p.ready: // it was written after all
			case <-time.After(50 * time.Millisecond):
				return i + 1, nil
			}
		}
	}
}

// TestCloseHandshakeWithPendingData closes sockets that are full, more than a
// hundred times. The peer must receive all data, then the code, and the handshake must end.
func TestCloseHandshakeWithPendingData(t *testing.T) {
	const tries = 120
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			filled := make([]chan struct{}, tries)
			for i := range filled {
				filled[i] = make(chan struct{})
			}
			s := newUpgradeServer(t, kind, nil, func(u *live.Upgraded) {
				_, which, err := u.WS.Read(context.Background())
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				reading := make(chan struct{})
				go func() { defer close(reading); drain(u) }()
				n, err := fill(u)
				if err != nil {
					t.Errorf("fill: %v", err)
				}
				close(filled[which[0]])
				if err := u.WS.Close(1013, fmt.Sprintf("after %d", n)); err != nil {
					t.Errorf("close: %v", err)
				}
				<-reading
			})
			var wg sync.WaitGroup
			limit := make(chan struct{}, 12)
			for try := range tries {
				limit <- struct{}{}
				p := s.dial(t)
				wg.Go(func() {
					defer func() { p.Close(); <-limit }()
					p.SendFrame(true, webtest.OpText, []byte{byte(try)})
					<-filled[try]
					p.SetDeadline(time.Now().Add(webtest.Patience))
					for i := 0; ; i++ {
						f, err := p.ReadFrame()
						switch {
						case err != nil:
							t.Errorf("after %d messages: %v, want the close frame", i, err)
						case f.Opcode == webtest.OpText:
							if err := checkData(f.Payload, i); err != nil {
								t.Error(err)
							}
							continue
						case f.Code() != 1013 || string(f.Payload[2:]) != fmt.Sprintf("after %d", i):
							t.Errorf("closed with %d %q after %d messages", f.Code(), f.Payload[2:], i)
						default:
							p.SendFrame(true, webtest.OpClose, f.Payload)
							if _, err := p.ReadFrame(); err != io.EOF {
								t.Errorf("after the handshake: %v, want the end", err)
							}
						}
						return
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestLingerIsBounded ends connections whose peer never reads again. They are closed after
// lingerTime, and no writer waits for them.
func TestLingerIsBounded(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			took := make(chan time.Duration, 1)
			s := newUpgradeServer(t, kind, nil, func(u *live.Upgraded) {
				if _, err := fill(u); err != nil {
					t.Errorf("fill: %v", err)
				}
				if u.Stalled() <= 0 {
					t.Error("a full socket does not say that it is stalled")
				}
				start := time.Now()
				u.WS.CloseNow()
				took <- time.Since(start)
				if _, err := u.Offer(live.Frames{}.Ping()); err == nil {
					t.Error("a closed socket takes data")
				}
			})
			s.dial(t)
			if d := <-took; d > time.Second {
				t.Errorf("CloseNow took %v", d)
			}
			start := time.Now()
			waitFor(t, "the rest is given up", s.running.Wait)
			if d := time.Since(start); d > live.LingerTime+2*time.Second {
				t.Errorf("gone after %v, want about %v", d, live.LingerTime)
			}
		})
	}
}

// TestStalledSocketRecovers reads after a long pause: everything arrives, in order.
func TestStalledSocketRecovers(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			full := make(chan int, 1)
			s := newUpgradeServer(t, kind, nil, func(u *live.Upgraded) {
				n, err := fill(u)
				if err != nil {
					t.Errorf("fill: %v", err)
				}
				full <- n
				for start := time.Now(); u.Stalled() != 0; time.Sleep(time.Millisecond) {
					if time.Since(start) > webtest.Patience {
						t.Error("a socket with nothing to write reports a stall")
						break
					}
				}
				drain(u)
				u.WS.CloseNow()
			})
			p := s.dial(t)
			n := <-full
			// The kernel buffers a bounded number of bytes for a client that does not read.
			if n*8000 > 8<<20 {
				t.Errorf("%d bytes were taken for a client that does not read", n*8000)
			}
			for i := range n {
				f, err := p.ReadFrame()
				if err != nil || f.Opcode != webtest.OpText {
					t.Fatalf("message %d of %d: %v %v", i, n, f.Opcode, err)
				}
				if err := checkData(f.Payload, i); err != nil {
					t.Fatal(err)
				}
			}
			p.SendFrame(true, webtest.OpClose, binary.BigEndian.AppendUint16(nil, 1000))
			if f, err := p.ReadFrame(); err != nil || f.Code() != 1000 {
				t.Errorf("%v %v, want close 1000", f, err)
			}
		})
	}
}

// TestLostWhileFlushing resets connections that are full. The hub must learn it from the
// socket, since the connection's reader may be busy elsewhere.
func TestLostWhileFlushing(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			full, result := make(chan struct{}), make(chan error, 1)
			s := newUpgradeServer(t, kind, nil, func(u *live.Upgraded) {
				defer u.WS.CloseNow()
				p := newPusher(u)
				ready, err := true, error(nil)
				for i := 0; ready && err == nil; i++ {
					if ready, err = p.push(live.Frames{}.AppendMessage(nil, dataMessage(i, 8000))); ready || err != nil {
						continue
					}
					select {
					case <-p.ready: // on its way after all
						ready = true
					case <-time.After(50 * time.Millisecond):
					}
				}
				close(full)
				select {
				case <-p.ready:
					_, err = u.Offer(live.Frames{}.Ping())
				case <-time.After(webtest.Patience):
					t.Error("nobody was notified of the loss")
				}
				result <- err
			})
			p := s.dial(t)
			<-full
			if tcp, ok := p.Conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			p.Close()
			if err := <-result; err == nil {
				t.Error("a lost socket takes data")
			}
		})
	}
}

// countingWriter counts the bytes that are read from a hijacked connection.
type countingWriter struct {
	http.ResponseWriter
	read *atomic.Int64
}

func (w countingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := w.ResponseWriter.(http.Hijacker).Hijack()
	return countingConn{c, w.read}, rw, err
}

type countingConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// TestFloodAfterClose goes on sending after the close frame. The server reads so much that a client
// which has just sent a big message receives the close code, and then ends the connection.
func TestFloodAfterClose(t *testing.T) {
	t.Parallel()
	t.Run("after 1009", func(t *testing.T) { floodAfterClose(t, func(*live.Upgraded) {}, 1<<20) })
	t.Run("after any other", func(t *testing.T) { floodAfterClose(t, (*live.Upgraded).ExpectLittle, 64<<10) })
}

func floodAfterClose(t *testing.T, before func(*live.Upgraded), want int64) {
	t.Parallel()
	var read atomic.Int64
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := live.Upgrade(countingWriter{w, &read}, r, func(f func()) { go f() }, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		before(u)
		ended <- u.WS.Close(1008, "")
	}))
	defer server.Close()
	p, _ := webtest.Upgrade(t, webtest.DialServer(t, server), "/", nil, nil)
	defer p.Close()
	p.SetDeadline(time.Now().Add(webtest.Patience))
	if f, err := p.ReadFrame(); f.Code() != 1008 {
		t.Fatalf("%v %v, want close 1008", f, err)
	}
	batch := bytes.Repeat(webtest.Masked(true, webtest.OpPing, make([]byte, 125)), 1000)
	for sent := 0; sent < 64<<20; sent += len(batch) {
		if _, err := p.Write(batch); err != nil {
			break
		}
	}
	if err := <-ended; err == nil {
		t.Error("the closing handshake ended well")
	}
	if n := read.Load(); n < want || n > want+4<<10 {
		t.Errorf("the server has read %d bytes after its close frame, want %d", n, want)
	}
}

// TestFloodIsReadSlowly: a flood is reported once, and costs little until the connection is closed.
func TestFloodIsReadSlowly(t *testing.T) {
	t.Parallel()
	var read atomic.Int64
	ended := make(chan struct{})
	began := make(chan time.Time, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		u, err := live.Upgrade(countingWriter{w, &read}, r, func(f func()) { go f() }, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		u.Flood()
		if n := u.Flood(); n != 1 {
			t.Errorf("the flood was reported %d times, want once", n)
		}
		began <- time.Now()
		_, _ = u.Next()
	}))
	defer server.Close()
	p, _ := webtest.Upgrade(t, webtest.DialServer(t, server), "/", nil, nil)
	if _, err := p.Write(bytes.Repeat(webtest.Masked(true, webtest.OpPong, make([]byte, 125)), 100)); err != nil {
		t.Fatal(err)
	}
	for read.Load() < 20*128 {
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(<-began); took < 100*time.Millisecond {
		t.Errorf("20 reads took %v", took)
	}
	p.Close()
	<-ended
}
