package httplimit

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/fxcast/fxcast/limiter"
)

const problemTypes = "https://iana.org/assignments/http-problem-types#"

// WriteProblem answers a refused call with a problem document (RFC 9457) and the headers of
// SetHeaders: 429 with the names of the tiers that refuse, or 503 if Redis is lost and the policy
// denies.
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
		p.Type, p.Title, p.Status = problemTypes+"temporary-reduced-capacity", "Limits cannot be checked", http.StatusServiceUnavailable
		p.Detail = "the server lost what it needs to check limits; try again in a moment"
	case !ok:
		p.Detail = "the request asks for more than the limit of " + strings.Join(p.Violated, ", ") + " and can never be allowed"
	default:
		p.Detail = "the limit of " + strings.Join(p.Violated, ", ") + " is reached; try again in " + retryAfter(wait) + " s"
	}
	body, err := json.Marshal(p)
	if err != nil { // never: the fields are strings and a number
		http.Error(w, p.Title, p.Status)
		return
	}
	SetHeaders(w.Header(), d)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("ETag")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n')) // an error means that the client has gone
}
