package live

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

const (
	// maxStreamPositions bounds the symbols whose positions the id of an event can have.
	maxStreamPositions = 50
	// streamRetry is the delay after which a browser opens a lost stream again.
	streamRetry = 1500 * time.Millisecond
	// maxStreamInput is what a client may send after its request, which nobody reads.
	maxStreamInput = 4 << 10
	eventStream    = "text/event-stream; charset=utf-8"
)

// A stream is a client over Server-Sent Events. It writes to the hijacked connection, as a wsConn
// does. The HTTP answer ends with the connection. A plain connection has a goroutine only while
// there is something to read.
type stream struct {
	Client

	// Static after construction.
	wide bool // too many positions for an id

	// Owned by read, which runs only once at a time.
	input int // bytes that the client has sent after its request

	// Owned by Write.
	out  []byte
	last map[string]protocol.Position // the client's positions after the last write; at first those of its request
}

// serveStream answers with the messages of the WebSocket, as events. A client that reconnects
// sends its positions in Last-Event-ID.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return &endpoint.Problem{Status: http.StatusServiceUnavailable, Title: "Shutting down", Detail: "this node is shutting down; connect again", RetryAfter: time.Second}
	}
	cmd, readable, err := s.streamCommand(r)
	if err != nil {
		return err
	}
	if r, err = s.cfg.Access.Admit(w, r, ticketOf(r)); err != nil {
		return err
	}
	sess, err := access.Session(r)
	if err != nil {
		return err
	}
	c := &stream{last: make(map[string]protocol.Position)}
	c.begin(s, r, sess)
	var set subscriptions
	symbols, _, failed := set.subscribe(cmd, s.cfg.Instruments, c.grants, nil)
	if len(symbols) == 0 {
		return endpoint.Forbidden(failed[0].Message)
	}
	c.wide = len(symbols) > maxStreamPositions || slices.ContainsFunc(symbols, hub.IsWildcard)
	settings, since := settingsOf(cmd, c.grants, symbols)
	settings.Reset = settings.All && !readable
	maps.Copy(c.last, since) // so that an id has the positions of symbols that are not resumed yet
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", eventStream)
		return nil
	}
	if sess, err = s.redeem(r, sess); err != nil {
		return err
	}

	s.sockets.Add(1)
	defer s.sockets.Done()
	conn, err := c.takeOver(w)
	if err != nil {
		return err
	}
	c.socket.begin(conn, c)
	if _, err := c.socket.send(streamHead(w.Header()), false); err != nil {
		return endpoint.Answered(c.socket.abort())
	}
	if refused := c.open(c, sess, framingEvents); refused != nil {
		c.Close(*refused, eventFrames{}.AppendMessage(nil, c.refusal(*refused)))
		return nil
	}
	answer := protocol.Ack{Op: cmd.Op, OK: symbols, Failed: failed, MaxRate: &settings.MaxRate, Mode: cmd.Mode}.Append(nil)
	c.spawn(func() {
		c.hub.Pace(cmd.Pace(), true, nil)
		c.hub.Subscribe(symbols, settings, answer)
		c.resume(since)
	})
	s.sockets.Add(1) // until read has closed the connection
	go c.read()
	return nil
}

// streamCommand returns the subscription that the query and Last-Event-ID ask for. It reports
// readable as false for an id without positions and for one that cannot be parsed. Such a stream
// begins with snapshots: a browser cannot drop the id, so an error would be final.
func (s *Server) streamCommand(r *http.Request) (c protocol.Command, readable bool, err error) {
	q := r.URL.Query()
	patterns, err := endpoint.QuerySymbols(r, s.cfg.Instruments)
	if err != nil {
		return c, false, err
	}
	c = protocol.Command{Op: protocol.OpSubscribe, Symbols: patterns, Mode: q.Get("mode")}
	if text := q.Get("max_rate"); text != "" {
		if c.MaxRate, err = strconv.ParseFloat(text, 64); err != nil {
			return c, false, endpoint.BadRequest("max_rate: want a number of updates per second")
		}
	}
	if text := q.Get("pace_ms"); text != "" {
		ms, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return c, false, endpoint.BadRequest("pace_ms: want a number of milliseconds")
		}
		if c.EveryMS = &ms; c.CheckPace() != nil {
			return c, false, endpoint.BadRequest("pace_ms: want 0 (no pace) or a whole number of %d to %d milliseconds", protocol.MinPace, protocol.MaxPace)
		}
	}
	if bad := c.CheckSubscribe(s.canonical); bad != nil {
		return c, false, endpoint.BadRequest("%s", bad.Message)
	}
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		return c, true, nil
	}
	resumed := c
	if resumed.Since, err = protocol.ParseEventID(id); err != nil || resumed.CheckSubscribe(s.canonical) != nil {
		return c, false, nil
	}
	return resumed, true, nil
}

// takeOver takes the connection from net/http and removes the time limits of the listener.
func (c *stream) takeOver(w http.ResponseWriter) (net.Conn, error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, endpoint.Answered(err)
	}
	return conn, nil
}

// streamHead returns the head of the answer, with the headers that middleware has set.
func streamHead(header http.Header) []byte {
	h := header.Clone()
	h.Set("Content-Type", eventStream)
	h.Set("Cache-Control", "no-store, no-transform") // a proxy that compresses would delay events
	h.Set("X-Accel-Buffering", "no")                 // makes nginx pass on each event at once
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // writing to a buffer does not fail
	fmt.Fprintf(&b, "\r\nretry: %d\n\n", streamRetry.Milliseconds())
	return b.Bytes()
}

// wake implements socketOwner.
func (c *stream) wake() { go c.read() }

// read discards what the client sends, and parks the connection when nothing more has arrived. It
// closes the client when the connection has ended, or after more than maxStreamInput.
func (c *stream) read() {
	idle := false
	c.guarded(func() { idle = c.discard() })
	if idle {
		c.socket.park(&c.server.poller) // another read may own the connection from here on
		return
	}
	defer c.server.sockets.Done()
	_ = c.socket.abort()
	c.guarded(c.close)
}

func (c *stream) discard() (idle bool) {
	var b [64]byte
	for c.input <= maxStreamInput {
		n, err := c.socket.readNow(b[:])
		if err != nil {
			return errors.Is(err, errIdle)
		}
		c.input += n
	}
	return false
}

// Write implements hub.Conn. An event that moves the client's positions begins with an id: the
// positions after it.
func (c *stream) Write(batch hub.Batch) (ready bool, err error) {
	c.hub.Alive() // event streams answer no pings; the backlog reveals a dead client
	c.out = c.out[:0]
	written := 0
	for moves := batch.Positions; len(moves) > 0; {
		event := moves[0].Message
		c.out = append(c.out, batch.Frames[written:event]...)
		written = event
		for len(moves) > 0 && moves[0].Message == event {
			if !c.wide {
				c.last[moves[0].Topic] = moves[0].Position
			}
			moves = moves[1:]
		}
		c.out = append(c.appendID(append(c.out, "id: "...)), '\n')
	}
	c.out = append(c.out, batch.Frames[written:]...)
	return c.socket.offer(c.out)
}

func (c *stream) appendID(dst []byte) []byte {
	if c.wide {
		return append(dst, protocol.EventIDAny...)
	}
	return protocol.AppendEventID(dst, c.last)
}

// Close implements hub.Conn. It sends an event with the reason, and closes the connection.
func (c *stream) Close(why protocol.Close, last []byte) {
	if c.ending.Swap(true) {
		return
	}
	c.cancelResume()
	if !bytes.Contains(last, eventClosing) {
		last = eventFrames{}.AppendMessage(last, protocol.Closing{Code: why.Code, Reason: why.Reason}.Append(nil))
	}
	_, _ = c.socket.send(last, true) // if the connection is lost, the event is, too
	c.spawn(func() { _ = c.socket.Close() })
}
