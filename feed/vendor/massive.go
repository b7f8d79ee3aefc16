package vendor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// massive is the forex WebSocket of Massive, formerly Polygon, with its quotes C.*.
// https://massive.com/docs/websocket/forex/quotes
type massive struct{}

// massiveMessage bounds a message, which is an array of many events.
const massiveMessage = 4 << 20

// Traits implements Vendor. Massive documents no heartbeat, so the connection is tested with pings.
func (massive) Traits() Traits {
	return Traits{Name: "massive", URL: "wss://socket.massive.com/forex", Heartbeat: 5 * time.Second, Spacing: time.Second, Key: true}
}

// massiveAction is a request.
type massiveAction struct {
	Action string `json:"action"`
	Params string `json:"params"`
}

// massiveEvent has the fields of all events.
type massiveEvent struct {
	Event   string `json:"ev"` // status, C
	Status  string `json:"status"`
	Message string `json:"message"`

	Pair string `json:"p"`
	Bid  text   `json:"b"`
	Ask  text   `json:"a"`
	Time text   `json:"t"` // Unix milliseconds
}

// massiveStream implements Stream.
type massiveStream struct {
	socket
	stop    context.CancelFunc
	pinging sync.WaitGroup
}

// Connect implements Vendor.
func (massive) Connect(ctx context.Context, t Target) (Stream, error) {
	s, err := dial(ctx, t, massiveMessage)
	if err != nil {
		return nil, err
	}
	if err := massiveSignIn(ctx, s); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.write(ctx, massiveAction{"subscribe", massiveTopics(t)}); err != nil {
		s.Close()
		return nil, err
	}
	pinging, stop := context.WithCancel(ctx)
	stream := &massiveStream{socket: s, stop: stop}
	stream.pinging.Go(func() { stream.ping(pinging) })
	return stream, nil
}

// massiveSignIn waits for the greeting and signs in.
func massiveSignIn(ctx context.Context, s socket) error {
	for signed := false; ; {
		data, err := s.read(ctx)
		if err != nil {
			return err
		}
		events, err := massiveEvents(data)
		if err != nil {
			return err
		}
		for _, raw := range events {
			var e massiveEvent
			if json.Unmarshal(raw, &e) != nil || e.Event != "status" {
				continue
			}
			if e.Status == "auth_success" {
				return nil
			}
			if err := massiveFault(s.target, e); err != nil {
				return err
			}
			if !signed && e.Status == "connected" {
				signed = true
				if err := s.write(ctx, massiveAction{"auth", s.target.Key}); err != nil {
					return err
				}
			}
		}
	}
}

// massiveTopics returns the topics to subscribe to. With patterns it is every pair, and others are
// left out when they arrive.
func massiveTopics(t Target) string {
	symbols, named := t.Symbols.Named()
	if !named {
		return "C.*"
	}
	topics := make([]string, len(symbols))
	for i, s := range symbols {
		topics[i] = "C." + s.Base() + "-" + s.Quote()
	}
	return strings.Join(topics, ",")
}

func massiveEvents(data []byte) (events []json.RawMessage, err error) {
	if err := json.Unmarshal(data, &events); err != nil {
		return nil, fmt.Errorf("massive sent no list of events: %w", err)
	}
	return events, nil
}

// massiveFault returns the error that a status stands for, or nil.
func massiveFault(t Target, e massiveEvent) error {
	words := t.clean(e.Message)
	switch {
	case e.Status == "auth_failed", e.Status == "error" && strings.Contains(e.Message, "auth"):
		return refused("massive refused the key or its plan: %s; check --key-file, FEED_KEY or FEED_KEY_FILE", words)
	case e.Status == "auth_timeout":
		return fmt.Errorf("massive: %s", words)
	case e.Status == "max_connections":
		return &Throttled{Reason: "massive: the key is used twice: " + words}
	}
	return nil
}

// ping tests the connection until ctx ends. An answer is a sign of life; without one the Supervisor
// replaces the connection.
func (s *massiveStream) ping(ctx context.Context) {
	tick := time.NewTicker(s.target.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.conn.Ping(ctx) == nil {
			s.target.Alive()
		}
	}
}

// Read implements Stream.
func (s *massiveStream) Read(ctx context.Context) (u Update, err error) {
	data, err := s.read(ctx)
	if err != nil {
		return u, err
	}
	events, err := massiveEvents(data)
	if err != nil {
		return u, err
	}
	for _, raw := range events {
		var e massiveEvent
		switch {
		case json.Unmarshal(raw, &e) != nil:
			u.Ignored++
		case e.Event == "C":
			u.add(s.target, sent{symbol: e.Pair, bid: e.Bid, ask: e.Ask, time: string(e.Time)}, raw)
		case e.Event == "status":
			if err := s.status(e); err != nil {
				return u, err
			}
		default:
			u.Ignored++
		}
	}
	return u, nil
}

// status reads a status after the sign-in.
func (s *massiveStream) status(e massiveEvent) error {
	if err := massiveFault(s.target, e); err != nil {
		return err
	}
	if e.Status == "error" {
		s.target.Log.Warn("massive reports an error", "message", s.target.clean(e.Message))
	}
	return nil
}

// Close implements Stream.
func (s *massiveStream) Close() {
	s.stop()
	s.socket.Close()
	s.pinging.Wait()
}
