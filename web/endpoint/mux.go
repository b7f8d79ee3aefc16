package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Gate returns a Handler that makes the checks of the endpoint's Access before it calls the
// given Handler. It skips the checks in Own.
type Gate func(Endpoint, Handler) Handler

// Gates are the gates of a listener. Open and Publisher need none.
type Gates map[Access]Gate

// NewMux returns a mux that serves endpoints. A path answers OPTIONS itself, other methods
// with 405, and an unknown path with 404. NewMux panics if two patterns conflict or an Access
// that needs a gate has none.
func NewMux(endpoints []Endpoint, gates Gates, log *slog.Logger) *http.ServeMux {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, e := range endpoints {
		mux.Handle(e.Pattern, answer(e.handler(gates), log))
		method, path, ok := strings.Cut(e.Pattern, " ")
		if !ok {
			methods[e.Pattern] = nil // the handler decides on methods
			continue
		}
		methods[path] = append(methods[path], method)
		if method == http.MethodGet {
			methods[path] = append(methods[path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		if allowed != nil {
			mux.Handle(path, answer(otherMethods(allowed), log))
		}
	}
	if _, ok := methods["/"]; !ok {
		mux.Handle("/", answer(nothingHere, log))
	}
	mux.Handle("/api", answer(nothingHere, log)) // without it, the mux would redirect to /api/
	mux.Handle("/api/", answer(nothingHere, log))
	return mux
}

// handler returns the endpoint's handler behind the checks that its line in the table
// requires. The time limit is outermost. The check of the query is innermost: only a caller
// that passes the gate sees its problems, and the audit log has them.
func (e *Endpoint) handler(gates Gates) Handler {
	h := e.Handler
	if e.Access == Admin && e.described() {
		h = onlyQuery(e.Query, h)
	}
	switch gate := gates[e.Access]; {
	case gate != nil:
		h = gate(*e, h)
	case e.Access != Open && e.Access != Publisher:
		panic(fmt.Sprintf("endpoint: no gate for access %q of %q", e.Access, e.Pattern))
	}
	return bounded(e.Time, h)
}

// bounded ends the context of a request after d.
func bounded(d time.Duration, next Handler) Handler {
	switch d {
	case Endless:
		return next
	case 0:
		d = RequestTime
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		return next(w, r.WithContext(ctx))
	}
}

// Plain adapts an http.Handler.
func Plain(h http.Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// answer adapts a Handler to net/http: it writes the error as a problem.
func answer(h Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			WriteProblem(w, r, log, err)
		}
	})
}

// otherMethods answers OPTIONS, and refuses methods that a path does not have.
func otherMethods(allowed []string) Handler {
	allow := strings.Join(append(slices.Clone(allowed), http.MethodOptions), ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return NotAllowed(w, allow)
	}
}

func nothingHere(http.ResponseWriter, *http.Request) error {
	return NotFound("this path does not exist")
}
