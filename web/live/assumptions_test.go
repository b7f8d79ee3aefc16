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
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/web/internal/webtest"
	"github.com/fxcast/fxcast/web/live"
)

// A tap records how the library uses the connection that it was given.
type tap struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
	read   int // bytes
	closes int
	inRead atomic.Bool
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.writes = append(p.writes, bytes.Clone(b))
	p.mu.Unlock()
	return p.Conn.Write(b)
}

func (p *tap) Read(b []byte) (int, error) {
	p.inRead.Store(true)
	defer p.inRead.Store(false)
	n, err := p.Conn.Read(b)
	p.mu.Lock()
	p.read += n
	p.mu.Unlock()
	return n, err
}

func (p *tap) Close() error {
	p.mu.Lock()
	p.closes++
	p.mu.Unlock()
	return p.Conn.Close()
}

func (p *tap) seen() (writes [][]byte, read, closes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.writes), p.read, p.closes
}

// A tapWriter puts a tap between the upgrader and the library.
type tapWriter struct {
	http.ResponseWriter
	tapped func(*tap)
}

func (w tapWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := w.ResponseWriter.(http.Hijacker).Hijack()
	if err != nil {
		return nil, nil, err
	}
	t := &tap{Conn: c}
	w.tapped(t)
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), t), rw.Reader.Size())
	if len(early) > 0 {
		r.Peek(len(early))
	} else {
		r.Reset(t)
	}
	return t, bufio.NewReadWriter(r, bufio.NewWriterSize(t, rw.Writer.Size())), nil
}

// TestSocketAssumptions checks the properties of coder/websocket that socket.go relies on. If it
// fails after an upgrade of the library, review socket.go.
func TestSocketAssumptions(t *testing.T) {
	t.Run("version", func(t *testing.T) {
		mod, err := os.ReadFile("../../go.mod")
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^\s*(?:require )?github\.com/coder/websocket (\S+)`).FindSubmatch(mod)
		if m == nil || string(m[1]) != "v1.8.15" {
			t.Errorf("go.mod asks for github.com/coder/websocket %q; the assumptions in socket.go were made of v1.8.15", m)
		}
		if bytes.Contains(mod, []byte("replace")) {
			t.Error("go.mod replaces modules")
		}
	})

	// One connection on which the library does everything that it does in this package.
	taps := make(chan *tap, 1)
	ended := make(chan error, 1)
	serve := func(u *live.Upgraded) { ended <- drain(u) }
	start := func(t *testing.T) (*webtest.Peer, *tap) {
		s := newUpgradeServer(t, "plain", func(w http.ResponseWriter) http.ResponseWriter {
			return tapWriter{w, func(p *tap) { taps <- p }}
		}, func(u *live.Upgraded) { serve(u) })
		p := s.dial(t)
		return p, <-taps
	}
	// frames checks that each write is one whole control frame.
	frames := func(t *testing.T, writes [][]byte) (opcodes []byte) {
		t.Helper()
		for _, w := range writes {
			if len(w) < 2 || len(w) != 2+int(w[1]) || w[1] > 125 || w[0]&0xf0 != 0x80 {
				t.Fatalf("a write that is not one whole control frame: % x", w)
			}
			opcodes = append(opcodes, w[0]&0x0f)
		}
		return opcodes
	}

	t.Run("everything goes through the connection of Hijack", func(t *testing.T) {
		p, tap := start(t)
		sent := 0
		for _, f := range [][]byte{webtest.Masked(true, webtest.OpText, []byte("hello")), webtest.Masked(true, webtest.OpPing, nil), webtest.Masked(true, webtest.OpClose, webtest.ClosePayload(1000, ""))} {
			sent += len(f)
			p.Write(f)
		}
		<-ended
		if f, err := p.ReadFrame(); err != nil || f.Opcode != webtest.OpPong {
			t.Fatalf("%v %v, want a pong", f, err)
		}
		if f, err := p.ReadFrame(); err != nil || f.Code() != 1000 {
			t.Fatalf("%v %v, want close 1000", f, err)
		}
		if _, err := p.ReadFrame(); err != io.EOF {
			t.Fatalf("after the handshake: %v, want the end", err)
		}
		writes, read, closes := tap.seen()
		if got := frames(t, writes); !bytes.Equal(got, []byte{webtest.OpPong, webtest.OpClose}) || read != sent || closes != 1 {
			t.Errorf("writes %x, %d bytes read of %d, closed %d times", got, read, sent, closes)
		}
	})

	t.Run("a control frame is one write and never data", func(t *testing.T) {
		p, tap := start(t)
		for n := 0; n <= 125; n += 25 {
			payload := bytes.Repeat([]byte{'p'}, n)
			p.SendFrame(true, webtest.OpPing, payload)
			p.SendFrame(true, webtest.OpText, payload)
			if f, err := p.ReadFrame(); err != nil || f.Opcode != webtest.OpPong || !bytes.Equal(f.Payload, payload) {
				t.Fatalf("%v %v, want a pong of %d bytes", f, err, n)
			}
		}
		p.SendFrame(true, webtest.OpClose, webtest.ClosePayload(1001, strings.Repeat("x", 123))) // echoed: the longest possible frame
		if f, err := p.ReadFrame(); err != nil || f.Code() != 1001 || len(f.Payload) != 125 {
			t.Fatalf("%v %v, want the close frame back", f, err)
		}
		<-ended
		writes, _, _ := tap.seen()
		if got := frames(t, writes); !bytes.Equal(got, []byte{webtest.OpPong, webtest.OpPong, webtest.OpPong, webtest.OpPong, webtest.OpPong, webtest.OpPong, webtest.OpClose}) {
			t.Errorf("wrote %x", got)
		}
	})

	t.Run("what it refuses it answers with one close frame", func(t *testing.T) {
		for name, in := range map[string][]byte{
			"reserved bits": {0x80 | 0x40 | webtest.OpText, 0x80, 1, 2, 3, 4},
			"opcode":        {0x80 | 0x3, 0x80, 1, 2, 3, 4},
			"long ping":     append(webtest.FrameHead(true, webtest.OpPing, 200), 1, 2, 3, 4),
			"continuation":  webtest.Masked(true, webtest.OpContinuation, []byte("x")),
			"too big":       append(webtest.FrameHead(true, webtest.OpText, 40<<10), make([]byte, 4+40<<10)...),
		} {
			p, tap := start(t)
			p.Write(in)
			f, err := p.ReadFrame()
			if err != nil || f.Opcode != webtest.OpClose {
				t.Errorf("%s: %v %v, want a close frame", name, f, err)
			}
			p.Close()
			if err := <-ended; err == nil || name == "too big" && !errors.Is(err, websocket.ErrMessageTooBig) {
				t.Errorf("%s: ended with %v", name, err)
			}
			writes, _, _ := tap.seen()
			if got := frames(t, writes); !bytes.Equal(got, []byte{webtest.OpClose}) {
				t.Errorf("%s: wrote %x", name, got)
			}
		}
	})

	t.Run("of what came early it keeps what is buffered", func(t *testing.T) {
		received := make(chan string, 1)
		s := newUpgradeServer(t, "plain", nil, func(u *live.Upgraded) {
			_, m, err := u.WS.Read(context.Background())
			received <- fmt.Sprint(string(m), err)
			u.WS.CloseNow()
		})
		p, _ := webtest.Upgrade(t, webtest.DialServer(t, s.Server), "/", nil, webtest.Masked(true, webtest.OpText, []byte("early")))
		defer p.Close()
		if got := <-received; got != "early<nil>" {
			t.Errorf("got %q", got)
		}
	})

	t.Run("it ends by our Close, which must wake its reader", func(t *testing.T) {
		closing := make(chan error, 1)
		serve = func(u *live.Upgraded) {
			go func() { closing <- u.WS.CloseNow() }()
			ended <- drain(u)
		}
		defer func() { serve = func(u *live.Upgraded) { ended <- drain(u) } }()
		_, tap := start(t)
		for _, ch := range []chan error{ended, closing} {
			select {
			case <-ch:
			case <-time.After(webtest.Patience):
				t.Fatal("CloseNow did not end the reader")
			}
		}
		if _, _, closes := tap.seen(); closes != 1 {
			t.Errorf("closed %d times", closes)
		}
		if tap.inRead.Load() {
			t.Error("CloseNow returned before the reader let go of the connection")
		}
	})
}
