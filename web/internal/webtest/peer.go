package webtest

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
	"unicode/utf8"
)

const (
	OpContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xa
)

// Patience bounds every wait of a test on a busy machine.
const Patience = time.Minute

// A Peer is a WebSocket client that believes nothing: it checks every rule of
// RFC 6455 about frames of a server, and sends whatever a test wants.
type Peer struct {
	net.Conn
	br *bufio.Reader
}

// A Frame as it came.
type Frame struct {
	Opcode  byte
	Payload []byte
}

func (f Frame) Code() int {
	if f.Opcode != OpClose || len(f.Payload) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(f.Payload))
}

// DialServer opens a plain or TLS connection to a test server.
func DialServer(t testing.TB, s *httptest.Server) net.Conn {
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

// Upgrade sends the handshake, and early right behind it in the same write. The
// answer is returned as it is; on 101 the peer is ready.
func Upgrade(t testing.TB, c net.Conn, path string, header http.Header, early []byte) (*Peer, *http.Response) {
	t.Helper()
	p, resp, err := TryUpgrade(c, path, header, early)
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	return p, resp
}

// TryUpgrade is Upgrade for tests of handshakes that fail.
func TryUpgrade(c net.Conn, path string, header http.Header, early []byte) (*Peer, *http.Response, error) {
	h := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	for k, v := range header {
		if v == nil {
			h.Del(k)
			continue
		}
		h[http.CanonicalHeaderKey(k)] = v
	}
	host := cmp.Or(h.Get("Host"), c.RemoteAddr().String())
	h.Del("Host")
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, host)
	h.Write(&b)
	b.WriteString("\r\n")
	b.Write(early)
	c.SetDeadline(time.Now().Add(Patience))
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
	return &Peer{c, br}, resp, nil
}

// SendFrame writes one masked frame.
func (p *Peer) SendFrame(fin bool, opcode byte, payload []byte) error {
	_, err := p.Write(Masked(fin, opcode, payload))
	return err
}

// Masked returns a masked frame.
func Masked(fin bool, opcode byte, payload []byte) []byte {
	b := FrameHead(fin, opcode, uint64(len(payload)))
	var key [4]byte
	rand.Read(key[:])
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// FrameHead is the head of a masked frame without its key.
func FrameHead(fin bool, opcode byte, n uint64) []byte {
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

// ClosePayload returns the payload of a close frame.
func ClosePayload(code int, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

var ErrFrame = errors.New("frame breaks RFC 6455")

// ReadFrame reads one frame of a server that does not fragment: a torn or misplaced
// byte is an error.
func (p *Peer) ReadFrame() (Frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Opcode: head[0] & 0x0f}
	switch {
	case head[0]&0x70 != 0:
		return f, fmt.Errorf("%w: reserved bits %08b", ErrFrame, head[0])
	case head[0]&0x80 == 0:
		return f, fmt.Errorf("%w: fragmented", ErrFrame)
	case head[1]&0x80 != 0:
		return f, fmt.Errorf("%w: masked", ErrFrame)
	case f.Opcode != OpText && f.Opcode != OpBinary && f.Opcode != OpClose && f.Opcode != OpPing && f.Opcode != OpPong:
		return f, fmt.Errorf("%w: opcode %#x", ErrFrame, f.Opcode)
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(p.br, b[:]); err != nil {
			return f, err
		}
		if n = uint64(binary.BigEndian.Uint16(b[:])); n < 126 {
			return f, fmt.Errorf("%w: length %d in three bytes", ErrFrame, n)
		}
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(p.br, b[:]); err != nil {
			return f, err
		}
		if n = binary.BigEndian.Uint64(b[:]); n <= 0xffff || n > 64<<20 {
			return f, fmt.Errorf("%w: length %d in nine bytes", ErrFrame, n)
		}
	}
	if f.Opcode >= OpClose && n > 125 {
		return f, fmt.Errorf("%w: control frame of %d bytes", ErrFrame, n)
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(p.br, f.Payload); err != nil {
		return f, err
	}
	if f.Opcode == OpText && !utf8.Valid(f.Payload) {
		return f, fmt.Errorf("%w: text is not UTF-8", ErrFrame)
	}
	if f.Opcode == OpClose && (n == 1 || n > 2 && !utf8.Valid(f.Payload[2:])) {
		return f, fmt.Errorf("%w: close payload %q", ErrFrame, f.Payload)
	}
	return f, nil
}
