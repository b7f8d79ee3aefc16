package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// tables are the endpoints of the two listeners.
type tables struct {
	public, admin []endpoint.Endpoint
}

// currencies describes the path parameters of a symbol.
var currencies = map[string]string{"base": "three letters, ISO 4217", "quote": "three letters, ISO 4217"}

// publicTable returns the endpoints of the public listener.
func (s *Server) publicTable() []endpoint.Endpoint {
	text := endpoint.Object{"type": "string"}
	document := map[string]json.RawMessage{}
	return append(s.live.Endpoints(), []endpoint.Endpoint{
		{Pattern: "GET /api/v1/symbols", Handler: s.getSymbols, Access: endpoint.Visitor,
			Tag: "quotes", Summary: "All symbols that have been published; a new one shows within 3 s. Symbols that the role of the request's session includes have the day figures of their bid",
			Answers: map[int]any{200: []symbolAnswer{}}},
		{Pattern: "GET /api/v1/quotes", Handler: s.getQuotes, Access: endpoint.SignedIn,
			Tag: "quotes", Summary: "Last quotes",
			Query:   []endpoint.Parameter{endpoint.SymbolsParameter},
			Answers: map[int]any{200: []quoteAnswer{}}},
		{Pattern: "GET /api/v1/quotes/{base}/{quote}/history", Handler: s.getHistory, Access: endpoint.SignedIn,
			Tag: "quotes", Summary: "The newest quotes of a symbol, oldest first", Path: currencies,
			Query: []endpoint.Parameter{historyLimit.Parameter(),
				{Name: "since", About: "only quotes accepted at this time or later: RFC 3339 or Unix time", Schema: text}},
			Answers: map[int]any{200: []quoteAnswer{}}, Errors: []int{403, 404}},
		{Pattern: "GET /api/v1/quotes/{base}/{quote}/candles", Handler: s.getCandles, Access: endpoint.SignedIn,
			Tag: "quotes", Summary: "The last candles of a symbol, oldest first; the running one is open", Path: currencies,
			Query: []endpoint.Parameter{{Name: "interval", About: "the length of a candle", Schema: endpoint.Object{"type": "string", "enum": intervalNames, "default": "1m"}},
				candleLimit.Parameter(),
				{Name: "before", About: "only candles that begin before this time: RFC 3339 or Unix time", Schema: text}},
			Answers: map[int]any{200: []protocol.Candle{}}, Errors: []int{403, 404}},
		{Pattern: "POST /api/v1/quotes", Handler: s.postQuotes, Access: endpoint.Publisher, Time: endpoint.Endless, // the publisher sets its own bound
			Tag: "quotes", Summary: "Publish one quote, an array, or NDJSON; at most 1 MiB", Body: publishedQuotes{}, Lines: true,
			Answers: map[int]any{200: publishAnswer{}}, Errors: []int{415, 429}},

		{Pattern: "POST /api/v1/session/guest", Handler: s.postGuest, Access: endpoint.Visitor, AdmitsItself: true,
			Tag: "session", Summary: "Return the session of the request, or else a new guest session, as a cookie; a page of ALLOWED_ORIGINS gets its token instead",
			Answers: map[int]any{200: access.SessionAnswer{}, 201: guestAnswer{}}, Errors: []int{403, 503}},
		{Pattern: "POST /api/v1/session", Handler: s.postSession, Access: endpoint.SignedIn, AdmitsItself: true,
			Tag: "session", Summary: "Exchange a bearer token for a cookie with a new token and session id",
			Answers: map[int]any{200: access.SessionAnswer{}}},
		{Pattern: "GET /api/v1/session", Handler: s.getSession, Access: endpoint.SignedIn,
			Tag: "session", Summary: "The session of the request",
			Answers: map[int]any{200: access.SessionAnswer{}}},
		{Pattern: "DELETE /api/v1/session", Handler: s.deleteSession, Access: endpoint.Visitor,
			Tag: "session", Summary: "Sign out",
			Answers: map[int]any{204: nil}},
		{Pattern: "POST /api/v1/ws-ticket", Handler: s.postTicket, Access: endpoint.SignedIn,
			Tag: "session", Summary: "A ticket that opens one WebSocket connection within expires_in seconds",
			Answers: map[int]any{200: ticketAnswer{}}},

		{Pattern: "GET /livez", Handler: s.getLive,
			Tag: "health", Summary: "Whether the process serves requests",
			Answers: map[int]any{200: liveAnswer{}}},
		{Pattern: "GET /readyz", Handler: s.getReady,
			Tag: "health", Summary: "Whether this node should receive clients; the body lists each check",
			Answers: map[int]any{200: readyAnswer{}, 503: readyAnswer{}}},
		{Pattern: "GET /openapi.json", Handler: s.getOpenAPI,
			Tag: "specs", Summary: "The API of this listener; on ADMIN_ADDR that of both",
			Answers: map[int]any{200: document}},
		{Pattern: "GET /asyncapi.json", Handler: s.getAsyncAPI,
			Tag: "specs", Summary: "The messages of the WebSocket, as AsyncAPI 3.0",
			Answers: map[int]any{200: document}},
		{Pattern: "GET /fx.proto", Handler: s.getSchema,
			Tag: "specs", Summary: "The Protobuf schema of the binary messages of the WebSocket, with the rules of decoding",
			Answers: map[int]any{200: endpoint.Text("text/plain")}},
		{Pattern: "/", Handler: s.page,
			Tag: "page", Summary: "The page",
			Answers: map[int]any{200: endpoint.Text("text/html")}, Errors: []int{404}},
	}...)
}

// adminTable returns the endpoints of the admin listener. An endpoint of both listeners is
// described in the public table.
func (s *Server) adminTable() []endpoint.Endpoint {
	metrics := promhttp.HandlerFor(renamedMetrics{s.cfg.Registry}, promhttp.HandlerOpts{Registry: s.cfg.Registry, EnableOpenMetrics: true})
	return append(s.admin.Endpoints(), []endpoint.Endpoint{
		{Pattern: "GET /openapi.json", Handler: s.getAdminOpenAPI, Access: endpoint.Admin},
		{Pattern: "GET /metrics", Handler: endpoint.Plain(metrics), Time: endpoint.Endless,
			Tag: "health", Summary: "Prometheus metrics; on the admin listener",
			Answers: map[int]any{200: endpoint.Text("text/plain")}},
		{Pattern: "GET /livez", Handler: s.getLive},
		{Pattern: "GET /readyz", Handler: s.getReady},
	}...)
}

// publicHandler serves the public listener.
func (s *Server) publicHandler() (http.Handler, error) {
	csrf, err := s.sameSite()
	if err != nil {
		return nil, err
	}
	mux := endpoint.NewMux(s.tables.public, s.access.Gates(), s.log)
	return s.envelope().Around(s.access.NoteForwarded(s.admitted(s.ownHost(s.cfg.PublicHost, csrf(s.crossOrigin(mux)))))), nil
}

// admitted refuses requests of an address that has too many connections behind trusted proxies. The
// listener closes other connections before they have a request.
func (s *Server) admitted(next http.Handler) http.Handler {
	if s.cfg.Admitted == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.cfg.Admitted(r) {
			w.Header().Set("Connection", "close")
			endpoint.WriteProblem(w, r, s.log, &endpoint.Problem{Status: http.StatusTooManyRequests, Title: "Too many connections",
				Detail: "this address has as many connections as one address may have", RetryAfter: time.Second})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// adminHandler serves the admin listener.
func (s *Server) adminHandler() http.Handler {
	return s.envelope().Around(s.ownHost(s.cfg.AdminHost, endpoint.NewMux(s.tables.admin, s.admin.Gates(), s.log)))
}

// envelope returns the wrapper of every request, on both listeners.
func (s *Server) envelope() endpoint.Envelope {
	return endpoint.Envelope{Secure: s.access.Secure, Requests: s.stats.requests, Panics: s.stats.panics, Stalled: s.stats.stalled, Log: s.log}
}

// NewHTTPServer returns a server with time limits that protect a listener from slow clients.
// They do not apply to an upgraded connection. The server logs its own errors at debug level.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	// A socket or stream takes over its TCP connection, which HTTP/2 does not allow. HTTP/2
	// is the task of a proxy in front.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Protocols:         &protocols,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       20 * time.Second, // an idle connection keeps a place from others
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
