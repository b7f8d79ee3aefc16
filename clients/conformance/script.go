package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

const (
	stepTime  = 45 * time.Second // for the client to do what a step waits for
	writeTime = 45 * time.Second
	maxQueued = 10_000 // messages of a client that no step has taken
)

// errEnded reports that the client ended the connection.
var errEnded = errors.New("the client ended the connection")

// A player plays the steps of one connection.
type player struct {
	run      *run
	attempt  *attempt
	line     *line
	ws       *websocket.Conn
	commands chan command
	ctx      context.Context
	last     command
	coder    *coder    // nil without fx.v1.pb
	steps    time.Time // when the last step began
}

// A command is one message of the client, decoded.
type command map[string]any

// play accepts a WebSocket and plays the steps of its connection. It returns after the end of the
// connection.
func (r *run) play(w http.ResponseWriter, req *http.Request, a *attempt) {
	l := req.Context().Value(lineKey{}).(*line)
	played := make(chan struct{})
	defer close(played)
	r.mu.Lock()
	a.played = played
	r.mu.Unlock()
	if len(a.script.Steps) > 0 && a.script.Steps[0].Hang {
		r.mu.Lock()
		a.provoked = a.at
		r.mu.Unlock()
		select {
		case <-req.Context().Done():
		case <-r.ctx.Done():
		}
		r.finish(a, "the client gave up")
		return
	}
	ws, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: []string{r.protocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		r.fault("connect %d: %v", a.number, err)
		r.finish(a, "bad handshake")
		return
	}
	defer func() { _ = ws.CloseNow() }() // it may be closed already
	ws.SetReadLimit(1 << 20)
	r.mu.Lock()
	a.protocol, a.open = ws.Subprotocol(), true
	r.mu.Unlock()
	if r.protocol != protocol.Name && a.protocol != r.protocol {
		r.fault("connect %d does not offer the subprotocol %s", a.number, r.protocol)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	p := &player{run: r, attempt: a, line: l, ws: ws, commands: make(chan command, maxQueued), ctx: ctx, steps: time.Now()}
	if a.protocol == protocol.NameBinary {
		p.coder = newCoder()
	}
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		defer cancel()
		p.read()
	}()
	defer func() { <-reader }()
	defer func() { _ = l.Close() }() // ends the reader
	for i, step := range a.script.Steps {
		began := time.Now()
		if err := p.do(step); err != nil {
			if r.ctx.Err() == nil {
				r.fault("connect %d, step %d %s: %v", a.number, i+1, step, err)
			}
			r.finish(a, "cut after a fault")
			return
		}
		p.steps = began
		if step.Cut || step.Close != 0 || step.Ended != nil {
			return
		}
	}
	r.mu.Lock()
	a.idle = true
	r.mu.Unlock()
	<-a.ended
}

// read reads until the connection ends. It answers pings.
func (p *player) read() {
	r, a := p.run, p.attempt
	for {
		kind, text, err := p.ws.Read(r.ctx)
		if err != nil {
			end := "cut by the client"
			if closed, ok := errors.AsType[websocket.CloseError](err); ok {
				end = fmt.Sprintf("closed by the client: %d", closed.Code)
				r.mu.Lock()
				a.code = int(closed.Code)
				r.mu.Unlock()
			}
			r.finish(a, end)
			return
		}
		if kind != websocket.MessageText {
			r.fault("connect %d: a binary message from the client", a.number)
			continue
		}
		var c command
		if err := json.Unmarshal(text, &c); err != nil {
			r.fault("connect %d: the client sent %.80q: %v", a.number, text, err)
			continue
		}
		if c["op"] == protocol.OpPing {
			p.write(websocket.MessageText, encode(map[string]any{"type": protocol.TypePong, "id": c["id"], "ts": now()}))
			continue
		}
		r.mu.Lock()
		a.messages = append(a.messages, message{time.Now(), text})
		r.mu.Unlock()
		select {
		case p.commands <- c:
		default:
			r.fault("connect %d: more than %d commands wait", a.number, maxQueued)
			return
		}
	}
}

// String names the step, for faults.
func (s Step) String() string {
	text, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	var fields map[string]any
	if json.Unmarshal(text, &fields) != nil {
		return ""
	}
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == nil || v == false || v == "" || v == 0.0 })
	return string(encode(fields))
}

func (p *player) do(s Step) error {
	switch {
	case s.Welcome != nil:
		return p.send(merge(welcome(), s.Welcome))
	case s.Receive != nil:
		c, err := p.next()
		if err != nil {
			return err
		}
		if why := differs(s.Receive, c); why != "" {
			return fmt.Errorf("the client sent %s: %s", encode(c), why)
		}
		p.last = c
	case s.Ack != nil:
		return p.ack(s.Ack)
	case s.Serve != nil:
		return p.serve(s)
	case s.Send != nil:
		m := maps.Clone(s.Send)
		if m["id"] == "$id" {
			m["id"] = p.last["id"]
		}
		return p.send(m)
	case s.Ticks != nil:
		return p.ticks(*s.Ticks)
	case s.Text != "":
		return p.write(websocket.MessageText, []byte(s.Text))
	case s.Binary != nil:
		return p.write(websocket.MessageBinary, s.Binary)
	case s.Big != 0:
		p.write(websocket.MessageText, []byte(`{"type":"update","data":[],"pad":"`+strings.Repeat("x", s.Big)+`"}`)) // the client may end it before
	case s.Raw != nil:
		_, err := p.line.Write(s.Raw)
		return err
	case s.Pause != 0:
		return p.wait(p.run.scaled(s.Pause))
	case s.Freeze:
		p.line.freeze(func() { p.run.finish(p.attempt, "closed by the client, frozen") })
	case s.Close != 0:
		p.run.finish(p.attempt, fmt.Sprintf("closed by the script: %d", s.Close))
		_ = p.ws.Close(websocket.StatusCode(s.Close), s.Reason) // waits for the client's close frame for 5 s at most
	case s.Cut:
		p.run.finish(p.attempt, "cut by the script")
		_ = p.line.Close() // it may be closed already
	case s.Ended != nil:
		return p.awaitEnd(*s.Ended)
	}
	return nil
}

// next returns the next command.
func (p *player) next() (command, error) {
	limit := time.NewTimer(stepTime)
	defer limit.Stop()
	select {
	case c := <-p.commands:
		return c, nil
	case <-p.ctx.Done():
		select {
		case c := <-p.commands: // sent before the end
			return c, nil
		default:
			return nil, errEnded
		}
	case <-limit.C:
		return nil, fmt.Errorf("the client sent no command within %v", stepTime)
	}
}

func (p *player) wait(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.ctx.Done():
		return errEnded
	}
}

// serve acknowledges commands until one has the fields of a step. If the step has aliases, it answers
// as the server does: each symbol once, under its own name, and with a snapshot of those granted.
func (p *player) serve(s Step) error {
	for {
		c, err := p.next()
		if err != nil {
			return err
		}
		p.last = c
		if s.Aliases == nil {
			err = p.ack(nil)
		} else {
			err = p.resolve(s)
		}
		if err != nil {
			return err
		}
		if differs(s.Serve, c) == "" {
			return nil
		}
	}
}

// resolve answers the last command with the aliases and refusals of a step.
func (p *player) resolve(s Step) error {
	ok, failed, quotes, decided := []any{}, []any{}, []any{}, map[string]bool{}
	names, _ := p.last["symbols"].([]any)
	for _, v := range names {
		name, _ := v.(string)
		symbol := cmp.Or(s.Aliases[name], name)
		if decided[symbol] {
			continue
		}
		decided[symbol] = true
		if code := s.Refused[symbol]; code != "" {
			failed = append(failed, map[string]any{"symbol": symbol, "code": code, "message": "refused by the script"})
			continue
		}
		ok = append(ok, symbol)
		quotes = append(quotes, quoteOf(symbol, 1, "k3f9"))
	}
	if err := p.ack(map[string]any{"ok": ok, "failed": failed}); err != nil || len(quotes) == 0 || p.last["op"] != protocol.OpSubscribe || p.last["candles"] != nil {
		return err
	}
	return p.send(map[string]any{"type": protocol.TypeSnapshot, "data": quotes})
}

// ack acknowledges the last command.
func (p *player) ack(fields map[string]any) error {
	names := p.last["symbols"]
	if names == nil {
		names = []any{}
	}
	ack := map[string]any{"type": protocol.TypeAck, "id": p.last["id"], "op": p.last["op"], "ok": names, "failed": []any{}}
	if p.last["op"] == protocol.OpSubscribe {
		if p.last["candles"] == nil {
			ack["mode"], ack["max_rate"] = protocol.ModeLatest, 0
		}
		for _, name := range []string{"mode", "max_rate", "candles", "day"} {
			if v := p.last[name]; v != nil {
				ack[name] = v
			}
		}
	}
	return p.send(merge(ack, fields))
}

// awaitEnd waits for the client to end the connection.
func (p *player) awaitEnd(b Bounds) error {
	from := p.steps
	p.run.mu.Lock()
	p.attempt.provoked = from
	p.run.mu.Unlock()
	select {
	case <-p.attempt.ended:
	case <-time.After(p.run.scaled(b.MaxMS) + slack):
		return fmt.Errorf("the client did not end the connection within %.0f ms", b.MaxMS)
	case <-p.run.ctx.Done():
		return nil
	}
	p.run.mu.Lock()
	took := p.attempt.endedAt.Sub(from)
	p.run.mu.Unlock()
	if b.MinMS > 0 && took < p.run.scaled(b.MinMS) {
		return fmt.Errorf("the client ended the connection after %.0f ms, want at least %.0f", float64(took.Milliseconds())/p.run.scenario.Scale, b.MinMS)
	}
	return nil
}
