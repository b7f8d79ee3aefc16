// Package httplimit applies a limiter.Limiter to HTTP requests: a middleware, and the pieces it is
// made of for servers that have their own way of handling requests.
package httplimit

import (
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/fxcast/fxcast/limiter"
)

// Config configures Middleware. Only Limiter is required.
type Config struct {
	Limiter *limiter.Limiter

	// Tiers returns the limits of a request. A request without tiers is exempt: it is neither
	// limited nor counted. The default is 60 per minute, 1,000 per hour and 10,000 per day.
	Tiers func(*http.Request) []limiter.Limit

	// Subject returns the subject that is charged, such as "user:42". The client's address is
	// charged if it returns "", and by default; see AddressSubject.
	Subject func(*http.Request) string

	// Cost returns the cost of a request. It is at least 1, which is the default.
	Cost func(*http.Request) int64

	TrustedProxies  []netip.Prefix // proxies whose X-Forwarded-For is believed
	ExemptAddresses []netip.Prefix // clients that are neither limited nor counted

	Logger *slog.Logger // may be nil; receives invalid tiers, which are a fault of the program
}

// Middleware returns a handler wrapper that limits requests before next serves them. Responses
// carry the headers of SetHeaders; a refused request is answered by WriteProblem.
func Middleware(c Config) func(next http.Handler) http.Handler {
	if c.Tiers == nil {
		tiers := limiter.RequestTiers(60, 1000, 10_000)
		c.Tiers = func(*http.Request) []limiter.Limit { return tiers }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tiers, address := c.Tiers(r), ClientAddress(r, c.TrustedProxies)
			if len(tiers) == 0 || Contains(c.ExemptAddresses, address) {
				next.ServeHTTP(w, r)
				return
			}
			d, err := c.Limiter.Allow(r.Context(), c.subject(r, address), c.cost(r), tiers...)
			switch {
			case err != nil:
				c.Logger.Error("httplimit: request refused because its tiers are invalid", "path", r.URL.Path, "err", err)
				http.Error(w, "internal error", http.StatusInternalServerError)
			case !d.Allowed:
				WriteProblem(w, d)
			default:
				SetHeaders(w.Header(), d)
				next.ServeHTTP(w, r)
			}
		})
	}
}

func (c *Config) subject(r *http.Request, address netip.Addr) string {
	if c.Subject != nil {
		if s := c.Subject(r); s != "" {
			return s
		}
	}
	return AddressSubject(address)
}

func (c *Config) cost(r *http.Request) int64 {
	if c.Cost == nil {
		return 1
	}
	return max(1, c.Cost(r))
}
