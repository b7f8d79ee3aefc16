package feed_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
)

var keys = feed.Keys{Prefix: "fx:"}

// start runs f in its own goroutine; stop, or else the end of the test, ends
// its context and waits for it.
func start(t testing.TB, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		case <-time.After(15 * time.Second):
			t.Error("Run did not end within 15 s")
		}
	})
	t.Cleanup(stop)
	return stop
}

// eventually polls until ok or the deadline is over.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// metric returns the sum over all labels that match of a metric's values.
func metric(t testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			text := fmt.Sprint(m.GetLabel())
			match := true
			for _, l := range labels {
				match = match && strings.Contains(text, l)
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// sink records what it is told and checks the order of each symbol.
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

func (s *sink) Relay(channel string, data []byte) {
	s.mu.Lock()
	s.events = append(s.events, "relay "+channel+" "+string(data))
	s.mu.Unlock()
}

func (s *sink) Degraded(d bool) {
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

func eurusd(bid, ask string) feed.Quote {
	return feed.Quote{Symbol: "EUR/USD", Bid: bid, Ask: ask}
}
