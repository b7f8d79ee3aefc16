package web

import (
	"net/http"
	"net/http/pprof"
	profiles "runtime/pprof"
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
func (s *Server) publicRoutes(page handler) []route {
	limited := []func(handler) handler{bounded, s.withSession, s.limit}
	signedIn := []func(handler) handler{bounded, s.withSession, s.limit, requireSession}
	return []route{
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
		{"GET /openapi.json", s.getOpenAPI, nil},
		{"GET /asyncapi.json", s.getAsyncAPI, nil},
		{"/", page, nil},
	}
}

func (s *Server) publicHandler() (http.Handler, error) {
	page, err := pageHandler()
	if err != nil {
		return nil, err
	}
	csrf, err := s.sameSite()
	if err != nil {
		return nil, err
	}
	mux := s.mux(s.publicRoutes(page))
	return s.framed(csrf(s.crossOrigin(mux))), nil
}

// adminRoutes is the list of what the admin listener answers.
func (s *Server) adminRoutes(page handler) []route {
	read := []func(handler) handler{s.requireAdmin, bounded}
	sweep := []func(handler) handler{s.requireAdmin, within(sweepTime)} // looks at all of Redis
	profile := []func(handler) handler{s.requireAdmin}                  // as long as it is asked to
	change := func(what string) []func(handler) handler {
		return []func(handler) handler{s.requireAdmin, s.audited(what), bounded}
	}
	metrics := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{Registry: s.cfg.Registry, EnableOpenMetrics: true})
	return []route{
		{"POST /api/v1/sessions", s.postAdminSession, change("session made")},
		{"GET /api/v1/sessions", s.getAdminSessions, read},
		{"DELETE /api/v1/sessions", s.deleteAdminSessions, change("user signed out")},
		{"GET /api/v1/redis/session/{session_id}", s.getAdminSession, read},
		{"DELETE /api/v1/redis/session/{session_id}", s.deleteAdminSession, change("session revoked")},

		{"GET /api/v1/redis/health", s.getRedisHealth, sweep},
		{"GET /api/v1/redis/stats", s.getRedisStats, sweep},
		{"GET /api/v1/redis/memory", s.getRedisMemory, sweep},
		{"GET /api/v1/redis/slowlog", s.getSlowLog, sweep},
		{"GET /api/v1/redis/config", s.getRedisConfig, sweep},
		{"GET /api/v1/redis/cache/hit-ratio", s.getHitRatio, sweep},
		{"POST /api/v1/redis/cache/invalidate", s.postInvalidate, []func(handler) handler{s.requireAdmin, s.audited("cache invalidated"), within(sweepTime)}},
		{"POST /api/v1/redis/pubsub/publish", s.postPubSub, change("message published")},
		{"POST /api/v1/redis/rate-limit/check", s.postRateCheck, read}, // by other programs, for each of their requests
		{"GET /api/v1/redis/rate-limit/offenders", s.getOffenders, read},

		{"GET /api/v1/connections", s.getConnections, read},
		{"DELETE /api/v1/connections/{conn_id}", s.deleteConnection, change("connection closed")},
		{"GET /api/v1/feed/rejected", s.getRejected, read},

		{"GET /openapi.json", s.getOpenAPI, read},

		{"/debug/pprof/", anyProfile, profile},
		{"/debug/pprof/cmdline", plain(http.HandlerFunc(pprof.Cmdline)), profile},
		{"/debug/pprof/profile", plain(http.HandlerFunc(pprof.Profile)), profile},
		{"/debug/pprof/symbol", plain(http.HandlerFunc(pprof.Symbol)), profile},
		{"/debug/pprof/trace", plain(http.HandlerFunc(pprof.Trace)), profile},

		{"GET /metrics", plain(metrics), nil},
		{"GET /livez", s.getLive, nil},
		{"GET /readyz", s.getReady, nil},
		{"/", page, nil},
	}
}

func (s *Server) adminHandler() (http.Handler, error) {
	page, err := operatorHandler()
	if err != nil {
		return nil, err
	}
	routes := s.adminRoutes(page)
	for i, r := range routes {
		if o, ok := operationOf(r.pattern); ok && o.who == forAdmin {
			routes[i].wrap = append(slices.Clone(r.wrap), onlyQuery(o.query)) // innermost: who asks is known
		}
	}
	return s.framed(s.mux(routes)), nil
}

// framed is what stands around every handler. The name of a request is given
// first, so that a panic's log and answer have it.
func (s *Server) framed(next http.Handler) http.Handler {
	return s.identified(s.recovered(s.secured(next)))
}

// anyProfile is the list of profiles, and those that have no handler of their own.
func anyProfile(w http.ResponseWriter, r *http.Request) error {
	if name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/"); name != "" && profiles.Lookup(name) == nil {
		return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: "no such profile; /debug/pprof/ lists them"}
	}
	pprof.Index(w, r)
	return nil
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
