package vendortest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// listener accepts connections whose network the server can break.
type listener struct {
	net.Listener
	server *Server

	mu    sync.Mutex // guards conns
	conns map[*conn]bool
}

// conn is a connection whose network the server can break.
type conn struct {
	net.Conn
	listener *listener
	frozen   atomic.Bool // nothing is sent any more
	torn     atomic.Bool // something was not sent
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.server.on(Drop) {
			reset(raw)
			continue
		}
		c := &conn{Conn: raw, listener: l}
		l.mu.Lock()
		l.conns[c] = true
		l.mu.Unlock()
		return c, nil
	}
}

// reset closes a connection so that the peer notices at once.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// drop closes all connections, or only those that are torn.
func (l *listener) drop(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if all || c.torn.Load() {
			reset(c.Conn)
		}
	}
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Write sends, or pretends to, or sends a few bytes at a time.
func (c *conn) Write(p []byte) (n int, err error) {
	s := c.listener.server
	if c.frozen.Load() || s.on(HalfOpen) {
		c.torn.Store(true)
		return len(p), nil
	}
	if !s.on(Slow) {
		return c.Conn.Write(p)
	}
	const piece = 64
	for n < len(p) && err == nil {
		var m int
		m, err = c.Conn.Write(p[n:min(n+piece, len(p))])
		n += m
		time.Sleep(time.Millisecond)
	}
	return n, err
}

type connKey struct{}

// connOf returns the connection of a request.
func connOf(ctx context.Context) *conn { return ctx.Value(connKey{}).(*conn) }
