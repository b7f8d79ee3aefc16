package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/session"
)

const (
	protocol        = "fx.v1"
	maxMessageBytes = 32 << 10
	maxBadInRow     = 20 // bad messages, or limited ones, until the connection is closed
	messageTime     = 10 * time.Second
	leaseTime       = 3 * time.Second
	closingDelay    = time.Second // told to a client that was closed for its rate
)

// Close codes of the contract (docs/protocol.md) beside those of RFC 6455.
const (
	closeSession     websocket.StatusCode = 4001
	closeTooMany     websocket.StatusCode = 4009
	closeRateLimited websocket.StatusCode = 4029
)

// A wsConn is one client: a reader that carries out its commands, and the way
// out that the hub writes to.
type wsConn struct {
	// Static after construction.
	server *Server
	id     string
	ws     *websocket.Conn
	grants *session.Grants // shared by all of the role
	holder string          // whose connections are counted: the user, or a guest's address
	client *hub.Client
	since  time.Duration // the server's age when it was opened
	packed bool          // permessage-deflate was negotiated

	socket socket // the library and the hub write through it

	// Owned by read.
	subscribed subscriptions
	commands   limiter.Bucket
	pings      limiter.Bucket
	bad        int32 // bad messages in a row
	limited    int32 // rate-limited messages in a row

	ending atomic.Bool // Close was called

	bindMu  sync.Mutex // guards what follows; Bind and Binding.Close do not block
	binding *session.Binding
	session boundSession // what binding is to
	unbound bool
}

// serveWS upgrades a request and leaves the connection to a goroutine of its own,
// so that the request and its handler's stack are free. Everything that can be
// refused is refused before, as problem+json.
func (s *Server) serveWS(w http.ResponseWriter, r *http.Request) error {
	sess, err := s.sessionForSocket(w, r)
	if err != nil {
		return err
	}
	r = r.WithContext(session.WithSession(r.Context(), sess))
	c := &wsConn{server: s, id: newID(), session: holding(sess), grants: s.grantsFor(sess), holder: s.subject(r), since: s.age()}
	c.commands, c.pings = s.commands.Bucket(), s.commands.Bucket()
	// Counted from here, so that Wait can not miss the goroutines that Accept leads to.
	s.sockets.Add(1)
	defer s.sockets.Done()
	up := &upgrader{ResponseWriter: w, socket: &c.socket, owner: c}
	c.ws, err = websocket.Accept(up, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol},
		InsecureSkipVerify: true, // originAllowed has decided
		CompressionMode:    s.compression(),
		OnPingReceived:     c.pinged,
		OnPongReceived:     func(context.Context, []byte) { c.heard() },
	})
	if err != nil {
		return handled(err) // Accept has answered
	}
	c.ws.SetReadLimit(maxMessageBytes)
	c.packed = up.compressed
	// Here and not in serve: what is deep would leave that goroutine a large stack
	// for as long as the connection lasts.
	if code, reason := c.open(sess); code > 0 {
		s.sockets.Go(func() { _ = c.ws.Close(code, reason) })
		return nil
	}
	s.sockets.Go(c.serve)
	return nil
}

// open gives the connection its place: among those of its holder, in the hub, and
// with its session. A positive code is why it has none.
func (c *wsConn) open(sess session.Session) (websocket.StatusCode, string) {
	if !c.lease() {
		return closeTooMany, "too many connections"
	}
	framing := framingPlain
	if c.packed {
		framing = framingDeflate
	}
	options := hub.JoinOptions{Welcome: c.welcome(), Framing: framing, Joined: func(client *hub.Client) {
		c.client = client
	}}
	if _, err := c.server.cfg.Hub.Join(c, options); err != nil {
		c.release()
		return websocket.StatusServiceRestart, "restart"
	}
	c.bind(sess)
	return 0, ""
}

// serve reads from the connection until it ends, and takes it down.
func (c *wsConn) serve() {
	defer func() {
		if v := recover(); v != nil {
			c.panicked(v)
		}
		_ = c.ws.CloseNow()
		c.aside(c.close)
	}()
	code, reason := c.read()
	if code > 0 {
		_ = c.ws.Close(code, reason) // reads what is left, so that the code is not lost to a reset
	}
	c.server.log.Debug("connection ended", "conn", c.id, "reason", reason, "age", (c.server.age() - c.since).Round(time.Millisecond))
}

// close undoes open.
func (c *wsConn) close() {
	c.unbind()
	c.client.Leave()
	c.release()
}

// aside runs what is deep on a goroutine of its own and waits for it, so that the
// reader's stack stays small.
func (c *wsConn) aside(f func()) {
	done := make(chan struct{})
	c.server.sockets.Go(func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				c.panicked(v)
			}
		}()
		f()
	})
	<-done
}

func (c *wsConn) panicked(v any) {
	c.server.stats.panics.Inc()
	c.server.log.Error("connection panicked", "conn", c.id, "panic", v)
	_ = c.socket.abort() // the library may be in no state to do it
}

// Write, Backlog and Close implement hub.Conn.

func (c *wsConn) Write(frames []byte) (ready bool, err error) { return c.socket.offer(frames) }

func (c *wsConn) Backlog() (int, time.Duration) { return c.socket.backlog() }

// Close starts the closing handshake, which takes at most some seconds.
func (c *wsConn) Close(code int, reason string, last []byte) {
	if c.ending.Swap(true) {
		return
	}
	if len(last) > 0 {
		_, _ = c.socket.send(last, false) // a connection that is lost needs no last words
	}
	c.spawn(func() { _ = c.ws.Close(websocket.StatusCode(code), reason) })
}

// spawn and ready implement socketOwner.

func (c *wsConn) spawn(f func()) { c.server.sockets.Go(f) }

func (c *wsConn) ready() { c.client.Ready() }

// lease counts the connection over all nodes. Where Redis can not say, it is let
// in: the session was good a moment ago.
func (c *wsConn) lease() bool {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime)
	defer cancel()
	ok, err := c.server.cfg.Sessions.Leases.Acquire(ctx, c.holder, c.id, c.grants.MaxConnections)
	return ok || err != nil
}

func (c *wsConn) release() {
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
func (c *wsConn) bind(s session.Session) {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.binding = c.server.cfg.Sessions.Bind(s, c.sessionEnded)
}

func (c *wsConn) unbind() {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.unbound = true
	c.binding.Close()
}

// sessionEnded follows a session that was renewed for the same user in the same
// role. Any other end of it is the connection's: what it was granted, and whose
// connections it counts among, was decided when it was opened.
func (c *wsConn) sessionEnded(cause session.Cause) {
	next := cause.Next
	c.bindMu.Lock()
	was := c.session
	c.bindMu.Unlock()
	if cause.Reason == session.Renewed && next.Role == was.role && next.UserID == was.user {
		c.follow(next)
		return
	}
	c.client.Close(int(closeSession), endReason(cause.Reason))
}

func endReason(r session.Reason) string {
	switch r {
	case session.Expired:
		return "session expired"
	case session.Cutoff:
		return "session can not be checked"
	case session.Renewed:
		return "session has other rights now"
	default:
		return "session revoked"
	}
}

// follow goes on with the session that replaced the old one, and tells the client.
func (c *wsConn) follow(next session.Session) {
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
		c.client.Send(encode(sessionMessage{"session", tellSession(current)}))
	})
}

// compression offers permessage-deflate without context takeover, or nothing:
// with it one compressed message could not serve all clients.
func (s *Server) compression() websocket.CompressionMode {
	if s.cfg.Compression {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
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

// heard is also called while a connection that never joined the hub is closed.
func (c *wsConn) heard() {
	if c.client != nil {
		c.client.Heard()
	}
}

// read carries out commands until the connection ends. A positive code is what
// it is to be closed with.
func (c *wsConn) read() (websocket.StatusCode, string) {
	for {
		kind, message, err := c.next()
		switch {
		case errors.Is(err, websocket.ErrMessageTooBig):
			return websocket.StatusMessageTooBig, "message too big"
		case err != nil:
			return 0, "" // over, or closed by the hub
		case kind != websocket.MessageText:
			return websocket.StatusUnsupportedData, "want JSON text, not binary"
		case !utf8.Valid(message): // the library does not check
			return websocket.StatusInvalidFramePayloadData, "text is not valid UTF-8"
		}
		c.client.Heard()
		var code websocket.StatusCode
		var reason string
		c.aside(func() { code, reason = c.handle(message) })
		if code > 0 {
			return code, reason
		}
	}
}

// next reads one message, which must be whole some seconds after it began.
func (c *wsConn) next() (websocket.MessageType, []byte, error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return 0, nil, err
	}
	c.socket.limitRead(time.Now().Add(messageTime))
	message, err := io.ReadAll(r)
	c.socket.limitRead(time.Time{})
	return kind, message, err
}

// handle answers one message. The positive code of a client that goes on with
// bad or too many messages ends the connection.
func (c *wsConn) handle(message []byte) (websocket.StatusCode, string) {
	cmd, bad := parseCommand(message)
	if bad != nil {
		c.fail(cmd.ID, bad, 0)
		if c.bad++; c.bad >= maxBadInRow {
			return websocket.StatusPolicyViolation, "too many bad messages in a row"
		}
		return 0, ""
	}
	c.bad = 0
	if ok, wait := c.commands.Take(1); !ok {
		c.fail(cmd.ID, &commandError{codeRateLimited, "too many commands per second on this connection"}, wait)
		if c.limited++; c.limited >= maxBadInRow {
			c.client.CloseAfter(int(closeRateLimited), "rate limited", max(wait, closingDelay))
			return 0, "" // read on until the closing handshake is over
		}
		return 0, ""
	}
	c.limited = 0
	switch cmd.Op {
	case "subscribe":
		c.subscribe(cmd)
	case "unsubscribe":
		symbols, channels, failed := c.subscribed.unsubscribe(cmd)
		answer := encode(ack{Type: "ack", ID: cmd.ID, Op: cmd.Op, OK: names(symbols, channels), Failed: failed})
		if len(channels) > 0 {
			c.client.UnsubscribeChannels(channels, nil)
		}
		c.client.Unsubscribe(symbols, answer)
	case "list":
		c.client.Send(encode(listMessage{"list", cmd.ID, names(c.subscribed.symbols, nil), names(c.subscribed.channels, nil)}))
	case "ping":
		c.client.Send(encode(pongMessage{"pong", cmd.ID, stamp(time.Now())}))
	}
	return 0, ""
}

func (c *wsConn) subscribe(cmd command) {
	symbols, channels, failed := c.subscribed.subscribe(cmd, c.grants, c.server.cfg.Channels)
	c.subscribed.symbols = fitted(c.subscribed.symbols)
	rate := c.grants.GrantRate(cmd.MaxRate)
	answer := encode(ack{Type: "ack", ID: cmd.ID, Op: cmd.Op, OK: names(symbols, channels), Failed: failed, MaxRate: &rate, Mode: cmd.Mode})
	c.client.Subscribe(symbols, hub.Settings{MaxRate: rate}, answer)
	if len(channels) > 0 {
		c.client.SubscribeChannels(channels, nil)
	}
}

func (c *wsConn) fail(id json.RawMessage, e *commandError, retry time.Duration) {
	m := errorMessage{Type: "error", ID: id, Code: e.code, Message: e.message}
	if retry > 0 {
		m.RetryAfter = max(1, retry.Milliseconds())
	}
	c.server.stats.commandErrors.WithLabelValues(e.code).Inc()
	c.client.Send(encode(m))
}

// fitted is list without much spare capacity, which would be kept for long.
func fitted(list []string) []string {
	if cap(list)-len(list) < 2 {
		return list
	}
	return append(make([]string, 0, len(list)), list...)
}
