package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A wireMessage is what a node sends, as far as these tests look at it.
type wireMessage struct {
	Type    string
	OK      []string
	Failed  []struct{ Symbol, Channel, Code, Message string }
	MaxRate *float64 `json:"max_rate"`
	Symbol  string
	Status  string
	Session struct{ ID, Role string }
	Limits  struct {
		MaxSymbols     int      `json:"max_symbols"`
		MaxRate        float64  `json:"max_rate"`
		MaxConnections int      `json:"max_connections"`
		Symbols        []string `json:"symbols"`
		Channels       []string `json:"channels"`
		Modes          []string `json:"modes"`
	}
	raw string
}

// A socket is a client; its own goroutine reads until the end.
type socket struct {
	t        *testing.T
	ws       *websocket.Conn
	messages chan wireMessage // without heartbeats; closed at the end
	ended    time.Time        // after messages is closed
	err      error
}

// dial opens a socket; resp is there also when that was refused.
func (n *testNode) dial(path string, header http.Header) (*socket, *http.Response, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(n.public, "http")+path, &websocket.DialOptions{HTTPClient: n.http, HTTPHeader: header})
	if err != nil {
		return nil, resp, err
	}
	k := &socket{t: n.t, ws: ws, messages: make(chan wireMessage, 256)}
	go k.read()
	n.t.Cleanup(func() { ws.CloseNow() })
	return k, resp, nil
}

// connect opens a socket and reads its welcome.
func (n *testNode) connect(token string) (*socket, wireMessage) {
	n.t.Helper()
	k, _, err := n.dial("/ws", bearer(token))
	if err != nil {
		n.t.Fatal(err)
	}
	return k, k.want("welcome")
}

func (k *socket) read() {
	defer close(k.messages)
	for {
		_, data, err := k.ws.Read(context.Background())
		if err != nil {
			k.ended, k.err = time.Now(), err
			return
		}
		m := wireMessage{raw: string(data)}
		if err := json.Unmarshal(data, &m); err != nil {
			k.err = err
			k.ws.CloseNow()
			return
		}
		if m.Type != "heartbeat" {
			k.messages <- m
		}
	}
}

// next is the next message; ok is false at the end of the connection.
func (k *socket) next() (m wireMessage, ok bool) {
	k.t.Helper()
	select {
	case m, ok = <-k.messages:
		return m, ok
	case <-time.After(patience):
		k.t.Fatal("no message and no end")
		return m, false
	}
}

func (k *socket) want(typ string) wireMessage {
	k.t.Helper()
	m, ok := k.next()
	if !ok || m.Type != typ {
		k.t.Fatalf("got %s (%v), want %s", m.raw, k.err, typ)
	}
	return m
}

// until skips messages of other types.
func (k *socket) until(typ string) wireMessage {
	k.t.Helper()
	for {
		m, ok := k.next()
		if !ok {
			k.t.Fatalf("ended (%v) before a %s", k.err, typ)
		}
		if m.Type == typ {
			return m
		}
	}
}

func (k *socket) say(text string) {
	k.t.Helper()
	if err := k.ws.Write(k.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		k.t.Fatal(err)
	}
}

// wantClose reads to the end, which must come with this code, and returns what was said before.
func (k *socket) wantClose(code int, reason string) (said []wireMessage) {
	k.t.Helper()
	for {
		m, ok := k.next()
		if ok {
			said = append(said, m)
			continue
		}
		closed, is := errors.AsType[websocket.CloseError](k.err)
		if !is || int(closed.Code) != code || !strings.Contains(closed.Reason, reason) {
			k.t.Fatalf("ended by %v, want %d %s", k.err, code, reason)
		}
		return said
	}
}
