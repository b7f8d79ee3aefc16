package endpoint

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// An Envelope wraps every request of a listener. It gives the request an id and counts it,
// turns a panic into an answer, and sets the headers that every answer has.
type Envelope struct {
	Secure   func(*http.Request) bool // whether the client's side of the connection is encrypted
	Requests *prometheus.CounterVec   // by class
	Panics   prometheus.Counter
	Stalled  prometheus.Counter // bodies that did not arrive in time
	Log      *slog.Logger
}

// Around returns next wrapped in the envelope. The request gets its id first, so that the
// log and the answer of a panic have it.
func (e Envelope) Around(next http.Handler) http.Handler {
	return e.identified(e.recovered(e.secured(next)))
}

type requestKey struct{}

// RequestID returns the id of a request, or "" outside an Envelope.
func RequestID(r *http.Request) string {
	id, _ := r.Context().Value(requestKey{}).(string)
	return id
}

// NewID returns a random id of 12 characters for a connection or a request. Logs and clients
// see it, so it must not serve as a secret.
func NewID() string { return strings.ToLower(rand.Text()[:12]) }

// identified gives the request an id, for the log and the client, and counts its answer.
func (e Envelope) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := NewID()
		w.Header().Set("X-Request-Id", id)
		sw := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(sw, r.WithContext(context.WithValue(r.Context(), requestKey{}, id)))
		e.Requests.WithLabelValues(strconv.Itoa(max(1, min(sw.status/100, 5))) + "xx").Inc()
		if sw.status == http.StatusRequestTimeout {
			e.Stalled.Inc()
		}
		e.Log.Debug("request", "request", id, "method", r.Method, "path", r.URL.Path, "status", sw.status)
	})
}

// recovered turns a panic into a 500 that does not show the stack to the client.
func (e Envelope) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			e.Panics.Inc()
			e.Log.Error("request panicked", "request", RequestID(r), "path", r.URL.Path, "panic", v)
			WriteProblem(w, r, e.Log, &Problem{Status: http.StatusInternalServerError, Title: "Internal error"})
		}()
		next.ServeHTTP(w, r)
	})
}

// secured sets the headers that every answer has.
func (e Envelope) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if e.Secure(r) {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// A statusWriter records the status of the answer.
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

// Unwrap gives http.ResponseController and the WebSocket upgrade access to the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
