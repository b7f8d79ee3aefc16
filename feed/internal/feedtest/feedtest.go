// Package feedtest holds helpers that the tests of feed and its subpackages share.
package feedtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
)

// Keys are the keys that tests use.
var Keys = feed.Keys{Prefix: "fx:"}

// Start runs f in its own goroutine. stop, or else the end of the test, cancels its context and
// waits for it.
func Start(t testing.TB, f func(context.Context) error) (stop func()) {
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
		case <-time.After(time.Minute):
			t.Error("Run did not end within a minute")
		}
	})
	t.Cleanup(stop)
	return stop
}

// Metric returns the sum of a metric's values over all label sets that contain labels.
func Metric(t testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
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

// EURUSD is a quote without time and source.
func EURUSD(bid, ask string) feed.Quote {
	return feed.Quote{Symbol: "EUR/USD", Bid: bid, Ask: ask}
}

// SameSlot returns n symbols whose keys share a slot of a cluster, and the listing that makes them
// known.
func SameSlot(n int) (symbols []feed.Symbol, listing string) {
	bySlot := map[uint16][]feed.Symbol{}
	for i := 0; ; i++ {
		s := feed.Symbol(fmt.Sprintf("X%d/USD", i))
		slot := uint16(0) // CRC16 of the hash tag
		for _, b := range []byte(s) {
			slot ^= uint16(b) << 8
			for range 8 {
				if slot&0x8000 != 0 {
					slot = slot<<1 ^ 0x1021
				} else {
					slot <<= 1
				}
			}
		}
		slot %= 16384
		if bySlot[slot] = append(bySlot[slot], s); len(bySlot[slot]) == n {
			for _, s := range bySlot[slot] {
				listing += fmt.Sprintf(`,"%s":{}`, s)
			}
			return bySlot[slot], "{" + listing[1:] + "}"
		}
	}
}

// Symbols returns n different symbols.
func Symbols(n int) []feed.Symbol {
	var symbols []feed.Symbol
	codes := []string{"EUR", "USD", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "TRY", "ZAR", "MXN", "BRL",
		"CNY", "HKD", "SGD", "KRW", "INR", "IDR", "MYR", "PHP", "THB", "ILS", "ISK", "KES", "AED", "SAR"}
	for _, base := range codes {
		for _, quote := range codes {
			if base != quote && len(symbols) < n {
				symbols = append(symbols, feed.Symbol(base+"/"+quote))
			}
		}
	}
	return symbols
}
