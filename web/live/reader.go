package live

import (
	"context"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

// How a connection is read. The library's Reader waits for a message, and what it
// stands on while it does makes a stack of 4 KiB or more, on each of many idle
// connections. So a plain connection has one of two goroutines:
//
//	park  waits until there is something to read, on the smallest stack there is:
//	      it calls little, allocates nothing, and ends by starting work
//	work  reads and carries out messages, on any stack, and ends by starting park
//	      when there is nothing more to read
//
// Where the connection is not plain (TLS), work stays and waits in the library.

// park waits until the connection can be read, or is closed.
func (c *wsConn) park() {
	c.socket.nonblocking.awaitRead()
	go c.work()
}

// work is the connection's goroutine while it is not parked. The last one takes
// the connection down.
func (c *wsConn) work() {
	idle := false
	c.guarded(func() { idle = c.serve() })
	if idle {
		go c.park()
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
		c.end(*why)
	}
	c.server.cfg.Log.Debug("connection ended", "conn", c.id, "reason", reason, "age", (c.server.age() - c.since).Round(time.Millisecond))
	return false
}

// read carries out commands until nothing is left to read, or the connection
// ends. It returns how it is to be closed; nil where that has been done.
func (c *wsConn) read() (why *protocol.Close, idle bool) {
	for {
		kind, message, err := c.socket.next(c.ws)
		switch {
		case errors.Is(err, errIdle):
			return nil, true
		case errors.Is(err, websocket.ErrMessageTooBig):
			return &protocol.CloseTooBig, false
		case err != nil:
			return nil, false // over, or closed by the hub
		case kind != websocket.MessageText:
			return &protocol.CloseNotText, false
		case !utf8.Valid(message): // the library does not check
			return &protocol.CloseBadText, false
		}
		c.hub.Alive()
		if why := c.handle(message); why != nil {
			return why, false
		}
	}
}

// next reads one message, which must be whole some seconds after it began. Where
// nothing of it is there it fails with errIdle, if the connection is plain.
func (s *socket) next(ws *websocket.Conn) (websocket.MessageType, []byte, error) {
	s.betweenFrames()
	kind, r, err := ws.Reader(context.Background())
	if err != nil {
		return 0, nil, err
	}
	s.beginMessage(time.Now().Add(messageTime))
	message, err := io.ReadAll(r)
	s.endMessage()
	return kind, message, err
}

// pinged decides whether a ping is answered: not when pongs pile up behind a
// client that does not read, nor beyond the rate of commands.
func (c *wsConn) pinged(context.Context, []byte) bool {
	c.heard()
	if ok, _ := c.pings.Take(1); !ok {
		return false
	}
	return !c.socket.crowded()
}

// heard is called after each ping and pong; also while a connection that never
// joined the hub is closed.
func (c *wsConn) heard() {
	if c.hub != nil {
		c.hub.Alive()
	}
	c.socket.betweenFrames()
}

// Read is called by the library's bufio.Reader.
func (s *socket) Read(b []byte) (int, error) {
	s.mu.Lock()
	between := s.between && !s.closed
	s.between = false
	if between {
		defer s.mu.Unlock()
		return s.nonblocking.read(b)
	}
	s.mu.Unlock()
	return s.Conn.Read(b)
}

// betweenFrames is called by whoever reads, before a message and after a control
// frame. Where nothing of a next frame is there, and the connection is plain, the
// next Read fails with errIdle instead of waiting.
func (s *socket) betweenFrames() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Once closed, the library's Close may be reading too; until then only the caller is.
	s.between = s.nonblocking.usable() && !s.closed && !s.message && s.reader != nil && s.reader.Buffered() == 0
}

// beginMessage sets until when the message that has begun must have been read.
// Once the connection is being closed its time is decided, and what the reader
// wants no longer counts.
func (s *socket) beginMessage(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.message, s.between = true, false
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
