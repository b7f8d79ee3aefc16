package vendor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// kraken is the ticker channel of the public WebSocket API, version 2.
// https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/ticker
type kraken struct{}

// krakenMessage bounds a message: the list of instruments has about a megabyte.
const krakenMessage = 8 << 20

// Traits implements Vendor. Kraken sends a heartbeat about once a second if it has nothing else to
// send, and allows about 150 connects in 10 minutes.
func (kraken) Traits() Traits {
	return Traits{Name: "kraken", URL: "wss://ws.kraken.com/v2", Heartbeat: time.Second, Spacing: 4 * time.Second}
}

// krakenSubscribe is a request.
type krakenSubscribe struct {
	Method string       `json:"method"`
	Params krakenParams `json:"params"`
}

type krakenParams struct {
	Channel string        `json:"channel"`
	Symbol  []feed.Symbol `json:"symbol,omitempty"`
	Trigger string        `json:"event_trigger,omitempty"` // bbo: each change of the best prices
}

// krakenEnvelope has the fields of all messages.
type krakenEnvelope struct {
	Channel string          `json:"channel"`
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`

	Method  string `json:"method"` // of an answer
	Success *bool  `json:"success"`
	Error   string `json:"error"`
	Symbol  string `json:"symbol"`
}

// krakenTicker is one entry of the ticker channel.
type krakenTicker struct {
	Symbol  string `json:"symbol"`
	Bid     text   `json:"bid"`
	BidSize text   `json:"bid_qty"`
	Ask     text   `json:"ask"`
	AskSize text   `json:"ask_qty"`
	Time    string `json:"timestamp"`
}

// krakenStream implements Stream.
type krakenStream struct {
	socket
	symbols []feed.Symbol
	unknown int
	offline bool // the trading engine does not match orders
}

// Connect implements Vendor.
func (kraken) Connect(ctx context.Context, t Target) (Stream, error) {
	s, err := dial(ctx, t, krakenMessage)
	if err != nil {
		return nil, err
	}
	stream := &krakenStream{socket: s}
	if err := stream.subscribe(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return stream, nil
}

// subscribe asks for the selected symbols, and before that for the list of all if there are
// patterns among them.
func (s *krakenStream) subscribe(ctx context.Context) error {
	var named bool
	if s.symbols, named = s.target.Symbols.Named(); !named {
		offered, err := s.instruments(ctx)
		if err != nil {
			return err
		}
		if s.symbols = s.target.offered(offered); len(s.symbols) == 0 {
			return refused("kraken offers no symbol that matches --symbols and is known; cryptocurrencies must be listed in INSTRUMENTS")
		}
	}
	return s.write(ctx, krakenSubscribe{"subscribe", krakenParams{Channel: "ticker", Symbol: s.symbols, Trigger: "bbo"}})
}

// instruments returns the names of all pairs.
func (s *krakenStream) instruments(ctx context.Context) (names []string, err error) {
	for _, method := range []string{"subscribe", "unsubscribe"} {
		if err := s.write(ctx, krakenSubscribe{method, krakenParams{Channel: "instrument"}}); err != nil {
			return nil, err
		}
	}
	for {
		data, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		var m krakenEnvelope
		if err := json.Unmarshal(data, &m); err != nil {
			return nil, fmt.Errorf("kraken sent no JSON: %w", err)
		}
		if m.Success != nil && !*m.Success {
			return nil, fmt.Errorf("kraken sent no list of instruments: %s", s.target.clean(m.Error))
		}
		if m.Channel == "status" {
			if _, err := s.status(m.Data); err != nil {
				return nil, err
			}
		}
		if m.Channel != "instrument" {
			continue
		}
		var list struct {
			Pairs []struct {
				Symbol string `json:"symbol"`
			} `json:"pairs"`
		}
		if err := json.Unmarshal(m.Data, &list); err != nil {
			return nil, fmt.Errorf("kraken sent a list of instruments that cannot be read: %w", err)
		}
		for _, pair := range list.Pairs {
			names = append(names, pair.Symbol)
		}
		return names, nil
	}
}

// Read implements Stream.
func (s *krakenStream) Read(ctx context.Context) (Update, error) {
	data, err := s.read(ctx)
	if err != nil {
		return Update{}, err
	}
	var m krakenEnvelope
	if err := json.Unmarshal(data, &m); err != nil {
		return Update{}, fmt.Errorf("kraken sent no JSON: %w", err)
	}
	switch {
	case m.Channel == "ticker":
		return s.ticker(m.Data)
	case m.Channel == "status":
		return s.status(m.Data)
	case m.Channel == "heartbeat", m.Channel == "instrument", m.Method == "pong":
		return Update{}, nil
	case m.Method != "":
		return s.answer(m)
	}
	return Update{Ignored: 1}, nil
}

func (s *krakenStream) ticker(data json.RawMessage) (u Update, err error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil {
		return Update{Ignored: 1}, nil
	}
	for _, entry := range entries {
		var q krakenTicker
		if json.Unmarshal(entry, &q) != nil {
			u.Ignored++
		} else if s.offline {
			u.halt(s.target, q.Symbol, entry)
		} else {
			u.add(s.target, sent{q.Symbol, q.Bid, q.Ask, q.BidSize, q.AskSize, q.Time}, entry)
		}
	}
	return u, nil
}

// status notes whether the trading engine matches orders. While it does not, no price can be
// traded.
func (s *krakenStream) status(data json.RawMessage) (Update, error) {
	var states []struct {
		System string `json:"system"`
	}
	if json.Unmarshal(data, &states) != nil || len(states) == 0 {
		return Update{Ignored: 1}, nil
	}
	was := s.offline
	if s.offline = states[0].System != "online"; !s.offline {
		if was { // the last prices are not sent again: take them from a new connection
			return Update{}, errors.New("kraken is online again: reconnecting for its prices")
		}
		return Update{}, nil
	}
	s.target.Log.Warn("kraken does not trade", "status", s.target.clean(states[0].System))
	return Update{Halted: s.symbols}, nil
}

// answer reads the answer to a subscription of one symbol.
func (s *krakenStream) answer(m krakenEnvelope) (Update, error) {
	if m.Success == nil || *m.Success || m.Method != "subscribe" {
		return Update{}, nil
	}
	words := s.target.clean(m.Error)
	if strings.Contains(m.Error, "rate") { // "Exceeded msg rate"
		return Update{}, &Throttled{Reason: "kraken: " + words}
	}
	symbol, err := s.target.Instruments.ParseSymbol(m.Symbol)
	if err != nil {
		return Update{}, fmt.Errorf("kraken refused the subscription: %s", words)
	}
	if s.unknown++; s.unknown >= len(s.symbols) {
		return Update{}, refused("kraken: %s; it has none of the symbols in --symbols", words)
	}
	return Update{Unknown: map[feed.Symbol]string{symbol: words}}, nil
}
