package httplimit

import (
	"net/http"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/limiter"
)

// SetHeaders sets RateLimit-Policy and RateLimit, as structured fields (RFC 9651) of
// draft-ietf-httpapi-ratelimit-headers-10, and Retry-After if the call was refused and may be
// retried. It replaces earlier values. Times are whole seconds, rounded up.
func SetHeaders(h http.Header, d limiter.Decision) {
	if len(d.Tiers) > 0 {
		h.Set("RateLimit-Policy", policyField(d.Tiers))
		h.Set("RateLimit", stateField(d.Tiers))
	}
	h.Del("Retry-After")
	if wait, ok := d.RetryAfter(); ok && !d.Allowed {
		h.Set("Retry-After", retryAfter(wait))
	}
}

// policyField returns the value of RateLimit-Policy: the units that each tier allows.
func policyField(tiers []limiter.TierState) string {
	var b []byte
	for i, t := range tiers {
		b = appendItem(b, i, t.Label())
		b = append(b, ";q="...)
		b = strconv.AppendInt(b, min(t.Max, limiter.MaxLimit), 10)
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, wholeSeconds(t.Window), 10)
	}
	return string(b)
}

// stateField returns the value of RateLimit: the units that each tier has left.
func stateField(tiers []limiter.TierState) string {
	var b []byte
	for i, t := range tiers {
		b = appendItem(b, i, t.Label())
		b = append(b, ";r="...)
		b = strconv.AppendInt(b, t.Remaining, 10)
		b = append(b, ";t="...)
		b = strconv.AppendInt(b, wholeSeconds(t.Reset), 10)
	}
	return string(b)
}

// appendItem appends the i-th item of a structured list, a string.
func appendItem(b []byte, i int, name string) []byte {
	if i > 0 {
		b = append(b, ", "...)
	}
	b = append(b, '"')
	for j := range len(name) {
		if c := name[j]; c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, name[j])
	}
	return append(b, '"')
}

func retryAfter(wait time.Duration) string {
	return strconv.FormatInt(max(1, wholeSeconds(wait)), 10)
}

func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
