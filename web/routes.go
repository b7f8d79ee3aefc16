package web

import (
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A handler answers a request or returns why it could not.
type handler func(http.ResponseWriter, *http.Request) error

// A route is one method and path; wrap stands outermost first.
type route struct {
	pattern string
	handle  handler
	wrap    []func(handler) handler
}

// publicRoutes is the list of what the public listener answers.
func (s *Server) publicRoutes() (http.Handler, error) {
	page, err := pageHandler()
	if err != nil {
		return nil, err
	}
	csrf, err := s.sameSite()
	if err != nil {
		return nil, err
	}
	limited := []func(handler) handler{bounded, s.withSession, s.limit}
	signedIn := []func(handler) handler{bounded, s.withSession, s.limit, requireSession}
	mux := s.mux([]route{
		{"GET /ws", s.serveWS, []func(handler) handler{bounded, s.withSession}}, // the rest of its checks have an order of their own

		{"GET /api/v1/symbols", s.getSymbols, limited},
		{"GET /api/v1/quotes", s.getQuotes, signedIn},
		{"GET /api/v1/quotes/{base}/{quote}/history", s.getHistory, signedIn},
		{"GET /api/v1/stream", s.getStream, []func(handler) handler{s.withSession, s.limit, requireSession}}, // without end, so not bounded
		{"POST /api/v1/quotes", s.postQuotes, nil},                                                           // by publish token and quotes, not requests

		{"POST /api/v1/session/guest", s.postGuest, limited},
		{"POST /api/v1/session", s.postSession, limited},
		{"GET /api/v1/session", s.getSession, signedIn},
		{"DELETE /api/v1/session", s.deleteSession, limited},
		{"POST /api/v1/ws-ticket", s.postTicket, signedIn},

		{"GET /livez", s.getLive, nil},
		{"GET /readyz", s.getReady, nil},
		{"/", page, nil},
	})
	return s.framed(csrf(s.crossOrigin(mux))), nil
}

// adminRoutes is the list of what the admin listener answers.
func (s *Server) adminRoutes() http.Handler {
	admin := []func(handler) handler{s.requireAdmin}
	metrics := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{Registry: s.cfg.Registry, EnableOpenMetrics: true})
	return s.framed(s.mux([]route{
		{"POST /api/v1/sessions", s.postAdminSession, admin},
		{"GET /api/v1/sessions", s.getAdminSessions, admin},
		{"DELETE /api/v1/sessions", s.deleteAdminSessions, admin},
		{"GET /api/v1/redis/session/{session_id}", s.getAdminSession, admin},
		{"DELETE /api/v1/redis/session/{session_id}", s.deleteAdminSession, admin},
		{"POST /api/v1/redis/rate-limit/check", s.postRateCheck, admin},
		{"GET /api/v1/redis/rate-limit/offenders", s.getOffenders, admin},
		{"GET /api/v1/feed/rejected", s.getRejected, admin},

		{"/debug/pprof/", plain(http.HandlerFunc(pprof.Index)), admin},
		{"/debug/pprof/cmdline", plain(http.HandlerFunc(pprof.Cmdline)), admin},
		{"/debug/pprof/profile", plain(http.HandlerFunc(pprof.Profile)), admin},
		{"/debug/pprof/symbol", plain(http.HandlerFunc(pprof.Symbol)), admin},
		{"/debug/pprof/trace", plain(http.HandlerFunc(pprof.Trace)), admin},

		{"GET /metrics", plain(metrics), nil},
		{"GET /livez", s.getLive, nil},
		{"GET /readyz", s.getReady, nil},
	}))
}

// framed is what stands around every handler. The name of a request is given
// first, so that a panic's log and answer have it.
func (s *Server) framed(next http.Handler) http.Handler {
	return s.identified(s.recovered(s.secured(next)))
}

func plain(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// mux registers routes, and for each path an answer to methods it does not have.
func (s *Server) mux(routes []route) *http.ServeMux {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, r := range routes {
		h := r.handle
		for _, wrap := range slices.Backward(r.wrap) {
			h = wrap(h)
		}
		mux.Handle(r.pattern, s.answer(h))
		method, path, ok := strings.Cut(r.pattern, " ")
		if !ok {
			methods[method] = nil // a path that decides on methods by itself
			continue
		}
		methods[path] = append(methods[path], method)
		if method == http.MethodGet {
			methods[path] = append(methods[path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		if allowed == nil {
			continue
		}
		allow := strings.Join(append(allowed, http.MethodOptions), ", ")
		mux.Handle(path, s.answer(func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", allow)
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return nil
			}
			return &problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Detail: "allowed: " + allow}
		}))
	}
	if _, ok := methods["/"]; !ok {
		mux.Handle("/", s.answer(notFound))
	}
	mux.Handle("/api", s.answer(notFound)) // instead of a redirect
	mux.Handle("/api/", s.answer(notFound))
	return mux
}

func notFound(http.ResponseWriter, *http.Request) error {
	return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: "there is nothing at this path"}
}

// answer runs a handler and writes the problem it returns.
func (s *Server) answer(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			writeProblem(w, r, s.log, err)
		}
	})
}
