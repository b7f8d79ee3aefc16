package protocol

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// TimeLayout is the layout of all times: RFC 3339 in UTC, with exactly six fractional digits.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// A Time is a time whose JSON has the layout TimeLayout.
type Time struct{ time.Time }

// At returns t as a Time.
func At(t time.Time) Time { return Time{t} }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return append(AppendTime([]byte{'"'}, t.Time), '"'), nil
}

// FormatTime returns t in UTC in TimeLayout, truncated to microseconds.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }

// AppendTime appends the text of FormatTime.
func AppendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, TimeLayout) }

// AppendString appends a JSON string (RFC 8259 section 7).
func AppendString(dst []byte, s string) []byte { return appendValue(append(dst, '"'), s) }

// appendValue appends the rest of a JSON string after its first quotation mark.
func appendValue(dst []byte, s string) []byte {
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

// MaxEcho bounds how many bytes of a client's text a message repeats.
const MaxEcho = 40

// Clip returns the beginning of a text, at most about most bytes, as valid UTF-8.
func Clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// echo returns a client's text as messages quote it.
func echo(s string) string { return fmt.Sprintf("%q", Clip(s, MaxEcho)) }
