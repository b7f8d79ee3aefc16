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

// A Gate makes the checks of an Access before the handler of an endpoint. It leaves out
// those in Own.
type Gate func(Endpoint, Handler) Handler

// Gates are the gates of a listener. Open and Publisher have none.
type Gates map[Access]Gate

// NewMux returns a mux that serves endpoints. A path answers OPTIONS, and the methods
// that it has not with 405; paths that do not exist answer 404. As with http.ServeMux, a
// table that is not right panics.
func NewMux(endpoints []Endpoint, gates Gates, log *slog.Logger) *http.ServeMux {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, e := range endpoints {
		mux.Handle(e.Pattern, answer(e.handler(gates), log))
		method, path, ok := strings.Cut(e.Pattern, " ")
		if !ok {
			methods[e.Pattern] = nil // a path whose handler decides on methods
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
	mux.Handle("/api", answer(nothingHere, log)) // instead of a redirect
	mux.Handle("/api/", answer(nothingHere, log))
	return mux
}

// handler returns the endpoint's handler behind all that its line in the table asks for.
// The bound stands outermost, the query innermost: a problem with it is shown to those
// who may call the endpoint, and audited.
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

// bounded ends what a request waits for after some time.
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

// Plain returns the Handler of a handler of net/http.
func Plain(h http.Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// answer runs a handler and writes the problem it returns.
func answer(h Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			WriteProblem(w, r, log, err)
		}
	})
}

// otherMethods answers the methods that a path does not have.
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
	return NotFound("there is nothing at this path")
}
