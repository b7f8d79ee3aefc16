package main

import (
	"bytes"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A seen holds the parts of a quote that a client needs to check and time it.
type seen struct {
	at      int64 // the publisher's time, Unix µs
	seq     uint64
	skipped uint64
	begins  bool // it has an epoch
}

// A scanner reads quotes without copying. It caches the last minute that it parsed, which almost
// all quotes share.
type scanner struct {
	minute [16]byte // "2026-11-22T10:15"
	base   int64    // its Unix µs
}

// scan calls f with the symbol of each quote object in a message.
func (s *scanner) scan(message []byte, f func(symbol []byte, q seen)) {
	for q := range protocol.RawQuotes(message) {
		f(q.Symbol, seen{at: s.micros(q.Time), seq: number(q.Seq), skipped: number(q.Skipped), begins: len(q.Epoch) > 0})
	}
}

// micros parses a time of the protocol.
func (s *scanner) micros(text []byte) int64 {
	if len(text) < len(protocol.TimeLayout) {
		return 0
	}
	if !bytes.Equal(text[:16], s.minute[:]) {
		t, err := time.Parse(protocol.TimeLayout[:16], string(text[:16]))
		if err != nil {
			return 0
		}
		copy(s.minute[:], text)
		s.base = t.UnixMicro()
	}
	return s.base + int64(number(text[17:19]))*1e6 + int64(number(text[20:26]))
}

func number(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}
