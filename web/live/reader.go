package live

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

// This file reads connections. While the library's Reader waits for a message, it needs a goroutine
// with a stack of 4 KiB or more, for each of many idle connections. So a plain connection that has
// nothing to read is parked: it has no goroutine, and the poller wakes it. If the connection is not
// plain (TLS), work does not end, and waits within the library.

// wake implements socketOwner.
func (c *wsConn) wake() { go c.work() }

// work is the goroutine of a connection that is not parked: it reads and executes messages, and
// parks the connection when there is nothing more to read. It closes the connection at the end.
func (c *wsConn) work() {
	idle := false
	c.guarded(func() { idle = c.serve() })
	if idle {
		c.socket.park(&c.server.poller) // another work may own the connection from here on
		return
	}
	defer c.server.sockets.Done()
	_ = c.ws.CloseNow()
	c.guarded(c.close)
}

// serve reads until there is nothing to read, or until the connection ends.
func (c *wsConn) serve() (idle bool) {
	why, idle := c.read()
	if idle {
		return true
	}
	reason := ""
	if why != nil {
		reason = why.Reason
		if replies := c.hub.Leave(); len(replies) > 0 { // such as the errors that led to this
			_, _ = c.socket.send(replies, false)
		}
		c.end(*why)
	}
	c.server.cfg.Log.Debug("connection ended", "conn", c.id, "reason", reason, "age", (c.server.age() - c.since).Round(time.Millisecond))
	return false
}

// read executes commands until nothing is left to read, or until the connection ends. It returns
// how to close the connection, or nil if the connection is closed already.
func (c *wsConn) read() (why *protocol.Close, idle bool) {
	for {
		kind, message, err := c.socket.next(c.ws)
		switch {
		case errors.Is(err, errIdle):
			return nil, true
		case errors.Is(err, websocket.ErrMessageTooBig):
			return &protocol.CloseTooBig, false
		case err != nil:
			return nil, false // the peer, the network or the hub has ended the connection
		case kind != websocket.MessageText:
			return &protocol.CloseNotText, false
		case !utf8.Valid(message.Bytes()): // the library does not check
			return &protocol.CloseBadText, false
		}
		c.hub.Alive()
		why := c.handle(message.Bytes())
		messages.Put(message)
		if why != nil {
			return why, false
		}
	}
}

// messages holds buffers for messages. The library bounds a message, and so a buffer.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// next reads one message, which must be complete within messageTime after it began. The caller may put
// the buffer back into messages. On a plain connection without bytes to read, next fails with errIdle.
func (s *socket) next(ws *websocket.Conn) (websocket.MessageType, *bytes.Buffer, error) {
	s.betweenFrames()
	kind, r, err := ws.Reader(context.Background())
	if err != nil {
		return 0, nil, err
	}
	s.beginMessage(time.Now().Add(messageTime))
	message := messages.Get().(*bytes.Buffer)
	message.Reset()
	_, err = message.ReadFrom(r)
	s.endMessage()
	return kind, message, err
}

// pinged reports whether to answer a ping. It refuses pings beyond the rate of commands, and pings
// of a client that does not read, so that pongs do not pile up.
func (c *wsConn) pinged(context.Context, []byte) bool {
	c.alive()
	if ok, _ := c.pings.Take(1); !ok {
		return false
	}
	return !c.socket.crowded()
}

// alive is called after each ping and pong, even while a connection that never joined the hub is
// being closed.
func (c *wsConn) alive() {
	if c.hub != nil {
		c.hub.Alive()
	}
	if ok, _ := c.controls.Take(1); !ok {
		c.socket.flood()
	}
	c.socket.betweenFrames()
}

// Read is called by the library's bufio.Reader.
func (s *socket) Read(b []byte) (int, error) {
	s.mu.Lock()
	between, message, closing, slow := s.between, s.message, s.closed, s.slow
	s.between = false
	s.mu.Unlock()
	if slow {
		time.Sleep(floodDelay)
	}
	if between && !closing {
		return s.readNow(b)
	}
	n, err := s.Conn.Read(b)
	if message {
		s.countMessage(n)
	}
	if closing && err == nil {
		err = s.countLate(n)
	}
	return n, err
}

// readNow reads the bytes that have arrived, or fails with errIdle if there are none. It waits for
// them if the connection is not plain or is being closed.
func (s *socket) readNow(b []byte) (int, error) {
	s.mu.Lock()
	if s.nonblocking.usable() && !s.closed {
		defer s.mu.Unlock()
		return s.nonblocking.read(b)
	}
	s.mu.Unlock()
	return s.Conn.Read(b)
}

// countLate counts what arrives after the close frame was sent. A peer that goes on and on ends the
// closing handshake.
func (s *socket) countLate(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late += int32(n); s.late > closingInput {
		return errSocketClosed
	}
	return nil
}

// expectLittle bounds by littleInput what is read after the close frame.
func (s *socket) expectLittle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = max(s.late, closingInput-littleInput)
}

// countMessage counts what arrives within a message, which may be any number of empty fragments.
func (s *socket) countMessage(n int) {
	s.mu.Lock()
	before := s.arrived
	s.arrived += n
	flooded := before <= messageFrames && s.arrived > messageFrames
	s.mu.Unlock()
	if flooded {
		s.flood()
	}
}

// flood reports a peer that sends more than it may, once, and reads it slowly from then on.
func (s *socket) flood() {
	if s.slowDown() {
		s.owner.flooded()
	}
}

// slowDown makes reads wait, so that a peer which is about to be closed costs no more. Otherwise many
// such readers would keep the hub from the processor, and so from closing them. It returns false if
// reads wait already.
func (s *socket) slowDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.slow
	s.slow = true
	return first
}

// betweenFrames is called by the reader, before a message and after a control frame. On a plain
// connection it makes the next Read fail with errIdle, instead of waiting, if no byte of the next
// frame has arrived.
func (s *socket) betweenFrames() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Only the caller reads until the socket is closed. After that, the library's Close may read,
	// too.
	s.between = s.nonblocking.usable() && !s.closed && !s.message && s.reader != nil && s.reader.Buffered() == 0
}

// beginMessage sets the deadline of the message that has begun. A connection that is being closed
// keeps the deadline of its closing handshake.
func (s *socket) beginMessage(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.message, s.between, s.arrived = true, false, 0
	if !s.closed {
		_ = s.Conn.SetReadDeadline(until)
	}
}

func (s *socket) endMessage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.message = false
	if !s.closed {
		_ = s.Conn.SetReadDeadline(time.Time{})
	}
}
