package web_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// patience bounds every wait of a test on a busy machine.
const patience = 20 * time.Second

// A peer is a WebSocket client that believes nothing: it checks every rule of
// RFC 6455 about frames of a server, and sends whatever a test wants.
type peer struct {
	net.Conn
	br *bufio.Reader
}

// A frame as it came.
type frame struct {
	opcode  byte
	payload []byte
}

func (f frame) code() int {
	if f.opcode != opClose || len(f.payload) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(f.payload))
}

// dialServer opens a plain or TLS connection to a test server.
func dialServer(t testing.TB, s *httptest.Server) net.Conn {
	t.Helper()
	addr := s.Listener.Addr().String()
	var c net.Conn
	var err error
	if s.TLS != nil {
		c, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	} else {
		c, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upgrade sends the handshake, and early right behind it in the same write. The
// answer is returned as it is; on 101 the peer is ready.
func upgrade(t testing.TB, c net.Conn, path string, header http.Header, early []byte) (*peer, *http.Response) {
	t.Helper()
	p, resp, err := tryUpgrade(c, path, header, early)
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	return p, resp
}

func tryUpgrade(c net.Conn, path string, header http.Header, early []byte) (*peer, *http.Response, error) {
	h := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	for k, v := range header {
		if v == nil {
			h.Del(k)
			continue
		}
		h[http.CanonicalHeaderKey(k)] = v
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, c.RemoteAddr())
	h.Write(&b)
	b.WriteString("\r\n")
	b.Write(early)
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(b.Bytes()); err != nil {
		return nil, nil, err
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, nil, fmt.Errorf("handshake: %w", err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if got := resp.Header.Get("Sec-Websocket-Accept"); h.Get("Sec-Websocket-Key") == "dGhlIHNhbXBsZSBub25jZQ==" && got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			return nil, nil, fmt.Errorf("Sec-WebSocket-Accept = %q", got)
		}
	}
	c.SetDeadline(time.Time{})
	return &peer{c, br}, resp, nil
}

// send writes one masked frame.
func (p *peer) send(fin bool, opcode byte, payload []byte) error {
	_, err := p.Write(masked(fin, opcode, payload))
	return err
}

func masked(fin bool, opcode byte, payload []byte) []byte {
	b := frameHead(fin, opcode, uint64(len(payload)))
	var key [4]byte
	rand.Read(key[:])
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// frameHead is the head of a masked frame without its key.
func frameHead(fin bool, opcode byte, n uint64) []byte {
	b := []byte{opcode}
	if fin {
		b[0] |= 0x80
	}
	switch {
	case n < 126:
		return append(b, 0x80|byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0x80|127), n)
}

func closePayload(code int, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

var errFrame = errors.New("frame breaks RFC 6455")

// read reads one frame of a server that does not fragment: a torn or misplaced
// byte is an error.
func (p *peer) read() (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{opcode: head[0] & 0x0f}
	switch {
	case head[0]&0x70 != 0:
		return f, fmt.Errorf("%w: reserved bits %08b", errFrame, head[0])
	case head[0]&0x80 == 0:
		return f, fmt.Errorf("%w: fragmented", errFrame)
	case head[1]&0x80 != 0:
		return f, fmt.Errorf("%w: masked", errFrame)
	case f.opcode != opText && f.opcode != opClose && f.opcode != opPing && f.opcode != opPong:
		return f, fmt.Errorf("%w: opcode %#x", errFrame, f.opcode)
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(p.br, b[:]); err != nil {
			return f, err
		}
		if n = uint64(binary.BigEndian.Uint16(b[:])); n < 126 {
			return f, fmt.Errorf("%w: length %d in three bytes", errFrame, n)
		}
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(p.br, b[:]); err != nil {
			return f, err
		}
		if n = binary.BigEndian.Uint64(b[:]); n <= 0xffff || n > 64<<20 {
			return f, fmt.Errorf("%w: length %d in nine bytes", errFrame, n)
		}
	}
	if f.opcode >= opClose && n > 125 {
		return f, fmt.Errorf("%w: control frame of %d bytes", errFrame, n)
	}
	f.payload = make([]byte, n)
	if _, err := io.ReadFull(p.br, f.payload); err != nil {
		return f, err
	}
	if f.opcode == opText && !utf8.Valid(f.payload) {
		return f, fmt.Errorf("%w: text is not UTF-8", errFrame)
	}
	if f.opcode == opClose && (n == 1 || n > 2 && !utf8.Valid(f.payload[2:])) {
		return f, fmt.Errorf("%w: close payload %q", errFrame, f.payload)
	}
	return f, nil
}

// A message is what our server may send, all types in one.
type message struct {
	Type      string `json:"type"`
	ID        json.RawMessage
	Op        string
	OK        []string
	Failed    []struct{ Symbol, Channel, Code, Message string }
	MaxRate   *float64 `json:"max_rate"`
	Mode      string
	Reset     bool
	Data      json.RawMessage
	Symbol    string
	Status    string
	Since     string
	Channel   string
	Dropped   int
	TS        string
	Symbols   []string
	Channels  []string
	Code      json.RawMessage
	Message   string
	Reason    string
	Retry     int64  `json:"retry_after_ms"`
	Reconnect int64  `json:"reconnect_after_ms"`
	Protocol  string `json:"protocol"`
	ConnID    string `json:"conn_id"`
	Time      string `json:"server_time"`
	Heartbeat int64  `json:"heartbeat_ms"`
	Session   struct{ ID, Role, ExpiresAt string }
	Limits    struct {
		MaxSymbols  int     `json:"max_symbols"`
		MaxRate     float64 `json:"max_rate"`
		Commands    int     `json:"commands_per_second"`
		MaxMessages int     `json:"max_message_bytes"`
	}
	raw string
}

func (m message) errorCode() string { return strings.Trim(string(m.Code), `"`) }

func (m message) quotes(t testing.TB) []wireQuote {
	t.Helper()
	var qs []wireQuote
	if err := json.Unmarshal(m.Data, &qs); err != nil {
		t.Fatalf("data of %s: %v", m.raw, err)
	}
	return qs
}

// A wireQuote is Q of the protocol.
type wireQuote struct {
	Symbol  string
	Bid     string
	Ask     string
	TS      string
	Seq     uint64
	Epoch   string
	Skipped uint64
	Status  string
}

// A client is a peer that speaks the protocol.
type client struct {
	*peer
	t testing.TB
}

// receive returns the next message, answering pings and leaving heartbeats out.
func (c *client) receive() (message, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := c.read()
		if err != nil {
			return message{}, err
		}
		switch f.opcode {
		case opPing:
			if err := c.peer.send(true, opPong, f.payload); err != nil {
				return message{}, err
			}
		case opPong:
		case opClose:
			return message{}, closedError{f.code(), string(f.payload[min(2, len(f.payload)):])}
		default:
			m := message{raw: string(f.payload)}
			if err := json.Unmarshal(f.payload, &m); err != nil {
				return m, fmt.Errorf("%q: %w", f.payload, err)
			}
			if m.Type != "heartbeat" {
				return m, nil
			}
		}
	}
}

// A closedError is a close frame.
type closedError struct {
	code   int
	reason string
}

func (e closedError) Error() string { return fmt.Sprintf("closed with %d %q", e.code, e.reason) }

// next is receive for tests that go on only with a message.
func (c *client) next() message {
	c.t.Helper()
	m, err := c.receive()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	return m
}

// want returns the next message, which must be of this type.
func (c *client) want(typ string) message {
	c.t.Helper()
	m := c.next()
	if m.Type != typ {
		c.t.Fatalf("got %s, want %s", m.raw, typ)
	}
	return m
}

// until skips messages of other types.
func (c *client) until(typ string) message {
	c.t.Helper()
	for {
		if m := c.next(); m.Type == typ {
			return m
		}
	}
}

// wantClose reads until the close frame, answers it, and then wants the server to
// close the connection in an orderly way. It returns the last message before.
func (c *client) wantClose(code int) (last message) {
	c.t.Helper()
	for {
		m, err := c.receive()
		closed, ok := errors.AsType[closedError](err)
		switch {
		case err == nil:
			last = m
			continue
		case !ok:
			c.t.Fatalf("want close %d, got %v", code, err)
		case closed.code != code:
			c.t.Fatalf("want close %d, got %v", code, closed)
		}
		if err := c.peer.send(true, opClose, closePayload(code, "")); err != nil {
			c.t.Fatalf("answering the close frame: %v", err)
		}
		if f, err := c.read(); !errors.Is(err, io.EOF) {
			c.t.Fatalf("after the closing handshake: %v %v, want the end", f, err)
		}
		c.Close()
		return last
	}
}

// say sends a text message.
func (c *client) say(text string) {
	c.t.Helper()
	if err := c.peer.send(true, opText, []byte(text)); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// eventually waits for what a test can not be told of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

func jsonInto(data json.RawMessage, v any) error { return json.Unmarshal(data, v) }
