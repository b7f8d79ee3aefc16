package receive_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// sink records its calls and checks the order of each symbol.
type sink struct {
	mu      sync.Mutex
	events  []string            // "publish EUR/USD e1 3", "status EUR/USD stale", "drop EUR/USD", "relay news …", "degraded true"
	quotes  map[string][]uint64 // numbers per symbol and epoch
	busy    map[string]bool
	overlap bool // two calls for one symbol at once
}

func newSink() *sink { return &sink{quotes: map[string][]uint64{}, busy: map[string]bool{}} }

func (s *sink) enter(symbol string) {
	s.mu.Lock()
	s.overlap = s.overlap || s.busy[symbol]
	s.busy[symbol] = true
	s.mu.Unlock()
}

func (s *sink) leave(symbol, event string) {
	s.mu.Lock()
	s.busy[symbol] = false
	s.events = append(s.events, event)
	s.mu.Unlock()
}

func (s *sink) Publish(symbol, epoch string, seq uint64, body []byte, at int64) {
	s.enter(symbol)
	s.mu.Lock()
	s.quotes[symbol+" "+epoch] = append(s.quotes[symbol+" "+epoch], seq)
	s.mu.Unlock()
	s.leave(symbol, fmt.Sprintf("publish %s %s %d", symbol, epoch, seq))
}

func (s *sink) SetStatus(symbol, status, source string, since time.Time) {
	s.enter(symbol)
	if source != "" {
		source = " from " + source
	}
	s.leave(symbol, "status "+symbol+" "+status+source)
}

func (s *sink) Follow(symbol string, following bool) {
	s.enter(symbol)
	s.leave(symbol, fmt.Sprintf("follow %s %v", symbol, following))
}

func (s *sink) Drop(symbol string) {
	s.enter(symbol)
	s.leave(symbol, "drop "+symbol)
}

func (s *sink) List(symbol string, listed bool) {
	s.enter(symbol)
	s.leave(symbol, fmt.Sprintf("list %s %v", symbol, listed))
}

func (s *sink) Relay(channel string, data []byte) {
	s.mu.Lock()
	s.events = append(s.events, "relay "+channel+" "+string(data))
	s.mu.Unlock()
}

func (s *sink) degraded(d bool) {
	s.mu.Lock()
	s.events = append(s.events, fmt.Sprint("degraded ", d))
	s.mu.Unlock()
}

func (s *sink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.events...)
}

func (s *sink) has(event string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.events, event)
}

func (s *sink) seqs(symbol, epoch string) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint64(nil), s.quotes[symbol+" "+epoch]...)
}

// forget drops the events that begin with prefix.
func (s *sink) forget(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = slices.DeleteFunc(s.events, func(event string) bool { return strings.HasPrefix(event, prefix) })
}

// last returns the newest event that begins with prefix, or "".
func (s *sink) last(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, event := range slices.Backward(s.events) {
		if strings.HasPrefix(event, prefix) {
			return event
		}
	}
	return ""
}
