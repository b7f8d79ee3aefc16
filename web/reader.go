package web

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
	c.socket.plain.awaitRead()
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
	c.server.log.Debug("connection ended", "conn", c.id, "reason", reason, "age", (c.server.age() - c.since).Round(time.Millisecond))
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
		c.client.Alive()
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
	if c.client != nil {
		c.client.Alive()
	}
	c.socket.betweenFrames()
}
