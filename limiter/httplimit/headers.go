package httplimit

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/limiter"
)

// The fields of draft-ietf-httpapi-ratelimit-headers-10, as structured fields
// (RFC 9651): whole seconds, rounded up.

// PolicyField is the value of RateLimit-Policy: what the tiers allow.
func PolicyField(tiers []limiter.Limit) string {
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

// StateField is the value of RateLimit: how the tiers stand.
func StateField(tiers []limiter.TierState) string {
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

// appendItem begins the i-th member of a list, a string.
func appendItem(b []byte, i int, name string) []byte {
	if i > 0 {
		b = append(b, ", "...)
	}
	b = append(b, '"')
	for j := range len(name) {
		if c := name[j]; c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// SetHeaders sets RateLimit-Policy and RateLimit, and Retry-After if the call
// was refused and may be tried again. It replaces earlier values.
func SetHeaders(h http.Header, d limiter.Decision) {
	if len(d.Tiers) > 0 {
		limits := make([]limiter.Limit, len(d.Tiers))
		for i, t := range d.Tiers {
			limits[i] = t.Limit
		}
		h.Set("RateLimit-Policy", PolicyField(limits))
		h.Set("RateLimit", StateField(d.Tiers))
	}
	h.Del("Retry-After")
	if wait, ok := d.RetryAfter(); ok && !d.Allowed {
		h.Set("Retry-After", strconv.FormatInt(max(1, wholeSeconds(wait)), 10))
	}
}

const problemTypes = "https://iana.org/assignments/http-problem-types#"

// WriteProblem answers a refused call: 429 with the names of the tiers that
// refuse, or 503 if Redis is lost and the policy denies. It sets the headers
// of SetHeaders too.
func WriteProblem(w http.ResponseWriter, d limiter.Decision) {
	p := struct {
		Type     string   `json:"type"`
		Title    string   `json:"title"`
		Status   int      `json:"status"`
		Detail   string   `json:"detail"`
		Violated []string `json:"violated-policies"`
	}{problemTypes + "quota-exceeded", "Too many requests", http.StatusTooManyRequests, "", d.Violated()}
	wait, ok := d.RetryAfter()
	switch {
	case d.Source == limiter.FromPolicy:
		p.Type, p.Title, p.Status = problemTypes+"temporary-reduced-capacity", "Limits can not be checked", http.StatusServiceUnavailable
		p.Detail = "the server lost what it needs to check limits; try again in a moment"
	case !ok:
		p.Detail = "the request asks for more than the limit of " + strings.Join(p.Violated, ", ") + " and can never be allowed"
	default:
		p.Detail = "the limit of " + strings.Join(p.Violated, ", ") + " is reached; try again in " +
			strconv.FormatInt(max(1, wholeSeconds(wait)), 10) + " s"
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and a number
		http.Error(w, p.Title, p.Status)
		return
	}
	SetHeaders(w.Header(), d)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("ETag")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n')) // the client may have gone
}
