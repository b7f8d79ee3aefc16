package live

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
)

// A boundSession is the part of a session that a client keeps. It is small, since there are many
// clients.
type boundSession struct {
	id, user, role string
	expires        time.Time
}

func boundTo(s session.Session) boundSession {
	return boundSession{s.ID, s.UserID, s.Role, s.ExpiresAt}
}

// bind arranges that sessionEnded is called when the session ends.
func (c *Client) bind(s session.Session) {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.binding = c.server.cfg.Sessions.Bind(s, c.sessionEnded)
}

func (c *Client) unbind() {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.unbound = true
	c.binding.Close()
}

// sessionEnded follows a session that was renewed for the same user and role. Any other end
// closes the connection, since its grants and the owner of its lease were fixed when it opened.
func (c *Client) sessionEnded(cause session.Cause) {
	next := cause.Next
	c.bindMu.Lock()
	was := c.session
	c.bindMu.Unlock()
	if cause.Reason == session.Renewed && next.Role == was.role && next.UserID == was.user {
		c.follow(next)
		return
	}
	c.hub.Close(closeFor(cause.Reason))
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

// follow binds the client to the session that replaced the old one, and sends it to the client.
func (c *Client) follow(next session.Session) {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	if c.unbound {
		return
	}
	c.session = boundTo(next)
	c.binding = c.server.cfg.Sessions.Bind(next, c.sessionEnded)
	// Send may wait for a slow client, and other bindings wait for this goroutine. Go cannot race
	// with Wait: the connection's own goroutine is still counted, since it ends after unbind.
	c.server.sockets.Go(func() {
		c.bindMu.Lock()
		current := c.session
		c.bindMu.Unlock()
		c.hub.Send(protocol.Renewed{Session: current.describe()}.Append(nil))
	})
}
