package vendortest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// requests accepts a WebSocket and passes on what arrives, until the connection ends.
func requests(w http.ResponseWriter, r *http.Request) (*websocket.Conn, context.Context, <-chan string, func()) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil, nil, nil, nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	arrived, done := make(chan string), make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		for {
			_, data, err := c.Read(ctx)
			if err != nil {
				return
			}
			select {
			case arrived <- string(data):
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, ctx, arrived, func() {
		cancel()
		_ = c.CloseNow()
		<-done
	}
}

// kraken serves the ticker and the instrument channel.
func (s *Server) kraken(w http.ResponseWriter, r *http.Request) {
	c, ctx, arrived, end := requests(w, r)
	if c == nil {
		return
	}
	defer end()
	send := func(m string) error { return c.Write(ctx, websocket.MessageText, []byte(m)) }
	if s.frozen(ctx) || send(s.messages.one("greeting")) != nil {
		return
	}
	for {
		var request string
		select {
		case request = <-arrived:
		case <-ctx.Done():
			return
		}
		var m struct {
			Method string `json:"method"`
			Params struct {
				Channel string   `json:"channel"`
				Symbol  []string `json:"symbol"`
			} `json:"params"`
		}
		if json.Unmarshal([]byte(request), &m) != nil || m.Method != "subscribe" {
			continue
		}
		if m.Params.Channel == "instrument" {
			_ = send(s.messages.one("instruments"))
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
			_ = send(answer)
		}
		if known > 0 {
			s.play(ctx, func(p string) bool { return contains(p, m.Params.Symbol) }, send)
			return
		}
	}
}

// massive serves the quotes of forex.
func (s *Server) massive(w http.ResponseWriter, r *http.Request) {
	c, ctx, arrived, end := requests(w, r)
	if c == nil {
		return
	}
	defer end()
	send := func(m string) error { return c.Write(ctx, websocket.MessageText, []byte(m)) }
	if s.frozen(ctx) || send(s.messages.one("greeting")) != nil {
		return
	}
	for {
		var request string
		select {
		case request = <-arrived:
		case <-ctx.Done():
			return
		}
		var m struct{ Action, Params string }
		_ = json.Unmarshal([]byte(request), &m)
		switch {
		case m.Action == "auth" && (m.Params != Key || s.on(Unauthorized)):
			_ = send(s.messages.one("bad_key"))
			return
		case m.Action == "auth" && s.on(UsedTwice):
			_ = send(s.messages.one("max_connections"))
			return
		case m.Action == "auth":
			_ = send(s.messages.one("signed_in"))
		case m.Action == "subscribe":
			var pairs []string
			for topic := range strings.SplitSeq(m.Params, ",") {
				pairs = append(pairs, strings.ReplaceAll(strings.TrimPrefix(topic, "C."), "-", "/"))
				_ = send(fmt.Sprintf(s.messages.one("ack"), topic))
			}
			s.play(ctx, func(p string) bool { return pairs[0] == "*" || contains(p, pairs) }, send)
			return
		}
	}
}
