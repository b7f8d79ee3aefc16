package feed

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The magnitude of a Unix time determines its unit. As seconds these bounds lie in the years 5138,
// 1973 and 1973, so the time of a quote is never near one.
const (
	endSeconds = 100_000_000_000
	endMillis  = 1000 * endSeconds
	endMicros  = 1000 * endMillis
)

// parseUnix reads a Unix time in seconds, ms, µs or ns, whole or fractional. It truncates to
// microseconds.
func parseUnix(mantissa, exponent string) (time.Time, bool) {
	plain, reason := mantissa, Reason("")
	if exponent != "" && !isZero(mantissa) {
		plain, reason = expand(mantissa, exponent)
	}
	whole, fraction, _ := strings.Cut(plain, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case reason != "" || err != nil || paddedZero(plain):
		return time.Time{}, false
	case n < endSeconds:
		n = n*1_000_000 + int64(scaled(fraction, 6))
	case n < endMillis:
		n = n*1000 + int64(scaled(fraction, 3))
	case n >= endMicros:
		n /= 1000
	}
	return time.UnixMicro(n).UTC(), true
}

func timeRejection(name, text string) *Rejection {
	return reject(ReasonBadTime, "%s is %s: give RFC 3339 such as \"2026-11-22T10:15:00.123456Z\", or Unix time", name, quoted(text))
}

// ParseTime reads the time of a request in any form that a quote may have, but only with a zone. It
// returns the time in UTC, in whole microseconds, from 1970 to 2199. The error names what is wrong.
func ParseTime(text string) (time.Time, error) {
	t, zoned, r := readTime("the time", text)
	switch {
	case r != nil:
		return time.Time{}, fmt.Errorf("feed: %s", r.Message)
	case !timeInRange(t):
		return time.Time{}, fmt.Errorf("feed: the time is %s: the year must be from 1970 to 2199", quoted(text))
	case !zoned:
		return time.Time{}, fmt.Errorf("feed: the time is %s: it must have a zone, such as Z", quoted(text))
	}
	return t, nil
}

// ReadTime reads a time in any form that a quote may have. It returns the time in UTC, in whole
// microseconds, of any year. A time without a zone counts as UTC, with zoned false.
func ReadTime(text string) (t time.Time, zoned, ok bool) {
	t, zoned, r := readTime("the time", text)
	return t, zoned, r == nil
}

// readTime reads Unix time, or a date and time with or without a zone, of any year. Without a zone
// it assumes UTC.
func readTime(name, text string) (t time.Time, zoned bool, r *Rejection) {
	mantissa, exponent, reason := scanNumber(text)
	ok := reason == ""
	if ok {
		t, ok = parseUnix(mantissa, exponent)
		zoned = true
	} else if t, zoned, ok = parseTimeText(text); !ok {
		t, ok = parseFIXTime(text)
		zoned = true
	}
	if !ok {
		return time.Time{}, false, timeRejection(name, text)
	}
	return t, zoned, nil
}

// maxTimeChars bounds the text of a time. It leaves room for more fractional digits than any clock
// has.
const maxTimeChars = 48

// parseTimeText reads RFC 3339 with the lower-case letters and the space that its section 5.6
// allows, and with the short zones and the decimal comma of ISO 8601. A time without a zone counts
// as UTC, with zoned false. It returns the time in UTC, truncated to microseconds. It is stricter
// than time.Parse, which accepts one-digit hours, and does not allocate.
func parseTimeText(s string) (t time.Time, zoned, ok bool) {
	const shape = "0000-00-00T00:00:00"
	if !hasShape(s, shape) {
		return t, false, false
	}
	micros, rest, ok := cutFraction(s[len(shape):])
	if !ok {
		return t, false, false
	}
	offset, zoned, ok := parseZone(rest)
	if !ok {
		return t, false, false
	}
	t, ok = civilTime(s[:4], s[5:7], s[8:10], s[11:19], micros)
	return t.Add(-offset), zoned, ok
}

// parseFIXTime reads a UTCTimestamp of the FIX protocol, YYYYMMDD-HH:MM:SS.sss.
func parseFIXTime(s string) (t time.Time, ok bool) {
	const shape = "00000000-00:00:00"
	if !hasShape(s, shape) {
		return t, false
	}
	micros, rest, ok := cutFraction(s[len(shape):])
	if !ok || rest != "" {
		return t, false
	}
	return civilTime(s[:4], s[4:6], s[6:8], s[9:17], micros)
}

// hasShape reports whether s begins like shape and is not too long. In shape 0 stands for a digit
// and T for the separator of date and time.
func hasShape(s, shape string) bool {
	if len(s) < len(shape) || len(s) > maxTimeChars {
		return false
	}
	for i := range len(shape) {
		c, ok := s[i], false
		switch shape[i] {
		case '0':
			ok = '0' <= c && c <= '9'
		case 'T':
			ok = c == 'T' || c == 't' || c == ' '
		default:
			ok = c == shape[i]
		}
		if !ok {
			return false
		}
	}
	return true
}

// civilTime returns a time in UTC; ok is false if there is no such time. clock is HH:MM:SS. All
// digits must be checked already.
func civilTime(year, month, day, clock string, micros int) (time.Time, bool) {
	m, d := time.Month(number(month)), number(day)
	hour, minute, second := number(clock[:2]), number(clock[3:5]), number(clock[6:])
	t := time.Date(number(year), m, d, hour, minute, second, micros*1000, time.UTC)
	if hour > 23 || minute > 59 || second > 59 || t.Day() != d || t.Month() != m { // 30 February
		return time.Time{}, false
	}
	return t, true
}

// cutFraction cuts the fraction of a second, if there is one, from the beginning of s.
func cutFraction(s string) (micros int, rest string, ok bool) {
	if s == "" || s[0] != '.' && s[0] != ',' {
		return 0, s, true
	}
	end := scanDigits(s, 1)
	return scaled(s[1:end], 6), s[end:], end > 1
}

// parseZone reads Z, ±hh:mm, ±hhmm, ±hh, or nothing.
func parseZone(s string) (offset time.Duration, zoned, ok bool) {
	switch {
	case s == "":
		return 0, false, true
	case s == "Z" || s == "z":
		return 0, true, true
	case s[0] != '+' && s[0] != '-' || scanDigits(s, 1) < 3:
		return 0, false, false
	}
	hours, minutes, rest := number(s[1:3]), 0, strings.TrimPrefix(s[3:], ":")
	switch {
	case len(rest) == 2 && scanDigits(rest, 0) == 2:
		minutes = number(rest)
	case len(s) > 3:
		return 0, false, false
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true, hours <= 23 && minutes <= 59
}

// number converts a few digits, which must be checked already.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// scaled converts the first n digits after a point, padded with zeros.
func scaled(fraction string, n int) int {
	v := number(fraction[:min(len(fraction), n)])
	for range n - len(fraction) {
		v *= 10
	}
	return v
}
