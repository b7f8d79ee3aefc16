// Package admin serves the admin API and the operator's page, on the admin listener.
//
//	gate.go         the admin token, and the audit line of each change
//	sessions.go     the sessions of all users
//	redis.go        Redis itself, through redisadmin
//	cache.go        the cache; limit.go the limiter; pubsub.go publishing on a channel
//	connections.go  the clients of all nodes
//	past.go         the history of each node's metrics; recorder.go, reading.go and ring.go make it
//	feed.go         symbols and sources
//	rejected.go     rejected quotes; reference.go the reference price of the gate
//	symbols.go      the removal of symbols
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

// Config holds the settings of a Server. A field that is not marked optional must be set.
type Config struct {
	Access   *access.Control
	Sessions *session.Manager
	Limiter  *limiter.Limiter
	Cache    *cache.Cache
	Redis    *redisadmin.Admin
	Nodes    *nodes.Nodes
	Live     *live.Server // of this node
	Recorder *Recorder    // of this node; the caller runs it
	Rejected *accept.RejectedLog
	Lasts    *receive.LastQuotes // of this node

	// Removed forgets what the caller has cached of the list of symbols. It is called after this node
	// has forgotten a symbol.
	Removed func(ctx context.Context)

	Publisher   *accept.Publisher
	Instruments *feed.Instruments // optional: the known symbols; nil = the built-in table

	// PubSub publishes a message on a channel, without a prefix. It returns the number of
	// subscribers that received it, on one server only if Redis is a cluster. Its error is
	// ErrNotPermitted if the ACL of Redis forbids the channel.
	PubSub   func(ctx context.Context, channel string, message []byte) (int64, error)
	Prefix   string   // of the program's own channels
	Channels []string // optional: relayed channels

	Colors endpoint.Folder // the style sheet of colors, at /static/colors.css
	Tokens []string        // optional: without a token, the admin API answers 403
	Log    *slog.Logger
}

// A Server serves the admin API. It is safe for concurrent use.
type Server struct {
	cfg  Config
	page endpoint.Handler
}

// New returns a Server. It registers handlers with Config.Nodes, which answer the questions of
// other nodes about this one. It starts no goroutine.
func New(cfg Config) (*Server, error) {
	page, err := operatorHandler(cfg.Colors)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, page: page}
	s.answerNodes()
	return s, nil
}

// Gates returns the gate of endpoints that require an admin token.
func (s *Server) Gates() endpoint.Gates { return endpoint.Gates{endpoint.Admin: s.gate} }

// Schemas returns the schemas of types in the answers that marshal themselves.
func Schemas() endpoint.Schemas {
	return endpoint.Schemas{
		reflect.TypeFor[flexibleID]():        {"type": []string{"string", "integer"}},
		reflect.TypeFor[pastValues]():        {"type": "array", "items": endpoint.Object{"type": []string{"number", "null"}}, "description": "null: not known"},
		reflect.TypeFor[redisadmin.Number](): {"type": []string{"integer", "null"}, "description": "null: the server does not report it"},
		reflect.TypeFor[redisadmin.Text]():   {"type": []string{"string", "null"}, "description": "null: the server does not report it"},
		reflect.TypeFor[redisadmin.Status](): {"type": "string", "enum": []string{"healthy", "degraded", "unhealthy"}},
		reflect.TypeFor[redisadmin.Result](): {"type": "string", "enum": []string{"ok", "warn", "fail", "unknown"}},
		reflect.TypeFor[limiter.Seconds]():   {"type": "number", "minimum": 0, "description": "seconds, rounded up to 1 ms"},
	}
}

// Endpoints returns the endpoints of the admin API and of the operator's page, for the admin
// listener.
func (s *Server) Endpoints() []endpoint.Endpoint {
	text := endpoint.Object{"type": "string"}
	user := []endpoint.Parameter{{Name: "user_id", About: "the user", Schema: text, Required: true}}
	currencyPath := map[string]string{"base": "base currency, or another code", "quote": "quote currency, or another code"}
	sessionPath := map[string]string{"session_id": "the public id, not the token"}
	table := []endpoint.Endpoint{
		{Pattern: "POST /api/v1/sessions", Handler: s.postAdminSession, Audit: "session made",
			Tag: "sessions", Summary: "Create a session for a user; only this answer has its token", Body: sessionRequest{},
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
			Tag: "redis", Summary: "The health of Redis, with the reason if it is bad; always 200",
			Answers: map[int]any{200: redisadmin.Health{}}},
		{Pattern: "GET /api/v1/redis/stats", Handler: s.getRedisStats, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Statistics of the server, and the number of keys by kind",
			Answers: map[int]any{200: redisadmin.Stats{}}},
		{Pattern: "GET /api/v1/redis/memory", Handler: s.getRedisMemory, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Bytes by kind of key, estimated from a sample",
			Answers: map[int]any{200: redisadmin.Memory{}}},
		{Pattern: "GET /api/v1/redis/slowlog", Handler: s.getSlowLog, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Slow commands, newest first, without values", Query: []endpoint.Parameter{slowLimit.Parameter()},
			Answers: map[int]any{200: []redisadmin.SlowEntry{}}, Errors: []int{501}},
		{Pattern: "GET /api/v1/redis/config", Handler: s.getRedisConfig, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Differences between the server and its redis.conf, and recommended settings",
			Answers: map[int]any{200: configAnswer{}}},
		{Pattern: "GET /api/v1/redis/cache/hit-ratio", Handler: s.getHitRatio, Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Hit ratio of the server, and of this node's cache",
			Answers: map[int]any{200: hitRatioAnswer{}}},
		{Pattern: "POST /api/v1/redis/cache/invalidate", Handler: s.postInvalidate, Audit: "cache invalidated", Time: endpoint.SweepTime,
			Tag: "redis", Summary: "Delete the keys of one cache namespace that match a glob", Body: invalidateRequest{},
			Answers: map[int]any{200: deletedAnswer{}}},
		{Pattern: "POST /api/v1/redis/pubsub/publish", Handler: s.postPubSub, Audit: "message published",
			Tag: "redis", Summary: "Publish on a channel; a message to the inbox passes the same gate as every quote", Body: pubsubRequest{},
			Answers: map[int]any{200: receiversAnswer{}}},
		{Pattern: "POST /api/v1/redis/rate-limit/check", Handler: s.postRateCheck, // other programs call it for each of their requests
			Tag: "redis", Summary: "Charge a cost to a limit, or only read the limit with peek", Body: rateRequest{},
			Answers: map[int]any{200: limiter.CheckResult{}}},
		{Pattern: "GET /api/v1/redis/rate-limit/offenders", Handler: s.getOffenders,
			Tag: "redis", Summary: "The subjects that this node refuses most", Query: []endpoint.Parameter{offendersLimit.Parameter()},
			Answers: map[int]any{200: []limiter.Offender{}}},

		{Pattern: "GET /api/v1/connections", Handler: s.getConnections,
			Tag: "connections", Summary: "Connections of all nodes, furthest behind first",
			Query:   []endpoint.Parameter{connectionsLimit.Parameter(), {Name: "user_id", About: "only connections of this user", Schema: text}},
			Answers: map[int]any{200: connectionsOfAll{}}},
		{Pattern: "DELETE /api/v1/connections/{conn_id}", Handler: s.deleteConnection, Audit: "connection closed",
			Tag: "connections", Summary: "Close a connection with 1008, on the node that has it", Path: map[string]string{"conn_id": "the conn_id of the client's welcome message"},
			Answers: map[int]any{200: kickAnswer{}}, Errors: []int{404}},
		{Pattern: "GET /api/v1/metrics/history", Handler: s.getPast,
			Tag: "health", Summary: "The last hour or day of one node's own metrics; null where they are not known", Query: pastParameters,
			Answers: map[int]any{200: pastAnswer{}}, Errors: []int{404}},
		{Pattern: "GET /api/v1/feed/symbols", Handler: s.getFeedSymbols,
			Tag: "feed", Summary: "The last quote of each symbol, its status and source",
			Answers: map[int]any{200: []feedQuote{}}},
		{Pattern: "GET /api/v1/feed/symbols/{base}/{quote}", Handler: s.getFeedSymbol,
			Tag: "feed", Summary: "A symbol: its last quote, the reference of the gate, its sources with their outliers, and why quotes were rejected", Path: currencyPath,
			Answers: map[int]any{200: feedSymbol{}}, Errors: []int{404}},
		{Pattern: "GET /api/v1/feed/sources/{source}", Handler: s.getFeedSource, Time: endpoint.SweepTime,
			Tag: "feed", Summary: "A source: its symbols, and why quotes of it were rejected", Path: map[string]string{"source": "the name of the source"},
			Answers: map[int]any{200: feedSource{}}, Errors: []int{404}},
		{Pattern: "GET /api/v1/feed/rejected", Handler: s.getRejected,
			Tag: "feed", Summary: "The newest 200 rejected quotes of all nodes and producers, filtered by the query", Query: rejectedParameters,
			Answers: map[int]any{200: []accept.RejectedQuote{}}},
		{Pattern: "POST /api/v1/feed/reference", Handler: s.postReference, Audit: "reference forgotten",
			Tag: "feed", Summary: "Forget the price that the gate compares a symbol's quotes with; the next quote is accepted without it", Body: referenceRequest{},
			Answers: map[int]any{200: forgottenAnswer{}}},
		{Pattern: "DELETE /api/v1/symbols/{base}/{quote}", Handler: s.deleteSymbol, Audit: "symbol removed",
			Tag: "feed", Summary: "Remove a symbol with its last known price, history, counter and list entry; its next quote begins a new epoch",
			Path:    currencyPath,
			Answers: map[int]any{200: removedSymbol{}}, Errors: []int{404}},

		{Pattern: "/debug/pprof/", Handler: anyProfile, Time: endpoint.Endless}, // the caller decides how long a profile takes
		{Pattern: "/debug/pprof/cmdline", Handler: endpoint.Plain(http.HandlerFunc(pprof.Cmdline)), Time: endpoint.Endless},
		{Pattern: "/debug/pprof/profile", Handler: endpoint.Plain(http.HandlerFunc(pprof.Profile)), Time: endpoint.Endless},
		{Pattern: "/debug/pprof/symbol", Handler: endpoint.Plain(http.HandlerFunc(pprof.Symbol)), Time: endpoint.Endless},
		{Pattern: "/debug/pprof/trace", Handler: endpoint.Plain(http.HandlerFunc(pprof.Trace)), Time: endpoint.Endless},
	}
	for i := range table {
		table[i].Access = endpoint.Admin
	}
	return append(table, endpoint.Endpoint{Pattern: "/", Handler: s.page}) // it contains no data, and asks for the token
}
