package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"

	"github.com/fxcast/fxcast/protocol"
)

// This file has the attacks by HTTP requests, and by connections that make none.

// request sends one request and returns its status, as text, and the session cookie of the answer.
// The status is empty if the attack is over.
func (p *attacker) request(ctx context.Context, method, path, token string) (status, cookie string) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.target.Host+path, nil)
	if err != nil {
		return "unsendable", ""
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := p.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return "", ""
		}
		return wordFor(err), ""
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	for _, c := range answer.Cookies() {
		cookie = c.Value
	}
	return strconv.Itoa(answer.StatusCode), cookie
}

// wordFor names the end of a connection: a server that refuses it resets it.
func wordFor(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "ended"
	}
	return "failed"
}

// note counts an answer unless the attack is over.
func (p *attacker) note(answer string) {
	if answer != "" {
		p.add(answer)
	}
}

func newGuest(ctx context.Context, p *attacker) {
	status, _ := p.request(ctx, http.MethodPost, "/api/v1/session/guest", "")
	p.note(status)
}

// asGuest returns the token of the attacker's guest session, which it asks for if it has none.
func (p *attacker) asGuest(ctx context.Context) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guest == "" {
		status, cookie := p.request(ctx, http.MethodPost, "/api/v1/session/guest", "")
		if p.guest = cookie; cookie == "" {
			p.note("no session: " + status)
		}
	}
	return p.guest
}

func repeatRefused(ctx context.Context, p *attacker) {
	status, _ := p.request(ctx, http.MethodGet, "/api/v1/quotes?symbols="+string(p.symbols[0]), p.asGuest(ctx))
	p.note(status)
}

func guessToken(ctx context.Context, p *attacker) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	status, _ := p.request(ctx, http.MethodGet, "/api/v1/quotes?symbols="+string(p.symbols[0]), base64.RawURLEncoding.EncodeToString(secret[:]))
	p.note(status)
}

// maxHeld bounds the connections that one address holds. It is more than a server allows.
const maxHeld = 300

// A holding is connections that are kept open, each with a goroutine that waits for its end.
type holding struct {
	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
	wait  sync.WaitGroup
}

// add keeps conn until it ends or the holding is closed. It calls ended if the server has ended it.
func (h *holding) add(conn net.Conn, wait func() string, ended func(string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		h.conns = make(map[net.Conn]bool)
	}
	h.conns[conn] = true
	h.wait.Go(func() {
		word := wait()
		h.mu.Lock()
		mine := h.conns[conn]
		delete(h.conns, conn)
		h.mu.Unlock()
		conn.Close()
		if mine {
			ended(word)
		}
	})
}

func (h *holding) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns) >= maxHeld
}

func (h *holding) close() {
	h.mu.Lock()
	for conn := range h.conns {
		delete(h.conns, conn)
		conn.Close()
	}
	h.mu.Unlock()
	h.wait.Wait()
}

func holdIdle(ctx context.Context, p *attacker) {
	if p.held.full() {
		return
	}
	conn, err := p.dialer.DialContext(ctx, "tcp", p.target.Host)
	if err != nil {
		if ctx.Err() == nil {
			p.note(wordFor(err))
		}
		return
	}
	if conn.LocalAddr().(*net.TCPAddr).Port%2 == 0 {
		_, _ = fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n", p.target.Host) // an error shows when it reads
	}
	p.held.add(conn, func() string {
		_, err := io.Copy(io.Discard, conn)
		if err == nil {
			err = io.EOF
		}
		return wordFor(err)
	}, p.note)
}

// writeToStream opens an event stream and sends after its request, for as long as the server reads.
func writeToStream(ctx context.Context, p *attacker) {
	conn, err := p.dialer.DialContext(ctx, "tcp", p.target.Host)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, _ = fmt.Fprintf(conn, "GET /api/v1/stream?symbols=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		p.symbols[0], p.target.Host, p.asGuest(ctx))
	reader, status := answered(conn)
	if status != http.StatusOK {
		p.note(strconv.Itoa(status))
		return
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }() // ends with the connection
	junk := make([]byte, 64<<10)
	for err == nil {
		_, err = conn.Write(junk)
	}
	if ctx.Err() == nil {
		p.note("ended")
	}
}

// subscription returns the command to subscribe to names.
func subscription(mode string, names []string, since map[string]protocol.Position) []byte {
	return protocol.Command{Op: protocol.OpSubscribe, ID: []byte("1"), Symbols: names, Mode: mode, Since: since}.Append(nil)
}
