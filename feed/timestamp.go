package feed

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of a number that can be Unix milliseconds: from March 1973, below which
// any present time in seconds lies, to the end of 2199.
const (
	minMillis = 100_000_000_000
	endMillis = 7_258_118_400_000
)

// unixMillis reads Unix milliseconds from what scanNumber returned for text. A
// fraction counts down to the microsecond.
func unixMillis(name, text, mantissa, exponent string, reason Reason) (time.Time, *Rejection) {
	plain := mantissa
	if reason == "" && exponent != "" {
		plain, reason = expand(mantissa, exponent)
	}
	whole, fraction, _ := strings.Cut(plain, ".")
	millis, err := strconv.ParseInt(whole, 10, 64)
	switch {
	case reason != "" || err != nil || paddedZero(plain):
		return time.Time{}, timeRejection(name, text)
	case millis < minMillis:
		return time.Time{}, reject(ReasonBadTime, "%s is %s, which looks like seconds: give Unix milliseconds or RFC 3339", name, quoted(text))
	case millis >= 1_000_000*minMillis:
		return time.Time{}, reject(ReasonBadTime, "%s is %s, which looks like nanoseconds: give Unix milliseconds or RFC 3339", name, quoted(text))
	case millis >= 1_000*minMillis:
		return time.Time{}, reject(ReasonBadTime, "%s is %s, which looks like microseconds: give Unix milliseconds or RFC 3339", name, quoted(text))
	case millis >= endMillis:
		return time.Time{}, reject(ReasonBadTime, "%s is %s: as Unix milliseconds that is after the year 2199", name, quoted(text))
	}
	return time.UnixMicro(millis*1000 + int64(scaled(fraction, 3))).UTC(), nil
}

func timeRejection(name, text string) *Rejection {
	return reject(ReasonBadTime, "%s is %s: give RFC 3339 such as \"2026-11-22T10:15:00.123456Z\", or Unix milliseconds", name, quoted(text))
}

// ParseTime reads a time of a request: RFC 3339 with a zone, or Unix milliseconds.
// The time is in UTC, in whole microseconds; the error names what was wrong.
func ParseTime(text string) (time.Time, error) {
	t, zoned, r := readTime("the time", text)
	if r != nil {
		return time.Time{}, fmt.Errorf("feed: %s", r.Message)
	}
	if !zoned {
		return time.Time{}, fmt.Errorf("feed: the time is %s: it must have a zone, such as Z", quoted(text))
	}
	return t, nil
}

// readTime reads Unix milliseconds, or RFC 3339 with or without a zone, as which UTC
// is taken.
func readTime(name, text string) (t time.Time, zoned bool, r *Rejection) {
	if mantissa, exponent, reason := scanNumber(text); reason != ReasonNotANumber {
		t, r = unixMillis(name, text, mantissa, exponent, reason)
		return t, true, r
	}
	t, zoned, ok := parseTimeText(text)
	if !ok {
		return t, false, timeRejection(name, text)
	}
	if !timeInRange(t) {
		return t, false, reject(ReasonBadTime, "%s is %s: the year must be from 1970 to 2199", name, quoted(text))
	}
	return t, zoned, nil
}

// maxTimeChars bounds the text of a time; it leaves room for more fractional
// digits than any clock has.
const maxTimeChars = 48

// parseTimeText reads RFC 3339 with the lower case letters and the space that its
// section 5.6 allows, and the same without a zone (taken as UTC, zoned false).
// The time is in UTC; digits below a microsecond are cut off. It is stricter than
// time.Parse, which takes a comma and one-digit hours, and does not allocate.
func parseTimeText(s string) (t time.Time, zoned, ok bool) {
	const shape = "0000-00-00 00:00:00"
	if len(s) < len(shape) || len(s) > maxTimeChars {
		return t, false, false
	}
	for i := range len(shape) {
		c := s[i]
		switch {
		case i == 10:
			ok = c == 'T' || c == 't' || c == ' '
		case shape[i] == '0':
			ok = '0' <= c && c <= '9'
		default:
			ok = c == shape[i]
		}
		if !ok {
			return t, false, false
		}
	}
	day, hour, minute, second := number(s[8:10]), number(s[11:13]), number(s[14:16]), number(s[17:19])
	rest, micros := s[19:], 0
	if rest != "" && rest[0] == '.' {
		end := scanDigits(rest, 1)
		if end == 1 {
			return t, false, false
		}
		micros, rest = scaled(rest[1:end], 6), rest[end:]
	}
	offset, zoned, ok := parseZone(rest)
	if !ok || hour > 23 || minute > 59 || second > 59 {
		return t, false, false
	}
	month := time.Month(number(s[5:7]))
	t = time.Date(number(s[:4]), month, day, hour, minute, second, micros*1000, time.UTC)
	if t.Day() != day || t.Month() != month { // 30 February
		return time.Time{}, false, false
	}
	return t.Add(-offset), zoned, true
}

// parseZone reads Z, ±hh:mm, or nothing.
func parseZone(s string) (offset time.Duration, zoned, ok bool) {
	switch {
	case s == "":
		return 0, false, true
	case s == "Z" || s == "z":
		return 0, true, true
	case len(s) != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':' ||
		scanDigits(s, 1) != 3 || scanDigits(s, 4) != 6:
		return 0, false, false
	}
	hours, minutes := number(s[1:3]), number(s[4:6])
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true, hours <= 23 && minutes <= 59
}

// number reads a few digits, already checked.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

// scaled reads the first n digits after a point, as if zeros followed.
func scaled(fraction string, n int) int {
	v := number(fraction[:min(len(fraction), n)])
	for range n - len(fraction) {
		v *= 10
	}
	return v
}
