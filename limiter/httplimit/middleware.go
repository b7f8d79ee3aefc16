// Package httplimit limits HTTP requests by a limiter: a middleware, the RateLimit
// headers, and the address that a request comes from.
package httplimit

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/fxcast/fxcast/limiter"
)

// MiddlewareConfig says what Middleware limits, and for whom.
type MiddlewareConfig struct {
	Limiter *limiter.Limiter

	// Tiers of a request. None: the request is not limited. The default is 60
	// a minute, 1,000 an hour and 10,000 a day for all.
	Tiers func(*http.Request) []limiter.Limit

	// Subject of a request; "" stands for the client's address, which is also
	// the default. See AddressSubject.
	Subject func(*http.Request) string

	// Cost of a request; below 1 it counts as 1, which is also the default.
	Cost func(*http.Request) int64

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	// What is exempt is neither limited nor counted.
	Exempt          func(*http.Request) bool
	ExemptAddresses []netip.Prefix // of clients
	ExemptSubjects  []string

	Logger *slog.Logger // nil = none
}

// Middleware limits requests before next sees them. Answers have the
// RateLimit headers; refused requests get WriteProblem.
func Middleware(c MiddlewareConfig) func(next http.Handler) http.Handler {
	if c.Tiers == nil {
		tiers := limiter.RequestTiers(60, 1000, 10_000)
		c.Tiers = func(*http.Request) []limiter.Limit { return tiers }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tiers := c.Tiers(r)
			address := ClientAddress(r, c.TrustedProxies)
			if len(tiers) == 0 || c.Exempt != nil && c.Exempt(r) || Contains(c.ExemptAddresses, address) {
				next.ServeHTTP(w, r)
				return
			}
			subject := ""
			if c.Subject != nil {
				subject = c.Subject(r)
			}
			if subject == "" {
				subject = AddressSubject(address)
			}
			if slices.Contains(c.ExemptSubjects, subject) {
				next.ServeHTTP(w, r)
				return
			}
			cost := int64(1)
			if c.Cost != nil {
				cost = max(1, c.Cost(r))
			}
			d, err := c.Limiter.Allow(r.Context(), subject, cost, tiers...)
			if err != nil { // tiers that are not valid: a fault of the program
				if c.Logger != nil {
					c.Logger.Error("request refused for want of valid tiers", "path", r.URL.Path, "err", err)
				}
				http.Error(w, "internal error", http.StatusInternalServerError)
				return
			}
			if !d.Allowed {
				WriteProblem(w, d)
				return
			}
			SetHeaders(w.Header(), d)
			next.ServeHTTP(w, r)
		})
	}
}
