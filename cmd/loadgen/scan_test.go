package main

import (
	"testing"
	"time"
)

func TestScan(t *testing.T) {
	message := `{"type":"update","data":[` +
		`{"symbol":"EUR/USD","bid":"1.1","ask":"1.2","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"epoch":"k3f9"},` +
		`{"symbol":"USD/JPY","bid":"150.1","ask":"150.2","ts":"2026-11-22T10:15:59.000001Z","seq":7,"skipped":3,"status":"stale"}]}`
	var got []seen
	var symbols []string
	var s scanner
	s.scan([]byte(message), func(symbol []byte, q seen) { symbols, got = append(symbols, string(symbol)), append(got, q) })
	if len(got) != 2 {
		t.Fatalf("%d quotes, want 2", len(got))
	}
	first, second := got[0], got[1]
	if symbols[0] != "EUR/USD" || first.seq != 1841 || first.skipped != 0 || !first.begins ||
		first.at != time.Date(2026, 11, 22, 10, 15, 0, 123456000, time.UTC).UnixMicro() {
		t.Errorf("the first quote: %+v", first)
	}
	if symbols[1] != "USD/JPY" || second.seq != 7 || second.skipped != 3 || second.begins ||
		second.at != time.Date(2026, 11, 22, 10, 15, 59, 1000, time.UTC).UnixMicro() {
		t.Errorf("the second quote: %+v", second)
	}
	for _, m := range []string{``, `{"type":"heartbeat"}`, `{"type":"status","symbol":"EUR/USD","status":"stale"}`, `{"symbol":"EUR/USD`} {
		s.scan([]byte(m), func(_ []byte, q seen) { t.Errorf("%s: %+v", m, q) })
	}
}

// What loadgen reports as lost, doubled or skipped is what the figures rest on.
func TestQuoteArithmetic(t *testing.T) {
	w := &worker{fleet: &fleet{}, counts: counts{latency: make([]uint32, maxLatency+1)}}
	c := &client{last: make([]uint64, 1)}
	for _, q := range []seen{
		{seq: 5, begins: true}, {seq: 6}, {seq: 9, skipped: 2}, {seq: 12, skipped: 1}, {seq: 12}, {seq: 1, begins: true}, {seq: 2},
	} {
		w.quote(c, 0, q, 0, true)
	}
	if w.lost != 1 || w.doubled != 1 || w.skipped != 3 || w.delivered != 7 {
		t.Errorf("lost %d, doubled %d, skipped %d of %d; want 1, 1, 3 of 7", w.lost, w.doubled, w.skipped, w.delivered)
	}
}
