package vendortest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// A dialog is one WebSocket of a client.
type dialog struct {
	conn    *websocket.Conn
	ctx     context.Context // ends with the connection
	arrived chan string
}

// dialog accepts a WebSocket, sends the greeting, and has talk answer the requests.
func (s *Server) dialog(w http.ResponseWriter, r *http.Request, talk func(*dialog)) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	d := &dialog{conn: c, ctx: ctx, arrived: make(chan string)}
	var reading sync.WaitGroup
	reading.Go(func() { defer cancel(); d.read() })
	defer reading.Wait()
	defer func() { cancel(); _ = c.CloseNow() }()
	if !s.frozen(ctx) && d.send(s.messages.one("greeting")) == nil {
		talk(d)
	}
}

// read passes on what arrives, until the connection ends.
func (d *dialog) read() {
	for {
		_, data, err := d.conn.Read(d.ctx)
		if err != nil {
			return
		}
		select {
		case d.arrived <- string(data):
		case <-d.ctx.Done():
			return
		}
	}
}

// next decodes the next request. It returns false when the connection has ended.
func (d *dialog) next(request any) bool {
	select {
	case data := <-d.arrived:
		_ = json.Unmarshal([]byte(data), request) // what is no request gets no answer
		return true
	case <-d.ctx.Done():
		return false
	}
}

func (d *dialog) send(message string) error {
	return d.conn.Write(d.ctx, websocket.MessageText, []byte(message))
}

// kraken serves the ticker and the instrument channel.
func (s *Server) kraken(d *dialog) {
	for {
		var m struct {
			Method string `json:"method"`
			Params struct {
				Channel string   `json:"channel"`
				Symbol  []string `json:"symbol"`
			} `json:"params"`
		}
		if !d.next(&m) {
			return
		}
		if m.Method != "subscribe" {
			continue
		}
		if m.Params.Channel == "instrument" {
			_ = d.send(s.messages.one("instruments"))
			continue
		}
		known := 0
		for _, symbol := range m.Params.Symbol {
			answer := strings.ReplaceAll(s.messages.one("ack"), "EUR/USD", symbol)
			if contains(s.messages.one("instruments"), []string{symbol}) {
				known++
			} else {
				answer = strings.ReplaceAll(s.messages.one("bad_symbol"), "%s", symbol)
			}
			_ = d.send(answer)
		}
		if known > 0 {
			s.play(d.ctx, func(p string) bool { return contains(p, m.Params.Symbol) }, d.send)
			return
		}
	}
}

// massive serves the quotes of forex.
func (s *Server) massive(d *dialog) {
	for {
		var m struct{ Action, Params string }
		if !d.next(&m) {
			return
		}
		switch {
		case m.Action == "auth" && (m.Params != Key || s.on(Unauthorized)):
			_ = d.send(s.messages.one("bad_key"))
			return
		case m.Action == "auth" && s.on(UsedTwice):
			_ = d.send(s.messages.one("max_connections"))
			return
		case m.Action == "auth":
			_ = d.send(s.messages.one("signed_in"))
		case m.Action == "subscribe":
			var pairs []string
			for topic := range strings.SplitSeq(m.Params, ",") {
				pairs = append(pairs, strings.ReplaceAll(strings.TrimPrefix(topic, "C."), "-", "/"))
				_ = d.send(fmt.Sprintf(s.messages.one("ack"), topic))
			}
			s.play(d.ctx, func(p string) bool { return pairs[0] == "*" || contains(p, pairs) }, d.send)
			return
		}
	}
}
