package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
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
	server  *Server
	id      string
	ws      *websocket.Conn
	socket  *socket
	session session.Session
	grants  session.Grants
	holder  string // whose connections are counted: the user, or a guest's address
	client  *hub.Client
	since   time.Time

	// Owned by read.
	subscribed subscriptions
	commands   limiter.Bucket
	pings      limiter.Bucket
	pingsOver  int
	bad        int // bad messages in a row
	limited    int // rate-limited messages in a row
	stuck      *time.Timer

	endOnce sync.Once

	bindMu  sync.Mutex // guards what follows; Bind and Binding.Close do not block
	binding *session.Binding
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
	c := &wsConn{server: s, id: newID(), session: sess, grants: s.grantsFor(sess), holder: s.subject(r), since: time.Now()}
	c.commands = limiter.NewBucket(float64(s.cfg.CommandsPerSecond), float64(s.cfg.CommandsPerSecond))
	c.pings = limiter.NewBucket(float64(s.cfg.CommandsPerSecond), float64(s.cfg.CommandsPerSecond))
	up := &upgrader{ResponseWriter: w, spawn: s.sockets.Go}
	c.ws, err = websocket.Accept(up, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol},
		InsecureSkipVerify: true, // checkOrigin has decided
		OnPingReceived:     c.pinged,
		OnPongReceived:     func(context.Context, []byte) { c.heard() },
	})
	if err != nil {
		return handled(err) // Accept has answered
	}
	c.ws.SetReadLimit(maxMessageBytes)
	c.socket = up.socket
	s.sockets.Go(c.serve)
	return nil
}

// serve owns the connection from the upgrade to the end.
func (c *wsConn) serve() {
	defer func() {
		if v := recover(); v != nil {
			c.server.stats.panics.Inc()
			c.server.log.Error("connection panicked", "conn", c.id, "panic", v)
			_ = c.socket.Conn.Close() // the library may be in no state to do it
		}
		_ = c.ws.CloseNow()
	}()
	if !c.lease() {
		_ = c.ws.Close(closeTooMany, "too many connections")
		return
	}
	defer c.release()
	if _, err := c.server.cfg.Hub.Join(c, c.welcome()); err != nil {
		_ = c.ws.Close(websocket.StatusServiceRestart, "restart")
		return
	}
	defer c.client.Leave()
	c.bind(c.session)
	defer c.unbind()
	code, reason := c.read()
	if code > 0 {
		_ = c.ws.Close(code, reason) // reads what is left, so that the code is not lost to a reset
	}
	c.server.log.Debug("connection ended", "conn", c.id, "reason", reason, "age", time.Since(c.since).Round(time.Millisecond))
}

// Joined, Write, Stalled and Close implement hub.Conn.

func (c *wsConn) Joined(client *hub.Client) { c.client, c.socket.ready = client, client.Ready }

func (c *wsConn) Write(frames []byte) (ready bool, err error) { return c.socket.offer(frames) }

func (c *wsConn) Stalled() time.Duration { return c.socket.stalled() }

// Close starts the closing handshake, which takes at most some seconds.
func (c *wsConn) Close(code int, reason string) {
	c.endOnce.Do(func() {
		c.server.sockets.Go(func() { _ = c.ws.Close(websocket.StatusCode(code), reason) })
	})
}

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

// bind ties the connection to a session, which may be renewed meanwhile.
func (c *wsConn) bind(s session.Session) {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	if !c.unbound {
		c.binding = c.server.cfg.Sessions.Bind(s, c.sessionEnded)
	}
}

func (c *wsConn) unbind() {
	c.bindMu.Lock()
	defer c.bindMu.Unlock()
	c.unbound = true
	c.binding.Close()
}

func (c *wsConn) sessionEnded(cause session.Cause) {
	if cause.Reason == session.Renewed && cause.Next.Role == c.session.Role {
		c.bind(cause.Next)
		return
	}
	c.client.Close(int(closeSession), "session expired or revoked")
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
	c.stuck = time.AfterFunc(time.Hour, func() { _ = c.ws.CloseNow() })
	c.stuck.Stop()
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
		if code, reason := c.handle(message); code > 0 {
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
	c.stuck.Reset(messageTime)
	defer c.stuck.Stop()
	message, err := io.ReadAll(r)
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

// Messages of the protocol that are made here; the hub makes the others.
type (
	welcomeMessage struct {
		Type       string         `json:"type"`
		Protocol   string         `json:"protocol"`
		ConnID     string         `json:"conn_id"`
		ServerTime string         `json:"server_time"`
		Session    welcomeSession `json:"session"`
		Limits     welcomeLimits  `json:"limits"`
		Heartbeat  int64          `json:"heartbeat_ms"`
	}
	welcomeSession struct {
		ID        string `json:"id"`
		Role      string `json:"role"`
		ExpiresAt string `json:"expires_at"`
	}
	welcomeLimits struct {
		MaxSymbols        int     `json:"max_symbols"`
		MaxRate           float64 `json:"max_rate"`
		CommandsPerSecond int     `json:"commands_per_second"`
		MaxMessageBytes   int     `json:"max_message_bytes"`
	}
	errorMessage struct {
		Type       string          `json:"type"`
		ID         json.RawMessage `json:"id,omitempty"`
		Code       string          `json:"code"`
		Message    string          `json:"message"`
		RetryAfter int64           `json:"retry_after_ms,omitempty"`
	}
	listMessage struct {
		Type     string          `json:"type"`
		ID       json.RawMessage `json:"id,omitempty"`
		Symbols  []string        `json:"symbols"`
		Channels []string        `json:"channels"`
	}
	pongMessage struct {
		Type string          `json:"type"`
		ID   json.RawMessage `json:"id,omitempty"`
		TS   string          `json:"ts"`
	}
)

func (c *wsConn) welcome() []byte {
	return encode(welcomeMessage{
		Type: "welcome", Protocol: protocol, ConnID: c.id, ServerTime: stamp(time.Now()),
		Session: welcomeSession{ID: c.session.ID, Role: c.session.Role, ExpiresAt: stamp(c.session.ExpiresAt)},
		Limits: welcomeLimits{MaxSymbols: c.grants.MaxSymbols, MaxRate: c.grants.MaxRate,
			CommandsPerSecond: c.server.cfg.CommandsPerSecond, MaxMessageBytes: maxMessageBytes},
		Heartbeat: c.server.cfg.Heartbeat.Milliseconds(),
	})
}

// newID names a connection or a request in logs and to the client; not a secret.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// encode is for messages whose types can not fail to encode.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		slog.Error("message not encoded", "err", err)
		return nil
	}
	return b
}

// stamp is the protocol's form of a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// names joins two lists into one that is never null in JSON.
func names(a, b []string) []string { return append(append([]string{}, a...), b...) }
