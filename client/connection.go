package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

const (
	maxMessage  = 1 << 20 // bytes of a message of the server
	maxSymbols  = 20_000  // of one subscription
	maxReason   = 123     // bytes of the reason of a close frame
	defaultBeat = time.Second
)

// A connection is one WebSocket from its upgrade to its end.
type connection struct {
	client *Client
	ws     *websocket.Conn
	wire   map[string]Position // the last quote of each symbol on this connection; only for the reader
	advice time.Duration       // of the closing message; only for the reader
	ending protocol.Closing    // the closing message; only for the reader
	beat   time.Duration       // between heartbeats; only for the reader
	binary protocol.Decoder    // of snapshots and updates; only for the reader

	outbox // guarded by Client.mu
}

// serve reads from a connection until it ends.
func (c *Client) serve(connecting context.Context, ws *websocket.Conn, p *pacer) outcome {
	ws.SetReadLimit(maxMessage)
	reading, stop := context.WithCancel(context.WithoutCancel(c.ctx))
	x := &connection{client: c, ws: ws, wire: map[string]Position{}, outbox: newOutbox()}
	over := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { x.closeWith(c.ctx, over, stop) })
	var out outcome
	welcomed := false
	for {
		until := func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(reading, c.clock.scaled(silences*x.beat))
		}
		if !welcomed {
			deadline, _ := connecting.Deadline() // connect sets one
			until = func() (context.Context, context.CancelFunc) { return context.WithDeadline(reading, deadline) }
		}
		one, done := until()
		kind, data, err := ws.Read(one)
		done()
		if c.ctx.Err() != nil && err == nil {
			continue // closing: nothing is delivered any more
		}
		if err != nil {
			out = x.ended(err, welcomed)
			break
		}
		message, err := x.decode(kind, data)
		if err == nil && message != nil {
			c.reportMessage(message)
			if w, ok := message.(protocol.Welcome); ok && !welcomed {
				welcomed = true
				p.welcomed()
				x.welcome(w)
				helpers.Go(func() { x.send(c.ctx, over) })
			} else if closing, ok := message.(protocol.Closing); ok { // also instead of a welcome
				x.closing(closing)
			} else if welcomed {
				err = x.take(message)
			}
		}
		if err != nil {
			out = outcome{err: err}
			break
		}
	}
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
	close(over)
	if c.ctx.Err() == nil {
		_ = ws.CloseNow() // it may have ended already
	}
	helpers.Wait()
	_ = ws.CloseNow() // if the client was closed just now
	stop()
	return out
}

// closeWith closes the connection in the usual way when the client is closed. A server that is gone
// has closeTime to answer, and one that only sends has the 5 s of the library.
func (x *connection) closeWith(closing context.Context, over <-chan struct{}, stop context.CancelFunc) {
	select {
	case <-closing.Done():
		end := time.AfterFunc(x.client.clock.scaled(closeTime), stop)
		_ = x.ws.Close(websocket.StatusNormalClosure, "") // the server may be gone
		end.Stop()
		stop()
	case <-over:
	}
}

// welcome begins to subscribe.
func (x *connection) welcome(w protocol.Welcome) {
	c := x.client
	x.beat = defaultBeat
	if w.HeartbeatMS > 0 {
		x.beat = time.Duration(min(max(w.HeartbeatMS, 20), 60_000)) * time.Millisecond
	}
	c.mu.Lock()
	x.outbox.limits = w.Limits
	c.conn = x
	for _, s := range c.subs {
		x.subscribe(s)
	}
	c.mu.Unlock()
	c.setState(Live)
	select {
	case <-c.live:
	default:
		close(c.live)
	}
}

// ended returns the outcome for an error of a read.
func (x *connection) ended(err error, welcomed bool) outcome {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		code, reason := int(closed.Code), strings.ToValidUTF8(closed.Reason, "")
		if closed.Code == websocket.StatusNoStatusRcvd {
			code, reason = x.ending.Code, x.ending.Reason
		}
		if out, refused := x.refused(code, reason); refused {
			return out
		}
		return outcome{advice: x.advice, err: fmt.Errorf("client: closed by the server: %w", closed)}
	}
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && !welcomed:
		return outcome{err: errors.New("client: no welcome in time")}
	case errors.Is(err, context.DeadlineExceeded):
		return outcome{err: fmt.Errorf("client: no message for %v", silences*x.beat)}
	case errors.Is(err, context.Canceled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), isNet:
		if out, refused := x.refused(x.ending.Code, x.ending.Reason); refused {
			return out
		}
		return outcome{advice: x.advice, err: fmt.Errorf("client: connection lost: %w", err)}
	}
	return outcome{err: &ProtocolError{What: err.Error()}} // too big, or frames that break RFC 6455
}

// closing takes the announcement of a close. The close frame may be lost, and a client that is over
// the limit of connections gets no welcome before it.
func (x *connection) closing(m protocol.Closing) {
	x.ending = m
	if m.ReconnectAfterMS > 0 {
		x.advice = time.Duration(min(m.ReconnectAfterMS, maxAdvice.Milliseconds())) * time.Millisecond
	}
}

// refused returns the outcome for a close code that forbids the client to reconnect.
func (x *connection) refused(code int, reason string) (out outcome, refused bool) {
	if protocol.ReconnectAfter(code) != protocol.ReconnectNo && (code != protocol.CodeTooMany || x.advice > 0) {
		return outcome{}, false
	}
	return outcome{refused: &RefusedError{Code: code, Reason: reason}}, true
}

// decode decodes a message. It returns nil for a type of a later version.
func (x *connection) decode(kind websocket.MessageType, data []byte) (protocol.Message, error) {
	switch {
	case kind != websocket.MessageText && x.ws.Subprotocol() != protocol.NameBinary:
		return nil, &ProtocolError{What: "a binary message that was not agreed"}
	case kind != websocket.MessageText:
		return x.decoded(x.binary.Decode(data))
	case !utf8.Valid(data):
		return nil, &ProtocolError{What: "a text message that is not UTF-8"}
	case !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")):
		return nil, &ProtocolError{What: "a message that is not a JSON object"}
	}
	return x.decoded(protocol.Decode(data))
}

// decoded checks the result of decoding a message.
func (x *connection) decoded(message protocol.Message, err error) (protocol.Message, error) {
	switch {
	case errors.Is(err, protocol.ErrUnknownType):
		return nil, nil
	case err != nil:
		return nil, &ProtocolError{What: err.Error()}
	}
	if fault := faultOf(message); fault != "" {
		return nil, &ProtocolError{What: fault}
	}
	return message, nil
}

// take handles one message after the welcome.
func (x *connection) take(message protocol.Message) error {
	c := x.client
	switch m := message.(type) {
	case protocol.Welcome:
		return &ProtocolError{What: "a second welcome"}
	case protocol.Update:
		return x.quotes(m.Data, false, false)
	case protocol.Snapshot:
		return x.quotes(m.Data, true, m.Reset)
	case protocol.Resumed:
		delete(x.wire, m.Symbol) // what follows may repeat what was received
	case protocol.Ack:
		return x.acked(m)
	case protocol.Error:
		x.failed(m)
	case protocol.Status:
		switch {
		case m.Symbol != "":
			if s := x.subscriber(m.Symbol, ""); s != nil {
				if _, known := s.last[m.Symbol]; known {
					s.status[m.Symbol] = m.Status
				}
				c.reportStatus(m)
			}
		case m.Status == protocol.StatusDegraded:
			c.setState(Degraded)
		case m.Status == protocol.StatusOK:
			c.setState(Live)
		}
	case protocol.CandleUpdate:
		x.candle(m)
	case protocol.DayUpdate:
		c.reportDay(m)
	}
	return nil
}

// quotes delivers quotes. It waits while a subscriber with All has not read enough of its queue.
func (x *connection) quotes(quotes []Quote, snapshot, reset bool) error {
	for _, q := range quotes {
		s := x.subscriber(q.Symbol, "")
		if s == nil {
			continue // in flight when it was unsubscribed
		}
		if _, known := s.last[q.Symbol]; !known && len(s.last) >= maxSymbols {
			return &ProtocolError{What: fmt.Sprintf("more than %d symbols", maxSymbols)}
		}
		deliver, gap, err := s.follow(x.wire, &q, snapshot, reset)
		if err != nil {
			return err
		}
		x.status(s, q, deliver)
		if deliver && !s.queue.push(x.client.ctx, q, gap) {
			return nil // closed
		}
	}
	return nil
}

// status notes the status of a quote, and reports it if a snapshot repeats the last quote with
// another status: that quote is not delivered.
func (x *connection) status(s *Subscription, q Quote, deliver bool) {
	status := q.Status
	if status == "" {
		status = protocol.StatusLive
	}
	before, known := s.status[q.Symbol]
	if !deliver && s.last[q.Symbol] != (Position{Epoch: q.Epoch, Seq: q.Seq}) {
		return // older than the last one
	}
	s.status[q.Symbol] = status
	if !deliver && known && before != status {
		x.client.reportStatus(Status{Symbol: q.Symbol, Status: status})
	}
}

// subscriber returns the subscription to which quotes of a symbol belong, or its candles of an
// interval: the exact one, else the newer of EUR/* and */USD, else *.
func (x *connection) subscriber(symbol, interval string) *Subscription {
	base, quote, _ := strings.Cut(symbol, "/")
	x.client.mu.Lock()
	defer x.client.mu.Unlock()
	if r, ok := x.routes[entry{symbol, interval}]; ok {
		return r.sub
	}
	found := slices.MaxFunc([]route{x.routes[entry{base + "/*", interval}], x.routes[entry{"*/" + quote, interval}]}, func(a, b route) int { return a.number - b.number })
	if found.sub == nil {
		found = x.routes[entry{"*", interval}]
	}
	return found.sub
}
