package web

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/fxcast/fxcast/web/endpoint"
)

// originAllowed reports whether the origin of a request may open a WebSocket. A request without
// an Origin header may, since it is not from a browser. So may the same origin and
// ALLOWED_ORIGINS. A page loaded without TLS does not have the origin of a server with TLS.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // this includes "null"
	}
	if strings.EqualFold(u.Host, r.Host) && (u.Scheme == "https" || !s.access.Secure(r)) {
		return true
	}
	return s.originListed(u)
}

func (s *Server) originListed(u *url.URL) bool {
	for _, pattern := range s.cfg.AllowedOrigins {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target)); err == nil && ok {
			return true
		}
	}
	return false
}

func (s *Server) listedOrigin(r *http.Request) (string, bool) {
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	if origin == "" || err != nil || u.Host == "" {
		return "", false
	}
	return origin, s.originListed(u)
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
				if _, listed := s.listedOrigin(r); !listed {
					endpoint.WriteProblem(w, r, s.log, endpoint.Forbidden("requests from another site are refused; see ALLOWED_ORIGINS"))
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

// crossOrigin answers listed origins with CORS headers on /api/v1. Such pages use bearer
// tokens: crossOrigin removes their cookies from the request.
func (s *Server) crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, listed := s.listedOrigin(r)
		if !listed || !strings.HasPrefix(r.URL.Path, "/api/v1/") {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "RateLimit, RateLimit-Policy, Retry-After")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if !strings.EqualFold(strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://"), r.Host) {
			r.Header.Del("Cookie")
		}
		next.ServeHTTP(w, r)
	})
}
