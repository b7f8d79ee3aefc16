package live_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
)

// A failingRead is a connection whose Read fails once, before it reads anything, each time that it
// is armed.
type failingRead struct {
	*tap
	armed chan error
}

func (f *failingRead) Read(b []byte) (int, error) {
	select {
	case err := <-f.armed:
		return 0, err
	default:
		return f.tap.Read(b)
	}
}

// TestReadsInPieces has a client that sends its bytes one by one. So the reader finds nothing more
// to read, and parks or waits, at every position of every frame. The messages must be the same, and
// control frames must be answered.
func TestReadsInPieces(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 30) // more than the read buffer
	var in []byte
	for _, f := range [][]byte{
		webtest.Masked(true, webtest.OpPing, []byte("a")),
		webtest.Masked(true, webtest.OpText, []byte("one")),
		webtest.Masked(true, webtest.OpPong, nil),
		webtest.Masked(false, webtest.OpText, []byte("tw")), webtest.Masked(true, webtest.OpPing, []byte("b")), webtest.Masked(false, webtest.OpContinuation, nil), webtest.Masked(true, webtest.OpContinuation, []byte("o")),
		webtest.Masked(true, webtest.OpText, nil),
		webtest.Masked(true, webtest.OpPong, []byte("unasked")), webtest.Masked(true, webtest.OpPing, []byte("c")),
		webtest.Masked(true, webtest.OpText, long),
	} {
		in = append(in, f...)
	}
	for _, size := range []int{1, 2, 3, 5, 7, 64, 127, 128, 129, len(in)} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			upgraded := make(chan *live.Upgraded, 1)
			got := make(chan string, 10)
			s := newUpgradeServer(t, "plain", nil, func(u *live.Upgraded) {
				defer close(got)
				defer u.WS.CloseNow()
				upgraded <- u
				for {
					m, err := u.Next()
					if err != nil {
						if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
							t.Errorf("ended with %v", err)
						}
						return
					}
					got <- string(m)
				}
			})
			p := s.dial(t)
			u := <-upgraded
			for rest := in; len(rest) > 0; {
				n := min(size, len(rest))
				p.Write(rest[:n])
				rest = rest[n:]
				webtest.Eventually(t, "the server has read it", func() bool { n, err := u.Unread(); return n == 0 && err == nil })
			}
			for _, want := range []string{"one", "two", "", string(long)} {
				if m, ok := <-got; m != want || !ok {
					t.Fatalf("read %q, want %q", m, want)
				}
			}
			for _, want := range []string{"a", "b", "c"} {
				if f, err := p.ReadFrame(); err != nil || f.Opcode != webtest.OpPong || string(f.Payload) != want {
					t.Fatalf("%v %v, want a pong of %q", f, err, want)
				}
			}
			if size == 1 && u.Parks() < 3 { // normally before each of 8 frames that are not within a message; a slow reader may find the next one there
				t.Errorf("parked %d times", u.Parks()-1)
			}
			p.SendFrame(true, webtest.OpClose, webtest.ClosePayload(1000, ""))
			if f, err := p.ReadFrame(); err != nil || f.Code() != 1000 {
				t.Errorf("%v %v, want close 1000", f, err)
			}
			if _, ok := <-got; ok {
				t.Error("one message too many")
			}
		})
	}
}

// TestReaderCanBeCalledAgain checks the other property of the library that parking relies on: see
// socket.go.
func TestReaderCanBeCalledAgain(t *testing.T) {
	failure := errors.New("nothing now")
	armed := make(chan error, 1)
	reads := make(chan string)
	upgraded := make(chan bool, 1)
	s := newUpgradeServer(t, "plain", func(w http.ResponseWriter) http.ResponseWriter {
		return failingWriter{w, armed}
	}, func(u *live.Upgraded) {
		upgraded <- true
		for {
			_, m, err := u.WS.Read(context.Background())
			reads <- fmt.Sprint(string(m), errors.Is(err, failure))
			if err != nil && !errors.Is(err, failure) {
				return
			}
		}
	})
	p := s.dial(t)
	<-upgraded // failingWriter would lose bytes that arrive earlier
	for i := range 5 {
		armed <- failure // found by the Read after the one that waits
		p.SendFrame(true, webtest.OpPing, nil)
		if got := <-reads; got != "true" {
			t.Fatalf("try %d: %s, want the failure", i, got)
		}
		p.SendFrame(true, webtest.OpText, []byte("x"))
		if got := <-reads; got != "xfalse" {
			t.Fatalf("try %d: %s, want the message", i, got)
		}
	}
	p.Close()
	<-reads
}

// TestClosingWhileParked closes from either side while no goroutine is in the library's Reader. The
// closing handshake must still be complete.
func TestClosingWhileParked(t *testing.T) {
	const tries = 100
	for range tries {
		upgraded := make(chan *live.Upgraded, 1)
		ended := make(chan error, 1)
		s := newUpgradeServer(t, "plain", nil, func(u *live.Upgraded) {
			upgraded <- u
			_, err := u.Next()
			ended <- err
		})
		p := s.dial(t)
		u := <-upgraded
		webtest.Eventually(t, "it is parked", func() bool { return u.Parks() > 1 })
		closed := make(chan error, 1)
		go func() { closed <- u.WS.Close(4001, "bye") }()
		if f, err := p.ReadFrame(); err != nil || f.Code() != 4001 {
			t.Fatalf("%v %v, want close 4001", f, err)
		}
		p.SendFrame(true, webtest.OpPing, nil) // on its way when the close frame came
		p.SendFrame(true, webtest.OpClose, webtest.ClosePayload(4001, "bye"))
		if _, err := p.ReadFrame(); err != io.EOF {
			t.Fatalf("after the handshake: %v, want the end", err)
		}
		for what, ch := range map[string]chan error{"Close": closed, "the reader": ended} {
			select {
			case err := <-ch:
				if what == "Close" && err != nil {
					t.Fatalf("Close: %v", err)
				}
			case <-time.After(webtest.Patience):
				t.Fatalf("%s did not return", what)
			}
		}
		p.Close()
		s.Close()
	}
}

// TestParkedWithoutPoller tests that a connection is read that the poller cannot take.
func TestParkedWithoutPoller(t *testing.T) {
	got := make(chan string, 1)
	parked := make(chan *live.Upgraded, 1)
	s := newUpgradeServer(t, "plain", nil, func(u *live.Upgraded) {
		defer u.WS.CloseNow()
		u.Unwatched()
		parked <- u
		for {
			m, err := u.Next()
			if err != nil {
				close(got)
				return
			}
			got <- string(m)
		}
	})
	p := s.dial(t)
	u := <-parked
	for i := range 3 {
		webtest.Eventually(t, "it is parked", func() bool { return u.Parks() > int64(1+i) })
		p.SendFrame(true, webtest.OpText, []byte("x"))
		if m := <-got; m != "x" {
			t.Fatalf("read %q", m)
		}
	}
	p.Close()
	if m, ok := <-got; ok {
		t.Errorf("read %q after the end", m)
	}
}

// TestIdleIsParked tests that idle connections have one goroutine in all, even after pings and
// commands.
func TestIdleIsParked(t *testing.T) {
	const conns = 50
	goroutines := func(of string) (n int) {
		var b strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(b.String(), "\n\n") {
			if strings.Contains(block, of) {
				var count int
				fmt.Sscan(strings.TrimSpace(block), &count)
				n += count
			}
		}
		return n
	}
	pollers := goroutines("live.(*poller).run") // of other tests
	// Three pings without an answer end a connection: each answers from the start.
	n := webtest.Start(t, func(c *webtest.Config) { c.Ping = time.Second })
	token, _ := n.SignIn("idle", "user")
	clients := make([]*webtest.Client, conns)
	var answering sync.WaitGroup
	var answered [conns]atomic.Int32
	for i := range clients {
		c, _ := n.Connect(token)
		clients[i] = c
		c.Say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
		answering.Go(func() {
			for {
				f, err := c.ReadFrame()
				if err != nil {
					return // closed below
				}
				if f.Opcode == webtest.OpPing {
					c.Peer.SendFrame(true, webtest.OpPong, f.Payload)
					answered[i].Add(1)
				}
			}
		})
	}
	events := openStream(n, token, "symbols=EUR/USD", "")
	events.want("welcome")
	webtest.Eventually(t, "all have answered pings", func() bool {
		for i := range answered {
			if answered[i].Load() < 2 {
				return false
			}
		}
		return true
	})
	// Pings go on all the time. Goroutines that read the pongs start and end meanwhile.
	webtest.Eventually(t, "all are parked", func() bool {
		return goroutines("live.(*wsConn)") == 0 && goroutines("live.(*stream)") == 0 && goroutines("live.(*poller).run") == pollers+1
	})
	for _, c := range clients {
		c.Close()
	}
	answering.Wait()
	events.close()
	webtest.Eventually(t, "all have left", func() bool { return n.Hub.Clients() == 0 })
	n.Stop()
	if n := goroutines("live.(*poller).run"); n != pollers {
		t.Errorf("%d pollers after the node, %d before", n, pollers)
	}
}

// A failingWriter puts a failingRead between the upgrader and the library.
type failingWriter struct {
	http.ResponseWriter
	armed chan error
}

func (w failingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := w.ResponseWriter.(http.Hijacker).Hijack()
	if err != nil {
		return nil, nil, err
	}
	f := &failingRead{&tap{Conn: c}, w.armed}
	return f, bufio.NewReadWriter(bufio.NewReaderSize(f, rw.Reader.Size()), bufio.NewWriterSize(f, rw.Writer.Size())), nil
}
