package main

import (
	"bytes"
	"time"
)

// A seen quote is what a client needs of one to check and time it.
type seen struct {
	symbol  []byte
	at      int64 // the publisher's time, Unix µs
	seq     uint64
	skipped uint64
	epoch   []byte
}

var (
	markSymbol  = []byte(`{"symbol":"`)
	markTS      = []byte(`"ts":"`)
	markSeq     = []byte(`"seq":`)
	markSkipped = []byte(`"skipped":`)
	markEpoch   = []byte(`"epoch":"`)
)

// scan calls f for each quote object in a message. It trusts the field order of
// the protocol's examples and copies nothing.
func (s *scanner) scan(message []byte, f func(seen)) {
	for {
		i := bytes.Index(message, markSymbol)
		if i < 0 {
			return
		}
		object := message[i+len(markSymbol):]
		end := bytes.IndexByte(object, '}')
		if end < 0 {
			return
		}
		message, object = object[end:], object[:end]
		name := bytes.IndexByte(object, '"')
		if name < 0 {
			return
		}
		q := seen{symbol: object[:name]}
		object = object[name:]
		if i := bytes.Index(object, markTS); i >= 0 {
			q.at = s.micros(object[i+len(markTS):])
			object = object[i:]
		}
		i = bytes.Index(object, markSeq)
		if i < 0 {
			continue // a status message, not a quote
		}
		q.seq = number(object[i+len(markSeq):])
		if i := bytes.Index(object, markSkipped); i >= 0 {
			q.skipped = number(object[i+len(markSkipped):])
		}
		if i := bytes.Index(object, markEpoch); i >= 0 {
			rest := object[i+len(markEpoch):]
			q.epoch = rest[:max(0, bytes.IndexByte(rest, '"'))]
		}
		f(q)
	}
}

// A scanner remembers the minute it last parsed: almost all quotes share it.
type scanner struct {
	minute [16]byte // "2026-11-22T10:15"
	base   int64    // its Unix µs
}

// micros reads RFC 3339 with six fractional digits and Z.
func (s *scanner) micros(text []byte) int64 {
	const length = len("2026-11-22T10:15:00.123456Z")
	if len(text) < length {
		return 0
	}
	if !bytes.Equal(text[:16], s.minute[:]) {
		t, err := time.Parse("2006-01-02T15:04", string(text[:16]))
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
