package live

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

const (
	maxBadInRow  = 20      // bad messages, or rate-limited ones, until the connection is closed
	commandBytes = 4 << 10 // that count as one command
	controlBurst = 200
	controlRate  = 10 // pings and pongs per second that any client may send
	messageTime  = 10 * time.Second
	leaseTime    = 3 * time.Second
	closingDelay = time.Second // the least delay that a client closed for its rate is advised to wait
	// refusedDelay is the time after a refused long message in which no more is read from its client.
	// Otherwise clients that send many without waiting for answers are read all at once, and the hub
	// waits behind all of them for a processor.
	refusedDelay = 10 * time.Millisecond
)

// A wsConn is a client over WebSocket. Its reader executes the commands. A node has many of them,
// so every field costs.
type wsConn struct {
	Client

	// Static after construction.
	ws *websocket.Conn

	// Owned by work, which runs only once at a time.
	subscribed subscriptions
	commands   limiter.Bucket
	pings      limiter.Bucket
	resumes    *limiter.Bucket // symbols of since; nil before the first
	controls   limiter.Bucket  // pings and pongs, also those that are not answered
	bad        int32           // bad messages in a row
	limited    int32           // rate-limited messages in a row
}

// serveWebSocket upgrades a request and hands the connection to its own goroutine, so that the
// memory of the request and of its handler's stack is freed. It refuses a request before the
// upgrade if it can, with problem+json.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request) error {
	sess, err := s.sessionForSocket(w, r)
	if err != nil {
		return err
	}
	r = access.WithSession(r, sess)
	c := &wsConn{}
	c.begin(s, r, sess)
	c.commands, c.pings, c.controls = s.commands.Bucket(), s.commands.Bucket(), s.controls.Bucket()
	// Counted from here on, so that Wait cannot miss a goroutine that starts after Accept.
	s.sockets.Add(1)
	defer s.sockets.Done()
	up := &upgrader{ResponseWriter: w, socket: &c.socket, owner: c}
	c.ws, err = websocket.Accept(up, r, &websocket.AcceptOptions{
		Subprotocols:       subprotocols, // the first one that the client offers is chosen
		InsecureSkipVerify: true,         // OriginAllowed has checked the origin
		CompressionMode:    s.compression(r),
		OnPingReceived:     c.pinged,
		OnPongReceived:     func(context.Context, []byte) { c.alive() },
	})
	if err != nil {
		return endpoint.Answered(err) // Accept has written the answer
	}
	c.ws.SetReadLimit(protocol.MaxMessageBytes)
	framing := framingPlain
	switch {
	case strings.EqualFold(c.ws.Subprotocol(), protocol.NameBinary):
		framing = framingBinary
	case up.compressed:
		framing = framingDeflate
	}
	if refused := c.open(c, sess, framing); refused != nil {
		c.Close(*refused, Framings()[framing].AppendMessage(nil, c.refusal(*refused)))
		return nil
	}
	s.sockets.Add(1) // until work has closed the connection
	go c.work()
	return nil
}

// Close implements hub.Conn. It starts the closing handshake, which takes at most a few seconds,
// and does not wait for it.
func (c *wsConn) Close(why protocol.Close, last []byte) {
	if c.ending.Swap(true) {
		return
	}
	c.cancelResume()
	if len(last) > 0 {
		_, _ = c.socket.send(last, false) // if the connection is lost, the message is, too
	}
	c.spawn(func() { c.end(why) })
}

// end does the closing handshake. It reads what the peer still sends, since a reset by the kernel
// would lose the close code.
func (c *wsConn) end(why protocol.Close) {
	if why.Code != protocol.CloseTooBig.Code {
		c.socket.expectLittle()
	}
	_ = c.ws.Close(websocket.StatusCode(why.Code), why.Reason)
}

// compression returns the mode to offer: permessage-deflate without context takeover, or none.
// With context takeover, one compressed message could not serve all clients.
func (s *Server) compression(r *http.Request) websocket.CompressionMode {
	if s.cfg.Compression && !hasToken(r.Header, "Sec-WebSocket-Protocol", protocol.NameBinary) {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

// handle executes and answers one message. It returns how to close the connection after too many
// bad messages in a row, else nil.
func (c *wsConn) handle(message []byte) (why *protocol.Close) {
	cost := c.server.cost(message)
	if cost > 1 { // charged before the work; the id is cheap
		if ok, wait := c.commands.Take(cost); !ok {
			c.limit(protocol.Command{ID: protocol.CommandID(message)}, wait, fmt.Sprintf("too many commands per second on this connection; one of %d bytes counts as %d", len(message), cost))
			time.Sleep(refusedDelay)
			return nil
		}
	}
	var cmd protocol.Command
	var bad *protocol.Error
	c.server.turns.work(cost, func() { cmd, bad = protocol.ParseCommand(message, c.server.canonical) })
	if bad != nil {
		c.fail(*bad)
		if c.bad++; c.bad >= maxBadInRow {
			return &protocol.CloseBadMessages
		}
		return nil
	}
	c.bad = 0
	if cost == 1 {
		if ok, wait := c.commands.Take(1); !ok {
			c.limit(cmd, wait, "too many commands per second on this connection")
			return nil
		}
	}
	if ok, wait := c.mayResume(cmd); !ok {
		c.limit(cmd, wait, fmt.Sprintf("since: %d symbols are more than this connection may resume now; at most %d at once", len(cmd.Since), c.grants.MaxSymbols))
		return nil
	}
	c.limited = 0
	switch cmd.Op {
	case protocol.OpSubscribe:
		c.subscribe(cmd, cost)
	case protocol.OpUnsubscribe:
		c.unsubscribe(cmd)
	case protocol.OpPace:
		every := cmd.Pace()
		answer := protocol.Ack{ID: cmd.ID, Op: cmd.Op, EveryMS: new(every.Milliseconds()), Align: &cmd.Align}.Append(nil)
		c.hub.Pace(every, cmd.Align, answer)
	case protocol.OpList:
		c.hub.Send(c.subscribed.list(cmd.ID).Append(nil))
	case protocol.OpPing:
		c.hub.Send(protocol.Pong{ID: cmd.ID, Time: protocol.At(time.Now())}.Append(nil))
	}
	return nil
}

// cost returns the number of commands that a message counts as: one per commandBytes, so that long
// lists of names are not the cheapest way to keep a node busy. No message costs more than a client
// may ever have.
func (s *Server) cost(message []byte) int {
	return max(1, min(1+len(message)/commandBytes, s.cfg.CommandsPerSecond))
}

// limit refuses a command, and closes the connection of a client that goes on.
func (c *wsConn) limit(cmd protocol.Command, wait time.Duration, why string) {
	if c.limited == maxBadInRow {
		return // it is being closed; the reader goes on until the closing handshake is over
	}
	c.fail(protocol.Error{ID: cmd.ID, Code: protocol.ErrorRateLimited, Message: why, RetryAfterMS: max(1, wait.Milliseconds())})
	if c.limited++; c.limited == maxBadInRow {
		c.socket.slowDown()
		c.hub.CloseAfter(protocol.CloseRateLimited, max(wait, closingDelay))
	}
}

// mayResume charges each symbol of a since, because each may read all of its history. The allowance
// is made with the first since: most connections send none.
func (c *wsConn) mayResume(cmd protocol.Command) (ok bool, wait time.Duration) {
	if cmd.Op != protocol.OpSubscribe || cmd.Mode != protocol.ModeAll || len(cmd.Since) == 0 {
		return true, 0
	}
	if c.resumes == nil {
		full := limiter.NewRate(float64(c.server.cfg.CommandsPerSecond), float64(c.grants.MaxSymbols)).Bucket()
		c.resumes = &full
	}
	return c.resumes.Take(len(cmd.Since))
}

func (c *wsConn) subscribe(cmd protocol.Command, cost int) {
	var symbols, channels, noDay []string
	var settings hub.Settings
	var since map[string]protocol.Position
	var answer []byte
	c.server.turns.work(cost, func() {
		ack := protocol.Ack{ID: cmd.ID, Op: cmd.Op, Mode: cmd.Mode, Candles: cmd.Candles, Day: cmd.Day}
		symbols, channels, ack.Failed = c.subscribed.subscribe(cmd, c.server.cfg.Instruments, c.grants, c.server.cfg.Channels)
		ack.OK = names(symbols, channels)
		if cmd.Candles == "" {
			settings, since = settingsOf(cmd, c.grants, symbols)
			ack.MaxRate = &settings.MaxRate
		}
		switch {
		case cmd.Day:
			c.subscribed.addDay(symbols)
		case cmd.Candles == "":
			noDay = c.subscribed.dropDay(symbols, false)
		}
		answer = ack.Append(nil)
	})
	if len(noDay) > 0 {
		c.hub.UnwatchDay(noDay, nil)
	}
	if cmd.Candles != "" {
		c.hub.WatchCandles(cmd.Candles, symbols, answer)
	} else {
		c.hub.Subscribe(symbols, settings, answer)
	}
	if cmd.Day {
		c.hub.WatchDay(symbols, nil)
	}
	if len(channels) > 0 {
		c.hub.SubscribeChannels(channels, nil)
	}
	c.resume(since)
}

func (c *wsConn) unsubscribe(cmd protocol.Command) {
	symbols, channels, failed := c.subscribed.unsubscribe(cmd, c.server.cfg.Instruments)
	answer := protocol.Ack{ID: cmd.ID, Op: cmd.Op, OK: names(symbols, channels), Failed: failed, Candles: cmd.Candles}.Append(nil)
	if len(channels) > 0 {
		c.hub.UnsubscribeChannels(channels, nil)
	}
	if noDay := c.subscribed.dropDay(symbols, cmd.Candles != ""); len(noDay) > 0 {
		c.hub.UnwatchDay(noDay, nil)
	}
	if cmd.Candles != "" {
		c.hub.UnwatchCandles(cmd.Candles, symbols, answer)
	} else {
		c.hub.Unsubscribe(symbols, answer)
	}
}

func (c *wsConn) fail(bad protocol.Error) {
	c.server.metrics.commandErrors.WithLabelValues(bad.Code).Inc()
	c.hub.Send(bad.Append(nil))
}
