package live

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/endpoint"
)

// A Client is one client of the hub, whatever it speaks: counted among those of its owner,
// bound to its session, and with a socket that the hub writes to.
type Client struct {
	// Static after construction.
	server *Server
	id     string
	grants *session.Grants // shared by all of the role
	owner  string          // whose connections are counted: the user, or a guest's address
	hub    *hub.Client     // set while the hub is joined
	addr   netip.Addr      // the client's; may be invalid
	since  time.Duration   // the server's age when it was opened
	events bool            // it speaks Server-Sent Events, else WebSocket

	socket socket // the library and the hub write through it

	ending atomic.Bool // Close was called

	bindMu  sync.Mutex // guards what follows; Bind and Binding.Close do not block
	binding *session.Binding
	session boundSession // what binding is to
	unbound bool
}

// begin fills in what the request has.
func (c *Client) begin(s *Server, r *http.Request, sess session.Session) {
	c.server, c.id, c.session = s, endpoint.NewID(), holding(sess)
	c.grants, c.owner, c.since = s.cfg.Access.Grants(sess), s.cfg.Access.Subject(r), s.age()
	c.addr = s.cfg.Access.Address(r)
}

// open gives a client its place: among those of its owner, in the hub, and with its
// session. conn is what the client is part of. A client that has no place is to be closed
// as returned.
func (c *Client) open(conn hub.Conn, sess session.Session, framing int) (refused *protocol.Close) {
	if !c.lease() {
		return &protocol.CloseTooMany
	}
	c.events = framing == framingEvents
	options := hub.JoinOptions{Welcome: c.welcome(), Framing: framing, Positions: c.events, Joined: func(client *hub.Client) {
		c.hub = client
		c.server.clients.add(c) // before the welcome, which has its id
	}}
	if _, err := c.server.cfg.Hub.Join(conn, options); err != nil {
		c.release()
		return &protocol.CloseRestart
	}
	c.bind(sess)
	return nil
}

// close undoes open.
func (c *Client) close() {
	c.server.clients.remove(c)
	c.unbind()
	c.hub.Leave()
	c.release()
}

// guarded keeps a panic to this client.
func (c *Client) guarded(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.server.cfg.Panics.Inc()
			c.server.cfg.Log.Error("connection panicked", "conn", c.id, "panic", v)
			_ = c.socket.abort() // the library may be in no state to do it
		}
	}()
	f()
}

// Write and Backlog implement hub.Conn.

func (c *Client) Write(batch hub.Batch) (ready bool, err error) {
	return c.socket.offer(batch.Frames)
}

func (c *Client) Backlog() (int, time.Duration) { return c.socket.backlog() }

// spawn and ready implement socketOwner.

func (c *Client) spawn(f func()) { c.server.sockets.Go(f) }

func (c *Client) ready() { c.hub.Ready() }

// lease counts the client over all nodes. If Redis cannot be asked, it is let in: the
// session was good a moment ago.
func (c *Client) lease() bool {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	ok, err := c.server.cfg.Sessions.Leases.Acquire(ctx, c.owner, c.id, c.grants.MaxConnections)
	return ok || err != nil
}

func (c *Client) release() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	_ = c.server.cfg.Sessions.Leases.Release(ctx, c.owner, c.id) // otherwise it expires
}

// A Description is what an operator sees of a client, without what the hub knows.
type Description struct {
	ID, Kind                string // websocket or sse
	SessionID, UserID, Role string
	Address                 string // empty if it is not known
	Since                   time.Time
	Bytes                   int           // waiting in the connection
	Stalled                 time.Duration // for which none of them has gone out
}

// Describe does not wait.
func (c *Client) Describe() Description {
	c.bindMu.Lock()
	bound := c.session
	c.bindMu.Unlock()
	d := Description{ID: c.id, Kind: "websocket", SessionID: bound.id, UserID: bound.user, Role: bound.role, Since: c.server.start.Add(c.since)}
	d.Bytes, d.Stalled = c.Backlog()
	if c.events {
		d.Kind = "sse"
	}
	if c.addr.IsValid() {
		d.Address = c.addr.String()
	}
	return d
}

// Stats returns what the hub knows of the client, if it answers in time.
func (c *Client) Stats(ctx context.Context) (stats hub.ClientStats, ok bool) {
	return c.hub.Stats(ctx)
}

// Kick closes the client's connection for an operator; it does not wait.
func (c *Client) Kick() { c.hub.Close(protocol.CloseKicked) }
