// Package admin is the admin API and the operator's page, for the admin listener.
//
//	gate.go         the admin token, and the audit line of each change
//	sessions.go     sessions of all users
//	redis.go        Redis as seen by redisadmin; cache.go, limit.go, pubsub.go by its users
//	connections.go  the clients of all nodes
//	rejected.go     rejected quotes
//	symbols.go      symbols that are removed
//	profile.go      profiles of the process
//	operator.go     the page, in operator/
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"reflect"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
	"github.com/fxcast/fxcast/web/live"
)

// Config of a Server. What is not marked optional must be set.
type Config struct {
	Access   *access.Control
	Sessions *session.Manager
	Limiter  *limiter.Limiter
	Cache    *cache.Cache
	Redis    *redisadmin.Admin
	Nodes    *nodes.Nodes
	Live     *live.Server // whose clients are listed
	Rejected *accept.RejectedLog
	Lasts    *receive.LastQuotes // of this node

	Publisher   *accept.Publisher
	Instruments *feed.Instruments // optional: nil = the table without settings

	// PubSub publishes on a channel as it is, and returns how many subscribers got the
	// message, as far as the one server that was asked knows. Its error is ErrNotPermitted
	// if Redis does not let its user do that.
	PubSub   func(ctx context.Context, channel string, message []byte) (int64, error)
	Prefix   string   // of the program's own channels
	Channels []string // optional: relayed channels

	Tokens []string // optional: without, the admin API answers 403
	Log    *slog.Logger
}

// A Server serves the admin API. It is safe for concurrent use.
type Server struct {
	cfg  Config
	page endpoint.Handler
}

// New returns a Server, which also answers what other nodes ask about the clients of this
// one. It starts nothing.
func New(cfg Config) (*Server, error) {
	page, err := operatorHandler()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, page: page}
	s.answerNodes()
	return s, nil
}

// Gates returns the gate of the endpoints.
func (s *Server) Gates() endpoint.Gates { return endpoint.Gates{endpoint.Admin: s.gate} }

// Schemas returns those of the types in the answers that write themselves into JSON.
func Schemas() endpoint.Schemas {
	return endpoint.Schemas{
		reflect.TypeFor[flexibleID]():        {"type": []string{"string", "integer"}},
		reflect.TypeFor[redisadmin.Number](): {"type": []string{"integer", "null"}, "description": "null: the server does not tell"},
		reflect.TypeFor[redisadmin.Text]():   {"type": []string{"string", "null"}, "description": "null: the server does not tell"},
		reflect.TypeFor[redisadmin.Status](): {"type": "string", "enum": []string{"healthy", "degraded", "unhealthy"}},
		reflect.TypeFor[redisadmin.Result](): {"type": "string", "enum": []string{"ok", "warn", "fail", "unknown"}},
		reflect.TypeFor[limiter.Seconds]():   {"type": "number", "minimum": 0, "description": "seconds, rounded up to 1 ms"},
	}
}

// Endpoints returns the admin API and the operator's page, which are part of the admin
// listener.
func (s *Server) Endpoints() []endpoint.Endpoint {
	text := endpoint.Object{"type": "string"}
	user := []endpoint.Parameter{{Name: "user_id", About: "the user", Schema: text, Required: true}}
	sessionPath := map[string]string{"session_id": "the public id, not the token"}
	table := []endpoint.Endpoint{
		{Pattern: "POST /api/v1/sessions", Handler: s.postAdminSession, Audit: "session made",
			Tag: "sessions", Summary: "Make a session for a user; its token is told only here", Body: sessionRequest{},
			Answers: map[int]any{201: madeSession{}}},
		{Pattern: "GET /api/v1/sessions", Handler: s.getAdminSessions,
			Tag: "sessions", Summary: "Sessions of a user, oldest first", Query: user,
			Answers: map[int]any{200: []session.Session{}}},
		{Pattern: "DELETE /api/v1/sessions", Handler: s.deleteAdminSessions, Audit: "user signed out",
			Tag: "sessions", Summary: "Sign a user out everywhere", Query: user,
			Answers: map[int]any{200: revokedUser{}}},
		{Pattern: "GET /api/v1/redis/session/{session_id}", Handler: s.getAdminSession,
			Tag: "sessions", Summary: "A session, without its token", Path: sessionPath,
			Answers: map[int]any{200: session.Session{}}, Errors: []int{404}},
		{Pattern: "DELETE /api/v1/redis/session/{session_id}", Handler: s.deleteAdminSession, Audit: "session revoked",
			Tag: "sessions", Summary: "Revoke a session; its sockets close within 1 s on every node", Path: sessionPath,
			Answers: map[int]any{200: revokedSession{}}, Errors: []int{404}},

		{Pattern: "GET /api/v1/redis/health", Handler: s.getRedisHealth, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Whether Redis does its work, and why not; always 200",
			Answers: map[int]any{200: redisadmin.Health{}}},
		{Pattern: "GET /api/v1/redis/stats", Handler: s.getRedisStats, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Numbers of the server and counts of keys by kind",
			Answers: map[int]any{200: redisadmin.Stats{}}},
		{Pattern: "GET /api/v1/redis/memory", Handler: s.getRedisMemory, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Bytes by kind of key, estimated from a sample",
			Answers: map[int]any{200: redisadmin.Memory{}}},
		{Pattern: "GET /api/v1/redis/slowlog", Handler: s.getSlowLog, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Slow commands, newest first, without values", Query: []endpoint.Parameter{slowLimit.Parameter()},
			Answers: map[int]any{200: []redisadmin.SlowEntry{}}, Errors: []int{501}},
		{Pattern: "GET /api/v1/redis/config", Handler: s.getRedisConfig, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "How the server differs from its redis.conf, and settings that would be better",
			Answers: map[int]any{200: configAnswer{}}},
		{Pattern: "GET /api/v1/redis/cache/hit-ratio", Handler: s.getHitRatio, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Hit ratio of the server, and of this node's cache",
			Answers: map[int]any{200: hitRatioAnswer{}}},
		{Pattern: "POST /api/v1/redis/cache/invalidate", Handler: s.postInvalidate, Audit: "cache invalidated", Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Delete the keys of one cache namespace that match a glob", Body: invalidateRequest{},
			Answers: map[int]any{200: deletedAnswer{}}},
		{Pattern: "POST /api/v1/redis/pubsub/publish", Handler: s.postPubSub, Audit: "message published",
			Tag: "redis", Summary: "Publish on a channel; what goes to the inbox passes the same gate as every quote", Body: pubsubRequest{},
			Answers: map[int]any{200: receiversAnswer{}}},
		{Pattern: "POST /api/v1/redis/rate-limit/check", Handler: s.postRateCheck, // by other programs, for each of their requests
			Tag: "redis", Summary: "Spend of a limit, or look at it with peek", Body: rateRequest{},
			Answers: map[int]any{200: limiter.CheckResult{}}},
		{Pattern: "GET /api/v1/redis/rate-limit/offenders", Handler: s.getOffenders,
			Tag: "redis", Summary: "Who this node refuses most", Query: []endpoint.Parameter{offendersLimit.Parameter()},
			Answers: map[int]any{200: []limiter.Offender{}}},

		{Pattern: "GET /api/v1/connections", Handler: s.getConnections,
			Tag: "connections", Summary: "Connections of all nodes, furthest behind first",
			Query:   []endpoint.Parameter{connectionsLimit.Parameter(), {Name: "user_id", About: "of this user only", Schema: text}},
			Answers: map[int]any{200: connectionsOfAll{}}},
		{Pattern: "DELETE /api/v1/connections/{conn_id}", Handler: s.deleteConnection, Audit: "connection closed",
			Tag: "connections", Summary: "Close a connection with 1008, whichever node has it", Path: map[string]string{"conn_id": "as welcome says it"},
			Answers: map[int]any{200: kickAnswer{}}, Errors: []int{404}},
		{Pattern: "GET /api/v1/feed/rejected", Handler: s.getRejected,
			Tag: "redis", Summary: "The newest rejected quotes of all nodes and producers, at most 200, of which the query chooses", Query: rejectedParameters,
			Answers: map[int]any{200: []accept.RejectedQuote{}}},
		{Pattern: "POST /api/v1/feed/reference", Handler: s.postReference, Audit: "reference forgotten",
			Tag: "redis", Summary: "Forget the price that the gate compares a symbol's quotes with: the next one is taken", Body: referenceRequest{},
			Answers: map[int]any{200: forgottenAnswer{}}},
		{Pattern: "DELETE /api/v1/symbols/{base}/{quote}", Handler: s.deleteSymbol, Audit: "symbol removed",
			Tag: "redis", Summary: "Remove a symbol: its last known price, history, counter and place in the list; its next quote begins a new epoch",
			Path:    map[string]string{"base": "base currency, or another code", "quote": "quote currency, or another code"},
			Answers: map[int]any{200: removedSymbol{}}, Errors: []int{404}},

		{Pattern: "/debug/pprof/", Handler: anyProfile, Time: endpoint.Endless}, // as long as it is asked to
		{Pattern: "/debug/pprof/cmdline", Handler: endpoint.Plain(http.HandlerFunc(pprof.Cmdline)), Time: endpoint.Endless},
		{Pattern: "/debug/pprof/profile", Handler: endpoint.Plain(http.HandlerFunc(pprof.Profile)), Time: endpoint.Endless},
		{Pattern: "/debug/pprof/symbol", Handler: endpoint.Plain(http.HandlerFunc(pprof.Symbol)), Time: endpoint.Endless},
		{Pattern: "/debug/pprof/trace", Handler: endpoint.Plain(http.HandlerFunc(pprof.Trace)), Time: endpoint.Endless},
	}
	for i := range table {
		table[i].Access = endpoint.Admin
	}
	return append(table, endpoint.Endpoint{Pattern: "/", Handler: s.page}) // it holds no data, and asks for the token
}
