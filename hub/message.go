package hub

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The envelopes of the messages the hub writes itself. The rest of the protocol
// (welcome, ack, error, …) comes ready made from the package that reads.
const (
	updateHead   = `{"type":"update","data":[`
	snapshotHead = `{"type":"snapshot","data":[`
	resetHead    = `{"type":"snapshot","reset":true,"data":[`
	tail         = `]}`
)

// appendQuote appends one quote with the fields that say something only to this
// client: epoch (first quote of the connection, change, snapshot), skipped, status. It records what
// the client then has, and what it was told was skipped.
func appendQuote(dst []byte, s *subscription, t *tick, snapshot bool) []byte {
	dst = append(dst, t.body...)
	same := s.isEpoch(t.epoch)
	first := s.backlog != nil && s.backlog.first
	if first {
		s.backlog.first = false
	}
	if snapshot || !same || first {
		dst = append(dst, `,"epoch":`...)
		dst = appendString(dst, *t.epoch)
	}
	if !snapshot && same && t.seq > s.seq+1 {
		dst = append(dst, `,"skipped":`...)
		dst = strconv.AppendUint(dst, t.seq-s.seq-1, 10)
		s.client.skipped += t.seq - s.seq - 1
	}
	if st := s.part.status.status; st != statusLive {
		dst = append(dst, `,"status":`...)
		dst = appendString(dst, st)
	}
	s.epoch, s.seq = t.epoch, t.seq
	return append(dst, '}')
}

func appendResumed(dst []byte, topic string) []byte {
	return append(appendString(append(dst, `{"type":"resumed","symbol":`...), topic), '}')
}

func appendStatus(dst []byte, topic string, st statusChange) []byte {
	dst = append(dst, `{"type":"status","symbol":`...)
	dst = appendString(dst, topic)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, st.status)
	if st.source != "" {
		dst = append(dst, `,"source":`...)
		dst = appendString(dst, st.source)
	}
	if !st.since.IsZero() {
		dst = append(dst, `,"since":"`...)
		dst = appendTime(dst, st.since)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func appendLink(dst []byte, degraded bool) []byte {
	if degraded {
		return append(dst, `{"type":"status","status":"degraded"}`...)
	}
	return append(dst, `{"type":"status","status":"ok"}`...)
}

func appendRelayed(dst []byte, m relayed, dropped int) []byte {
	dst = append(dst, `{"type":"message","channel":`...)
	dst = appendString(dst, m.channel)
	dst = append(dst, `,"data":`...)
	dst = append(dst, m.data...)
	if dropped > 0 {
		dst = append(dst, `,"dropped":`...)
		dst = strconv.AppendInt(dst, int64(dropped), 10)
	}
	return append(dst, '}')
}

func appendHeartbeat(dst []byte, now time.Time) []byte {
	dst = append(dst, `{"type":"heartbeat","ts":"`...)
	dst = appendTime(dst, now)
	return append(dst, `"}`...)
}

func appendClosing(dst []byte, code int, reason string, reconnect time.Duration) []byte {
	dst = append(dst, `{"type":"closing","code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, reason)
	dst = append(dst, `,"reconnect_after_ms":`...)
	dst = strconv.AppendInt(dst, reconnect.Milliseconds(), 10)
	return append(dst, '}')
}

// appendTime writes RFC 3339 UTC with microseconds, as all times of the protocol.
func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}

// appendString writes a JSON string (RFC 8259 section 7).
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, `\u00`...)
			dst = append(dst, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
