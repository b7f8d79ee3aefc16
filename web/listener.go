package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// tables are those of the two listeners.
type tables struct {
	public, admin []endpoint.Endpoint
}

// currencies describes the path of a symbol.
var currencies = map[string]string{"base": "three letters, ISO 4217", "quote": "three letters, ISO 4217"}

// publicTable is what the public listener answers.
func (s *Server) publicTable() []endpoint.Endpoint {
	text := endpoint.Object{"type": "string"}
	document := map[string]json.RawMessage{}
	return append(s.live.Endpoints(), []endpoint.Endpoint{
		{Pattern: "GET /api/v1/symbols", Handler: s.getSymbols, Access: endpoint.Visitor,
			Tag: "quotes", Summary: "All symbols that have been published; a new one shows within 3 s",
			Answers: map[int]any{200: []symbolAnswer{}}},
		{Pattern: "GET /api/v1/quotes", Handler: s.getQuotes, Access: endpoint.SignedIn,
			Tag: "quotes", Summary: "Last quotes",
			Query:   []endpoint.Parameter{endpoint.SymbolsParameter},
			Answers: map[int]any{200: []quoteAnswer{}}},
		{Pattern: "GET /api/v1/quotes/{base}/{quote}/history", Handler: s.getHistory, Access: endpoint.SignedIn,
			Tag: "quotes", Summary: "The newest quotes of a symbol, oldest first", Path: currencies,
			Query: []endpoint.Parameter{historyLimit.Parameter(),
				{Name: "since", About: "accepted at that time or later: RFC 3339 or Unix time", Schema: text}},
			Answers: map[int]any{200: []quoteAnswer{}}, Errors: []int{403, 404}},
		{Pattern: "POST /api/v1/quotes", Handler: s.postQuotes, Access: endpoint.Publisher, Time: endpoint.Endless, // the publisher's own
			Tag: "quotes", Summary: "Publish one quote, an array, or NDJSON; at most 1 MiB", Body: publishedQuotes{}, Lines: true,
			Answers: map[int]any{200: publishAnswer{}}, Errors: []int{415, 429}},

		{Pattern: "POST /api/v1/session/guest", Handler: s.postGuest, Access: endpoint.Visitor,
			Tag: "session", Summary: "A guest session, as a cookie; the session there is, if there is one",
			Answers: map[int]any{200: access.SessionAnswer{}, 201: access.SessionAnswer{}}, Errors: []int{403}},
		{Pattern: "POST /api/v1/session", Handler: s.postSession, Access: endpoint.SignedIn, Own: endpoint.OwnSession,
			Tag: "session", Summary: "Turn a bearer token into a cookie, with a new token and id",
			Answers: map[int]any{200: access.SessionAnswer{}}},
		{Pattern: "GET /api/v1/session", Handler: s.getSession, Access: endpoint.SignedIn,
			Tag: "session", Summary: "One's own session",
			Answers: map[int]any{200: access.SessionAnswer{}}},
		{Pattern: "DELETE /api/v1/session", Handler: s.deleteSession, Access: endpoint.Visitor,
			Tag: "session", Summary: "Sign out",
			Answers: map[int]any{204: nil}},
		{Pattern: "POST /api/v1/ws-ticket", Handler: s.postTicket, Access: endpoint.SignedIn,
			Tag: "session", Summary: "A ticket for one connect of the WebSocket, good for expires_in seconds",
			Answers: map[int]any{200: ticketAnswer{}}},

		{Pattern: "GET /livez", Handler: s.getLive,
			Tag: "health", Summary: "The process answers",
			Answers: map[int]any{200: liveAnswer{}}},
		{Pattern: "GET /readyz", Handler: s.getReady,
			Tag: "health", Summary: "Clients should be sent here; the body says which check failed",
			Answers: map[int]any{200: readyAnswer{}, 503: readyAnswer{}}},
		{Pattern: "GET /openapi.json", Handler: s.getOpenAPI,
			Tag: "specs", Summary: "This document",
			Answers: map[int]any{200: document}},
		{Pattern: "GET /asyncapi.json", Handler: s.getAsyncAPI,
			Tag: "specs", Summary: "The messages of the WebSocket, as AsyncAPI 3.0",
			Answers: map[int]any{200: document}},
		{Pattern: "/", Handler: s.page,
			Tag: "page", Summary: "The page",
			Answers: map[int]any{200: endpoint.Text("text/html")}, Errors: []int{404}},
	}...)
}

// adminTable is what the admin listener answers. What the public one answers too is
// described there.
func (s *Server) adminTable() []endpoint.Endpoint {
	metrics := promhttp.HandlerFor(renamedMetrics{s.cfg.Registry}, promhttp.HandlerOpts{Registry: s.cfg.Registry, EnableOpenMetrics: true})
	return append(s.admin.Endpoints(), []endpoint.Endpoint{
		{Pattern: "GET /openapi.json", Handler: s.getOpenAPI, Access: endpoint.Admin},
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
	return s.envelope().Around(csrf(s.crossOrigin(mux))), nil
}

// adminHandler serves the admin listener.
func (s *Server) adminHandler() http.Handler {
	return s.envelope().Around(endpoint.NewMux(s.tables.admin, s.admin.Gates(), s.log))
}

// envelope stands around every request of both listeners.
func (s *Server) envelope() endpoint.Envelope {
	return endpoint.Envelope{Secure: s.access.Secure, Requests: s.stats.requests, Panics: s.stats.panics, Log: s.log}
}

// NewHTTPServer has the time limits that protect a listener from slow clients.
// An upgraded connection is not subject to them.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	// A socket or stream takes its connection over, which HTTP/2 has not: it belongs
	// to a proxy in front.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Protocols:         &protocols,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
