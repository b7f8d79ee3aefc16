package web

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

// A connection is one client of the hub, whatever it speaks: counted, bound to
// its session, and with a socket that the hub writes to.
type connection struct {
	// Static after construction.
	server *Server
	id     string
	grants *session.Grants // shared by all of the role
	holder string          // whose connections are counted: the user, or a guest's address
	client *hub.Client
	addr   netip.Addr    // the client's; may be invalid
	since  time.Duration // the server's age when it was opened
	events bool          // it speaks Server-Sent Events, else WebSocket

	socket socket // the library and the hub write through it

	ending atomic.Bool // Close was called

	bindMu  sync.Mutex // guards what follows; Bind and Binding.Close do not block
	binding *session.Binding
	session boundSession // what binding is to
	unbound bool
}

// begin fills in who connects.
func (c *connection) begin(s *Server, r *http.Request, sess session.Session) {
	c.server, c.id, c.session = s, endpoint.NewID(), holding(sess)
	c.grants, c.holder, c.since = s.access.Grants(sess), s.access.Subject(r), s.age()
	c.addr = s.access.Address(r)
}

// open gives a connection its place: among those of its holder, in the hub, and
// with its session. conn is what it is part of. A connection that has no place is to be
// closed as returned.
func (c *connection) open(conn hub.Conn, sess session.Session, framing int) (refused *protocol.Close) {
	if !c.lease() {
		return &protocol.CloseTooMany
	}
	c.events = framing == framingEvents
	options := hub.JoinOptions{Welcome: c.welcome(), Framing: framing, Positions: c.events, Joined: func(client *hub.Client) {
		c.client = client
		c.server.roster.add(c) // before the welcome, which tells its id
	}}
	if _, err := c.server.cfg.Hub.Join(conn, options); err != nil {
		c.release()
		return &protocol.CloseRestart
	}
	c.bind(sess)
	return nil
}

// close undoes open.
func (c *connection) close() {
	c.server.roster.remove(c)
	c.unbind()
	c.client.Leave()
	c.release()
}

// guarded keeps a panic to this connection.
func (c *connection) guarded(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.server.stats.panics.Inc()
			c.server.log.Error("connection panicked", "conn", c.id, "panic", v)
			_ = c.socket.abort() // the library may be in no state to do it
		}
	}()
	f()
}

// Write and Backlog implement hub.Conn.

func (c *connection) Write(batch hub.Batch) (ready bool, err error) {
	return c.socket.offer(batch.Frames)
}

func (c *connection) Backlog() (int, time.Duration) { return c.socket.backlog() }

// spawn and ready implement socketOwner.

func (c *connection) spawn(f func()) { c.server.sockets.Go(f) }

func (c *connection) ready() { c.client.Ready() }

// lease counts the connection over all nodes. Where Redis can not say, it is let
// in: the session was good a moment ago.
func (c *connection) lease() bool {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	ok, err := c.server.cfg.Sessions.Leases.Acquire(ctx, c.holder, c.id, c.grants.MaxConnections)
	return ok || err != nil
}

func (c *connection) release() {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	_ = c.server.cfg.Sessions.Leases.Release(ctx, c.holder, c.id) // else it runs out by itself
}

// A boundSession is the little of a session that a connection keeps: there are many.
type boundSession struct {
	id, user, role string
	expires        time.Time
}

func holding(s session.Session) boundSession {
	return boundSession{s.ID, s.UserID, s.Role, s.ExpiresAt}
}

// bind ties the connection to its session.
func (c *connection) bind(s session.Session) {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.binding = c.server.cfg.Sessions.Bind(s, c.sessionEnded)
}

func (c *connection) unbind() {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.unbound = true
	c.binding.Close()
}

// sessionEnded follows a session that was renewed for the same user in the same
// role. Any other end of it is the connection's: what it was granted, and whose
// connections it counts among, was decided when it was opened.
func (c *connection) sessionEnded(cause session.Cause) {
	next := cause.Next
	c.bindMu.Lock()
	was := c.session
	c.bindMu.Unlock()
	if cause.Reason == session.Renewed && next.Role == was.role && next.UserID == was.user {
		c.follow(next)
		return
	}
	c.client.Close(closeFor(cause.Reason))
}

func closeFor(r session.Reason) protocol.Close {
	switch r {
	case session.Expired:
		return protocol.CloseExpired
	case session.Unverified:
		return protocol.CloseUnchecked
	case session.Renewed:
		return protocol.CloseOtherRights
	default:
		return protocol.CloseRevoked
	}
}

// follow goes on with the session that replaced the old one, and tells the client.
func (c *connection) follow(next session.Session) {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	if c.unbound {
		return
	}
	c.session = holding(next)
	c.binding = c.server.cfg.Sessions.Bind(next, c.sessionEnded)
	// Send may wait for a slow client, and others wait for this goroutine. The
	// connection's own goroutine is still there: it ends after unbind.
	c.server.sockets.Go(func() {
		c.bindMu.Lock()
		current := c.session
		c.bindMu.Unlock()
		c.client.Send(protocol.Renewed{Session: current.describe()}.Append(nil))
	})
}
