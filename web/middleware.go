package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/session"
)

type contextKey int

const (
	keyRequestID contextKey = iota
	keyAdmin                // int: which admin token, from 1
	keyAudit                // *auditEntry
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

// sweepTime bounds an admin request that walks over all keys of Redis.
const sweepTime = 30 * time.Second

// bounded ends what a request waits for.
func bounded(next handler) handler { return within(requestTime)(next) }

// within ends what a request waits for after some time.
func within(time time.Duration) func(handler) handler {
	return func(next handler) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			ctx, cancel := context.WithTimeout(r.Context(), time)
			defer cancel()
			return next(w, r.WithContext(ctx))
		}
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
		who := indexOf(s.cfg.AdminTokens, bearer(r))
		if who < 0 {
			return &problem{Status: http.StatusUnauthorized, Title: "Not authorized", Detail: "want Authorization: Bearer with the admin token"}
		}
		r = r.WithContext(context.WithValue(r.Context(), keyAdmin, who+1))
		r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
		return next(w, r)
	}
}

// onlyQuery refuses what a query has beside the parameters, and what it has twice:
// of a name that is misspelt, or of two users, more would be done than was meant.
func onlyQuery(known []parameter) func(handler) handler {
	want := "want none"
	if len(known) > 0 {
		names := make([]string, len(known))
		for i, p := range known {
			names[i] = p.name
		}
		want = "want " + strings.Join(names, ", ")
	}
	return func(next handler) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			query, err := url.ParseQuery(r.URL.RawQuery)
			if err != nil {
				return badRequest("the query can not be read: want name=value, joined by &, with %% before two hexadecimal digits only")
			}
			for _, name := range slices.Sorted(maps.Keys(query)) {
				switch {
				case !slices.ContainsFunc(known, func(p parameter) bool { return p.name == name }):
					return badRequest("unknown query parameter %q; %s", clipped(name), want)
				case len(query[name]) > 1:
					return badRequest("%s: given %d times in the query, want it once", name, len(query[name]))
				}
			}
			return next(w, r)
		}
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

// oneOf reports whether given is one of the tokens.
func oneOf(tokens []string, given string) bool { return indexOf(tokens, given) >= 0 }

// indexOf finds given among the tokens, -1 if it is none of them, in a time that
// tells nothing of them, nor of their length.
func indexOf(tokens []string, given string) int {
	found := -1
	sum := sha256.Sum256([]byte(given))
	for i, t := range tokens {
		want := sha256.Sum256([]byte(t))
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(want[:], sum[:]), i, found)
	}
	if given == "" {
		return -1
	}
	return found
}
