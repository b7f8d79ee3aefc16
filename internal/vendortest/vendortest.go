// Package vendortest has servers that speak the protocols of vendors of prices, with messages
// recorded from the vendors' documentation, and that misbehave in every way that vendors do.
package vendortest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Switch is a fault of a Server.
type Switch string

// The switches.
const (
	Freeze       Switch = "freeze"          // connections stay open, and nothing is sent
	HalfOpen     Switch = "half-open"       // sent bytes get lost on the way
	Drop         Switch = "drop"            // connections are reset, and new ones too
	Duplicate    Switch = "duplicate"       // each price is sent twice
	Reorder      Switch = "reorder"         // each second price is sent before the one before
	WrongDigits  Switch = "wrong digits"    // prices have far too many digits
	Zero         Switch = "zero"            // prices are 0
	Crossed      Switch = "crossed"         // the bid is far above the ask
	DayOld       Switch = "a day old"       // times are those of the day before
	DayAhead     Switch = "tomorrow"        // the clock is a day ahead
	Unauthorized Switch = "401"             // the key is refused
	TooMany      Switch = "429"             // connects are refused
	TooManyAfter Switch = "429 Retry-After" // the same, with the time to wait
	Slow         Switch = "slow"            // messages arrive in pieces
	CloseAfter   Switch = "close after n"   // the connection is closed after a few prices
	UnknownType  Switch = "unknown types"   // messages of unknown kinds are mixed in
	NotTradeable Switch = "not tradeable"   // prices cannot be traded
	UsedTwice    Switch = "used twice"      // the key has another connection already
)

// Switches returns all switches.
func Switches() []Switch {
	return []Switch{Freeze, HalfOpen, Drop, Duplicate, Reorder, WrongDigits, Zero, Crossed, DayOld, DayAhead, Unauthorized, TooMany, TooManyAfter, Slow, CloseAfter, UnknownType, NotTradeable, UsedTwice}
}

// What a Server expects and how it behaves.
const (
	Key         = "test-key-0123456789"
	Account     = "101-004-1234567-001"
	RetryAfter  = time.Second
	closeAfter  = 4                    // prices
	Every       = 5 * time.Millisecond // between two prices
	heartbeatIn = 10                   // prices for one heartbeat
)

// Server is one vendor.
type Server struct {
	URL string // for --url

	vendor   string
	messages recording
	listener *listener

	mu       sync.Mutex // guards the fields below
	switches map[Switch]bool
	changed  chan struct{} // closed when a switch changes
	connects []time.Time   // when connections were asked for
	days     int           // of the files of the ECB
	every    time.Duration // between two prices
	numbered bool          // see Number
	plays    int           // connections that were sent prices
	sent     []Sent
}

// Sent is a price that was sent while prices were numbered.
type Sent struct {
	Connection int // 1 is the first one that was sent prices
	Message    string
}

// Start starts a server that ends with the test. Its vendor is oanda, kraken, massive or ecb.
func Start(t testing.TB, vendor string) *Server {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(vendor, raw)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve()
	}()
	t.Cleanup(func() {
		raw.Close()
		s.listener.drop(true)
		<-done
	})
	return s
}

// New returns a server for a program of its own; see Serve.
func New(vendor string, raw net.Listener) *Server {
	s := &Server{vendor: vendor, messages: load(vendor), switches: map[Switch]bool{}, changed: make(chan struct{}), every: Every}
	s.listener = &listener{Listener: raw, server: s, conns: map[*conn]bool{}}
	scheme := "http://"
	if vendor == "kraken" || vendor == "massive" {
		scheme = "ws://"
	}
	s.URL = scheme + raw.Addr().String()
	if vendor == "ecb" {
		s.URL += "/stats/eurofxref/eurofxref-daily.xml"
	}
	return s
}

// Serve serves until the listener is closed, and waits for the handlers.
func (s *Server) Serve() {
	var handlers sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	web := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers.Add(1)
			defer handlers.Done()
			s.serve(w, r)
		}),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	_ = web.Serve(s.listener)
	cancel()
	_ = web.Close()
	s.listener.drop(true)
	handlers.Wait()
}

// Set turns a switch on or off. Connections that lost something to a switch end with it.
func (s *Server) Set(sw Switch, on bool) {
	s.mu.Lock()
	s.switches[sw] = on
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.listener.drop(on && sw == Drop)
}

func (s *Server) on(sw Switch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches[sw]
}

// Number sends a price every interval from now on and gives each a number, which it appends to the
// digits of the bid.
func (s *Server) Number(every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.every, s.numbered = every, true
}

// Sent returns the numbered prices in the order in which they were sent. The last ones of a
// connection may not have arrived.
func (s *Server) Sent() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// number returns a message with the next number, and notes that it is sent.
func (s *Server) number(connection int, message string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.numbered {
		message = withPrice(message, func(p string) string { return fmt.Sprintf("%s%09d", p, len(s.sent)+1) })
		s.sent = append(s.sent, Sent{connection, message})
	}
	return message
}

// Connects returns when connections were asked for.
func (s *Server) Connects() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.connects)
}

// Prices returns the recorded messages that contain prices.
func (s *Server) Prices() []string { return slices.Clone(s.messages["price"]) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.connects = append(s.connects, time.Now())
	s.mu.Unlock()
	switch {
	case s.on(TooManyAfter):
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"errorMessage":"Too many requests"}`, http.StatusTooManyRequests)
		return
	case s.on(TooMany):
		http.Error(w, `{"errorMessage":"Too many requests"}`, http.StatusTooManyRequests)
		return
	case s.on(Unauthorized) && s.vendor != "massive":
		w.WriteHeader(http.StatusUnauthorized)
		if s.vendor == "oanda" {
			_, _ = w.Write([]byte(s.messages.one("bad_key")))
		}
		return
	}
	switch s.vendor {
	case "oanda":
		s.oanda(w, r)
	case "kraken":
		s.dialog(w, r, s.kraken)
	case "massive":
		s.dialog(w, r, s.massive)
	case "ecb":
		s.ecb(w, r)
	}
}

// frozen blocks while the switch Freeze is on, and reports whether it was. Nothing is sent on the
// connection from then on.
func (s *Server) frozen(ctx context.Context) bool {
	if !s.on(Freeze) {
		return false
	}
	c := connOf(ctx)
	c.frozen.Store(true)
	c.torn.Store(true)
	for s.on(Freeze) && s.wait(ctx, time.Hour) {
	}
	return true
}

// wait waits for d, or until a switch changes. It returns false when ctx ends.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return false
	}
	return true
}

// play sends the recorded prices that wanted accepts, again and again, with the present time.
func (s *Server) play(ctx context.Context, wanted func(message string) bool, send func(message string) error) {
	s.mu.Lock()
	s.plays++
	connection, every := s.plays, s.every
	s.mu.Unlock()
	closed := false
	var late []string // sent after the next one
	for n := 0; ; {
		kind := "price"
		if state := s.on(NotTradeable) && s.messages["closed"] != nil; state != closed {
			closed = state
			if s.vendor == "kraken" {
				announced := map[bool]string{true: "closed", false: "open"}[closed]
				if send(s.messages.one(announced)) != nil {
					return
				}
			}
		}
		if closed && s.vendor == "oanda" {
			kind = "closed"
		}
		for _, message := range s.messages[kind] {
			if !wanted(message) {
				continue
			}
			now := []string{s.number(connection, s.spoiled(message, time.Now()))}
			switch {
			case s.on(Duplicate):
				now = append(now, now[0])
			case s.on(Reorder) && late == nil:
				now, late = nil, now
			default:
				now, late = append(now, late...), nil
			}
			if s.on(UnknownType) {
				now = append(now, s.messages["unknown"]...)
			}
			if n%heartbeatIn == 0 {
				now = append(now, s.messages["heartbeat"]...)
			}
			for _, m := range now {
				if s.frozen(ctx) || send(m) != nil {
					return
				}
			}
			if n++; n >= closeAfter && s.on(CloseAfter) || !s.wait(ctx, every) {
				return
			}
		}
	}
}

// contains reports whether a message names a symbol in any of its forms.
func contains(message string, symbols []string) bool {
	return slices.ContainsFunc(symbols, func(s string) bool { return strings.Contains(message, `"`+s+`"`) })
}
