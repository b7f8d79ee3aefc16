package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/fxcast/fxcast/web/endpoint"
)

// nullOrigin is the origin of local files and sandboxed pages, which ALLOWED_ORIGINS may name.
const nullOrigin = "null"

// An origin is that of a page, in lower case. Its host has no port that its scheme implies.
type origin struct{ scheme, host string }

// originOf returns the origin of the page that sent a request; ok is false without one.
func originOf(r *http.Request) (o origin, ok bool) {
	text := r.Header.Get("Origin")
	if text == nullOrigin {
		return origin{host: nullOrigin}, true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return origin{}, false
	}
	return origin{u.Scheme, withoutDefaultPort(u.Scheme, strings.ToLower(u.Host))}, true
}

// withoutDefaultPort returns a host without the port that its scheme implies. Browsers leave it
// out of an origin; a proxy may send it in Host.
func withoutDefaultPort(scheme, host string) string {
	switch scheme {
	case "http":
		return strings.TrimSuffix(host, ":80")
	case "https":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// originAllowed reports whether the origin of a request may open a WebSocket. A request without
// an Origin header may, since it is not from a browser. So may the same origin and
// ALLOWED_ORIGINS.
func (s *Server) originAllowed(r *http.Request) bool {
	return r.Header.Get("Origin") == "" || s.sameOrigin(r) || s.originListed(r)
}

// sameOrigin reports whether a page of this server sent the request. A page loaded without TLS
// does not have the origin of a server with TLS.
func (s *Server) sameOrigin(r *http.Request) bool {
	o, ok := originOf(r)
	return ok && o.host == withoutDefaultPort(o.scheme, strings.ToLower(r.Host)) && s.reachedBy(o.scheme, r)
}

// reachedBy reports whether a page of this scheme is as safe as the client's connection. A server
// that knows of no TLS may be behind a proxy that ends it, so pages with TLS always are.
func (s *Server) reachedBy(scheme string, r *http.Request) bool {
	return scheme == "https" || scheme == "http" && !s.access.Secure(r)
}

// originListed reports whether the page that sent the request is one of ALLOWED_ORIGINS.
func (s *Server) originListed(r *http.Request) bool {
	o, ok := originOf(r)
	if !ok {
		return false
	}
	for _, entry := range s.cfg.AllowedOrigins {
		scheme, host, full := strings.Cut(strings.ToLower(entry), "://")
		if !full {
			scheme, host = o.scheme, scheme
			if host != nullOrigin && !s.reachedBy(scheme, r) {
				continue
			}
		}
		if scheme == o.scheme && matchHost(withoutDefaultPort(scheme, host), o.host) {
			return true
		}
	}
	return false
}

// matchHost reports whether a host matches a pattern. Brackets around an IPv6 address are no
// class of characters.
func matchHost(pattern, host string) bool {
	if inner, _, ok := strings.Cut(strings.TrimPrefix(pattern, "["), "]"); ok {
		if _, err := netip.ParseAddr(inner); err == nil {
			return pattern == host
		}
	}
	ok, err := path.Match(pattern, host)
	return err == nil && ok
}

// sameSite refuses a request with an unsafe method that another site made a browser send. It
// lets listed origins through: their cookies do not count, see crossOrigin.
func (s *Server) sameSite() (func(http.Handler) http.Handler, error) {
	guard := http.NewCrossOriginProtection()
	for _, pattern := range s.cfg.AllowedOrigins {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("web: allowed origin %q: %w", pattern, err)
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := guard.Check(r); err != nil {
				// The guard takes a default port in Host for another site if the browser is old.
				own := r.Header.Get("Sec-Fetch-Site") == "" && s.sameOrigin(r)
				if !own && !s.originListed(r) {
					endpoint.WriteProblem(w, r, s.log, endpoint.Forbidden("requests from another site are refused; see ALLOWED_ORIGINS"))
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// crossOrigin removes the cookies of listed origins from their requests: such pages use bearer
// tokens and tickets. It answers them with CORS headers on /api/v1.
func (s *Server) crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.originListed(r) {
			next.ServeHTTP(w, r)
			return
		}
		if !s.sameOrigin(r) {
			r.Header.Del("Cookie")
		}
		if !strings.HasPrefix(r.URL.Path, "/api/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Expose-Headers", "RateLimit, RateLimit-Policy, Retry-After")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
