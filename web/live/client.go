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

// A Client is one client of the hub, over either protocol. It counts against the connection limit
// of its owner, is bound to its session, and has a socket that the hub writes to. Its exported
// methods are safe for concurrent use.
type Client struct {
	// Static after construction.
	server *Server
	id     string
	grants *session.Grants // shared by all sessions of the role
	owner  string          // the subject whose connections are counted: a user, or a guest's address
	hub    *hub.Client     // set when the client joins the hub
	addr   netip.Addr      // of the client; may be invalid
	since  time.Duration   // the server's age when the client connected
	events bool            // the client uses Server-Sent Events, not WebSocket

	socket socket // the library and the hub write through it

	ending  atomic.Bool // Close was called
	gaveWay atomic.Bool // its lease was given back before the connection has ended

	endResume atomic.Pointer[context.CancelFunc] // of the resume that is running, if any

	bindMu  sync.Mutex // guards the following fields; Bind and Binding.Close do not block
	binding *session.Binding
	session boundSession // of binding
	unbound bool
}

// begin fills in the fields that come from the request.
func (c *Client) begin(s *Server, r *http.Request, sess session.Session) {
	c.server, c.id, c.session = s, endpoint.NewID(), boundTo(sess)
	c.grants, c.owner, c.since = s.cfg.Access.Grants(sess), s.cfg.Access.Subject(r), s.age()
	c.addr = s.cfg.Access.Address(r)
}

// open acquires a connection lease for the client, joins the hub, and binds the session. conn is
// the connection that contains the client. If open refuses the client, it returns how the caller
// must close it.
func (c *Client) open(conn hub.Conn, sess session.Session, framing int) (refused *protocol.Close) {
	if !c.lease() && !(c.makeRoom() && c.lease()) {
		return &protocol.CloseTooMany
	}
	c.events = framing == framingEvents
	subprotocol := protocol.Name
	if framing == framingBinary {
		subprotocol = protocol.NameBinary
	}
	options := hub.JoinOptions{Welcome: c.welcome(subprotocol), Framing: framing, Positions: c.events, MaxRate: c.grants.MaxRate, Joined: func(client *hub.Client) {
		c.hub = client
		c.server.clients.add(c) // before the welcome message, which has the client's id
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
	c.cancelResume()
	c.server.clients.remove(c)
	c.unbind()
	c.hub.Leave()
	c.release()
}

// guarded runs f and confines a panic to this client: it aborts the connection.
func (c *Client) guarded(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.server.cfg.Panics.Inc()
			c.server.cfg.Log.Error("connection panicked", "conn", c.id, "panic", v)
			_ = c.socket.abort() // the library may be in no state to close the connection
		}
	}()
	f()
}

// Write implements hub.Conn.
func (c *Client) Write(batch hub.Batch) (ready bool, err error) {
	return c.socket.offer(batch.Frames)
}

// Backlog implements hub.Conn.
func (c *Client) Backlog() (int, time.Duration) { return c.socket.backlog() }

// spawn, ready and flooded implement socketOwner.

func (c *Client) spawn(f func()) { c.server.sockets.Go(f) }

func (c *Client) ready() { c.hub.Ready() }

func (c *Client) flooded() {
	if c.hub != nil && !c.ending.Load() { // else it is being closed
		c.hub.Close(protocol.CloseFlooded)
	}
}

// A Description describes a client to an operator. Stats has the part that the hub knows.
type Description struct {
	ID, Kind                string // websocket or sse
	SessionID, UserID, Role string
	Address                 string // empty if unknown
	Since                   time.Time
	Bytes                   int           // waiting to be written to the connection
	Stalled                 time.Duration // for how long none of them could be written
}

// Describe returns the Description of the client. It does not wait.
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

// Stats returns the hub's statistics of the client. ok is false if the hub does not answer before
// ctx ends, or if the client has left.
func (c *Client) Stats(ctx context.Context) (stats hub.ClientStats, ok bool) {
	return c.hub.Stats(ctx)
}

// Kick closes the client's connection on behalf of an operator. It does not wait.
func (c *Client) Kick() { c.hub.Close(protocol.CloseKicked) }
