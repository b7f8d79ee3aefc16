package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/session"
)

type contextKey int

const (
	keyRequestID contextKey = iota
)

func requestID(r *http.Request) string {
	id, _ := r.Context().Value(keyRequestID).(string)
	return id
}

// identified names the request, for the log and the client, and counts its answer.
func (s *Server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := newID()
		w.Header().Set("X-Request-Id", id)
		sw := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(sw, r.WithContext(context.WithValue(r.Context(), keyRequestID, id)))
		s.stats.requests.WithLabelValues(strconv.Itoa(max(1, min(sw.status/100, 5))) + "xx").Inc()
		s.log.Debug("request", "request", id, "method", r.Method, "path", r.URL.Path, "status", sw.status)
	})
}

// A statusWriter remembers the status that went out.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 || w.status < 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController and the upgrade reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recovered turns a panic into a 500 without a stack on the wire.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.stats.panics.Inc()
			s.log.Error("request panicked", "request", requestID(r), "path", r.URL.Path, "panic", v)
			writeProblem(w, r, s.log, &problem{Status: http.StatusInternalServerError, Title: "Internal error"})
		}()
		next.ServeHTTP(w, r)
	})
}

// secured sets the headers every answer has.
func (s *Server) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.isSecure(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// requestTime bounds what one request waits for Redis. An upgraded connection is
// not bound by it.
const requestTime = 5 * time.Second

// bounded ends what a request waits for.
func bounded(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		return next(w, r.WithContext(ctx))
	}
}

// requireSession lets only requests with a valid session through.
func requireSession(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := session.Lookup(r.Context()); err != nil {
			return err
		}
		return next(w, r)
	}
}

// requireAdmin lets only bearers of an admin token through.
func (s *Server) requireAdmin(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if len(s.cfg.AdminTokens) == 0 {
			return forbidden("the admin API is off: ADMIN_TOKEN is not set")
		}
		if !oneOf(s.cfg.AdminTokens, bearer(r)) {
			return &problem{Status: http.StatusUnauthorized, Title: "Not authorized", Detail: "want Authorization: Bearer with the admin token"}
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
		return next(w, r)
	}
}

const maxAdminBody = 64 << 10

// bearer is the token of the Authorization header, or empty.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// oneOf compares in a time that tells nothing of the tokens, nor of their length.
func oneOf(tokens []string, given string) bool {
	found := 0
	sum := sha256.Sum256([]byte(given))
	for _, t := range tokens {
		want := sha256.Sum256([]byte(t))
		found |= subtle.ConstantTimeCompare(want[:], sum[:])
	}
	return found == 1 && given != ""
}
