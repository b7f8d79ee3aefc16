package web

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"

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

// A wsConn is a connection that speaks WebSocket: its reader (reader.go) carries
// out commands. There are many: what it keeps counts.
type wsConn struct {
	connection

	// Static after construction.
	ws     *websocket.Conn
	packed bool // permessage-deflate was negotiated

	// Owned by work, which park and the next work follow one after the other.
	subscribed subscriptions
	commands   limiter.Bucket
	pings      limiter.Bucket
	bad        int32 // bad messages in a row
	limited    int32 // rate-limited messages in a row
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
	c := &wsConn{}
	c.begin(s, r, sess)
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
	framing := framingPlain
	if c.packed {
		framing = framingDeflate
	}
	if code, reason := c.open(c, sess, framing); code > 0 {
		s.sockets.Go(func() { _ = c.ws.Close(code, reason) })
		return nil
	}
	s.sockets.Add(1) // until work has taken it down
	go c.work()
	return nil
}

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

// compression offers permessage-deflate without context takeover, or nothing:
// with it one compressed message could not serve all clients.
func (s *Server) compression() websocket.CompressionMode {
	if s.cfg.Compression {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
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
	settings, since := cmd.settings(c.grants, symbols)
	answer := encode(ack{Type: "ack", ID: cmd.ID, Op: cmd.Op, OK: names(symbols, channels), Failed: failed, MaxRate: &settings.MaxRate, Mode: cmd.Mode})
	c.client.Subscribe(symbols, settings, answer)
	if len(channels) > 0 {
		c.client.SubscribeChannels(channels, nil)
	}
	c.resume(since)
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
