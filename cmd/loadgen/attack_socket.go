package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// This file has the attacks by WebSocket. A guest session is all that they need.

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// A hostile socket is a connection whose messages are read but never answered.
type hostile struct {
	conn   net.Conn
	reader *bufio.Reader
}

// socket opens a WebSocket as a guest. It returns nil if the server refuses it, which it counts.
func (p *attacker) socket(ctx context.Context) *hostile {
	conn, err := p.dialer.DialContext(ctx, "tcp", p.target.Host)
	if err != nil {
		if ctx.Err() == nil {
			p.note(wordFor(err))
		}
		return nil
	}
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer %s\r\n\r\n", p.target.RequestURI(), p.target.Host, p.asGuest(ctx))
	reader, status := answered(conn)
	if status != http.StatusSwitchingProtocols {
		if ctx.Err() == nil {
			p.note(strconv.Itoa(status))
		}
		conn.Close()
		return nil
	}
	return &hostile{conn, reader}
}

// answered reads the head of an answer; the status is 0 if there is none.
func answered(conn net.Conn) (*bufio.Reader, int) {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil {
		return reader, 0
	}
	return reader, answer.StatusCode
}

// next returns one frame of the server.
func (s *hostile) next() (op byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(s.reader, head[:2]); err != nil {
		return 0, nil, err
	}
	op = head[0] & 0x0f
	n := uint64(head[1])
	switch n {
	case 126:
		_, err = io.ReadFull(s.reader, head[:2])
		n = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(s.reader, head[:8])
		n = binary.BigEndian.Uint64(head[:])
	}
	if err != nil {
		return op, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(s.reader, payload)
	return op, payload, err
}

// end reads until the connection ends, and returns the close code, or a word without one. see gets
// each message and may be nil.
func (s *hostile) end(see func(text []byte)) string {
	for {
		op, payload, err := s.next()
		switch {
		case err != nil:
			return wordFor(err)
		case op == opClose && len(payload) >= 2:
			return strconv.Itoa(int(binary.BigEndian.Uint16(payload)))
		case op == opText && see != nil:
			see(payload)
		}
	}
}

// floodWith returns a step that sends empty frames until the server has closed the connection: one
// of the first kind that begins, then the second kind and, if it is a control frame, both in turn.
func floodWith(first, second byte) func(context.Context, *attacker) {
	begin, more := frame(first, nil), frame(second, nil)
	if first == opText {
		begin[0] &^= 0x80 // more fragments follow
		more[0] &^= 0x80
	} else {
		more = append(more, begin...)
	}
	junk := bytes.Repeat(more, 4096)
	return func(ctx context.Context, p *attacker) {
		s := p.socket(ctx)
		if s == nil {
			return
		}
		defer s.conn.Close()
		defer context.AfterFunc(ctx, func() { s.conn.Close() })()
		var reading sync.WaitGroup
		defer reading.Wait()
		reading.Go(func() {
			if code := s.end(nil); ctx.Err() == nil {
				p.note(code)
			}
		})
		_, err := s.conn.Write(begin)
		for err == nil {
			_, err = s.conn.Write(junk) // beyond the close frame, until the connection is gone
		}
	}
}

// The beginnings of messages that say counts.
var (
	resumedStart = []byte(`{"type":"` + protocol.TypeResumed + `"`)
	errorStart   = []byte(`{"type":"` + protocol.TypeError + `"`)
)

// say sends commands, each of them some times, and counts resumed symbols, error codes and the close
// code.
func (p *attacker) say(ctx context.Context, s *hostile, times int, commands ...[]byte) {
	defer s.conn.Close()
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	closed := make(chan string, 1)
	go func() {
		closed <- s.end(func(text []byte) {
			switch {
			case ctx.Err() != nil:
			case bytes.HasPrefix(text, resumedStart):
				p.note(protocol.TypeResumed)
			case bytes.HasPrefix(text, errorStart):
				if m, err := protocol.Decode(text); err == nil {
					p.note(m.(protocol.Error).Code)
				}
			}
		})
	}()
	for range times {
		for _, c := range commands {
			if _, err := s.conn.Write(frame(opText, c)); err != nil {
				break
			}
		}
	}
	if code := <-closed; ctx.Err() == nil {
		p.note(code)
	}
}

// resumeInVain asks for all symbols since places that history does not have.
func resumeInVain(ctx context.Context, p *attacker) {
	if s, newest := p.positions(ctx); s != nil {
		p.say(ctx, s, 50, p.since(func(string) protocol.Position { return protocol.Position{Epoch: "none", Seq: 1} }),
			p.since(func(n string) protocol.Position {
				return protocol.Position{Epoch: newest[n].Epoch, Seq: newest[n].Seq + 1e9}
			}))
	}
}

// replayAll asks for all quotes of all symbols that history may have.
func replayAll(ctx context.Context, p *attacker) {
	if s, newest := p.positions(ctx); s != nil {
		p.say(ctx, s, 100, p.since(func(n string) protocol.Position {
			return protocol.Position{Epoch: newest[n].Epoch, Seq: max(newest[n].Seq, 1000) - 999}
		}))
	}
}

// since returns the command that resumes all symbols in mode all.
func (p *attacker) since(position func(name string) protocol.Position) []byte {
	since := make(map[string]protocol.Position)
	for _, s := range p.symbols {
		since[string(s)] = position(string(s))
	}
	return subscription(protocol.ModeAll, symbolNames(p.symbols), since)
}

// positions opens a socket and reads the newest position of each symbol that has a quote.
func (p *attacker) positions(ctx context.Context) (*hostile, map[string]protocol.Position) {
	s := p.socket(ctx)
	if s == nil {
		return nil, nil
	}
	newest := make(map[string]protocol.Position)
	_ = s.conn.SetReadDeadline(time.Now().Add(2 * time.Second)) // a symbol may have no quote
	_, _ = s.conn.Write(frame(opText, subscription(protocol.ModeLatest, symbolNames(p.symbols), nil)))
	for len(newest) < len(p.symbols) {
		op, text, err := s.next()
		if err != nil || op == opClose {
			break
		}
		if m, err := protocol.Decode(text); err == nil {
			if m, ok := m.(protocol.Snapshot); ok {
				for _, q := range m.Data {
					newest[q.Symbol] = protocol.Position{Epoch: q.Epoch, Seq: q.Seq}
				}
			}
		}
	}
	_ = s.conn.SetReadDeadline(time.Time{})
	return s, newest
}

// subscribeToNothing names as many symbols as a message can hold, and as many unknown ones as a
// server answers one by one.
func subscribeToNothing(ctx context.Context, p *attacker) {
	s := p.socket(ctx)
	if s == nil {
		return
	}
	most := subscription("", make([]string, 10_000), nil)
	unknown := make([]string, 1000)
	for i := range unknown {
		unknown[i] = strconv.Itoa(i)
	}
	p.say(ctx, s, 50, most, subscription("", unknown, nil))
}

func holdSocket(ctx context.Context, p *attacker) {
	if p.held.full() {
		return
	}
	if s := p.socket(ctx); s != nil {
		p.held.add(s.conn, func() string { return s.end(nil) }, p.note)
	}
}
