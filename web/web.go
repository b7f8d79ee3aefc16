// Package web serves HTTP. This package has the public API, the page, the health checks, the
// API descriptions, and the two listeners. Its subpackages are
//
//	web/endpoint  one table of endpoints: routes, checks, problems and the OpenAPI document
//	web/access    what a caller may do: sessions, limits, grants, tokens
//	web/live      the socket and the event stream
//	web/admin     the admin API and the operator's page
//
// A request comes through a listener's table (listener.go) to a handler, which returns an
// error instead of writing one.
//
// When Redis is slow or gone, a request that needs it answers 503 with Retry-After within its
// deadline. Connected clients stay connected and receive the status "degraded".
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/admin"
	"github.com/fxcast/fxcast/web/endpoint"
	"github.com/fxcast/fxcast/web/live"
)

// A PublishToken allows its bearer to publish quotes under the name of a source.
type PublishToken struct {
	Source string // empty: each quote may name its own source
	Token  string
}

// A Check is the result of one condition of readiness.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Config holds the settings of a Server. A field that is not marked optional must be set.
type Config struct {
	Hub       *hub.Hub
	Sessions  *session.Manager
	Limiter   *limiter.Limiter
	Lasts     *receive.LastQuotes
	Publisher *accept.Publisher
	History   *receive.History
	Candles   *receive.Candles
	Rejected  *accept.RejectedLog
	Cache     *cache.Cache
	Admin     *redisadmin.Admin
	Nodes     *nodes.Nodes
	Recorder  *admin.Recorder // the caller runs it
	Ready     func() []Check  // must not wait

	// PubSub publishes a message on a channel, without a prefix. It returns the number of
	// subscribers that received it, on one server only if Redis is a cluster.
	PubSub func(ctx context.Context, channel string, message []byte) (int64, error)
	Prefix string // of the program's own keys and channels

	CookieName     string
	GuestSessions  bool
	GuestTier      limiter.Limit            // optional: new guests of one address
	PublicHost     string                   // optional: with the public listener's address, it refuses a foreign Host
	AdminHost      string                   // optional: the same of the admin listener
	Admitted       func(*http.Request) bool // optional: reports whether the address of a request may have its connection; must not wait
	SecureCookies  bool                     // treat every request as encrypted; else only TLS here or at a trusted proxy counts
	AllowedOrigins []string                 // optional: path.Match patterns, in addition to the same origin
	TrustedProxies []netip.Prefix           // optional: proxies whose forwarding headers are trusted
	AdminTokens    []string                 // optional: without a token, the admin API answers 403
	PublishTokens  []PublishToken           // optional: without a token, publishing answers 403
	PublishTier    limiter.Limit
	Notice         string         // optional: a line of text that the page shows
	Simulated      func() bool    // optional: reports whether quotes are the simulator's
	RateExempt     []netip.Prefix // optional: clients whose requests are not counted
	FeedBase       string         // base currency of a quote that names only one currency

	Instruments *feed.Instruments // optional: the known symbols; nil = the built-in table

	Roles             session.Roles // a request without a session has the limits of the role guest
	Channels          []string      // optional: relayed channels
	CommandsPerSecond int
	Compression       bool // offer permessage-deflate
	Heartbeat         time.Duration

	Registry *prometheus.Registry
	Log      *slog.Logger
}

// A Server has two handlers, one for each listener. It is safe for concurrent use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	stats  *metrics
	access *access.Control
	live   *live.Server
	admin  *admin.Server
	caches caches

	leaving atomic.Bool // StopReady was called

	openAPI, adminOpenAPI func() ([]byte, error) // build the documents at the first call

	page     endpoint.Handler
	tables   tables
	onPublic http.Handler
	onAdmin  http.Handler
}

// New returns a Server. It starts no goroutine.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, log: cfg.Log, stats: newMetrics(cfg.Registry)}
	var err error
	if s.caches, err = openCaches(cfg.Cache); err != nil {
		return nil, err
	}
	if s.page, err = pageHandler(cfg.Notice); err != nil {
		return nil, err
	}
	s.access = access.New(access.Config{Sessions: cfg.Sessions, Limiter: cfg.Limiter, Roles: cfg.Roles,
		CookieName: cfg.CookieName, SecureCookies: cfg.SecureCookies, TrustedProxies: cfg.TrustedProxies, RateExempt: cfg.RateExempt, GuestTier: cfg.GuestTier,
		Registry: cfg.Registry, Log: cfg.Log})
	s.live = live.New(live.Config{Hub: cfg.Hub, Nodes: cfg.Nodes, Sessions: cfg.Sessions, Access: s.access, History: cfg.History, OriginAllowed: s.originAllowed, Instruments: cfg.Instruments,
		Channels: cfg.Channels, CommandsPerSecond: cfg.CommandsPerSecond, Compression: cfg.Compression, Heartbeat: cfg.Heartbeat, Simulated: cfg.Simulated,
		Panics: s.stats.panics, Registry: cfg.Registry, Log: cfg.Log})
	s.admin, err = admin.New(admin.Config{Access: s.access, Sessions: cfg.Sessions, Limiter: cfg.Limiter, Cache: cfg.Cache, Redis: cfg.Admin,
		Nodes: cfg.Nodes, Live: s.live, Recorder: cfg.Recorder, Rejected: cfg.Rejected, Lasts: cfg.Lasts, Removed: s.dropSymbolList, Publisher: cfg.Publisher, Instruments: cfg.Instruments, PubSub: cfg.PubSub, Prefix: cfg.Prefix, Channels: cfg.Channels,
		Colors: endpoint.Folder{Files: static, Name: "static/colors.css", At: "/"}, Tokens: cfg.AdminTokens, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	s.tables = tables{s.publicTable(), s.adminTable()}
	s.openAPI, s.adminOpenAPI = sync.OnceValues(s.document), sync.OnceValues(s.adminDocument)
	if s.onPublic, err = s.publicHandler(); err != nil {
		return nil, err
	}
	s.onAdmin = s.adminHandler()
	return s, nil
}

// Public returns the handler of the public listener.
func (s *Server) Public() http.Handler { return s.onPublic }

// Admin returns the handler of the admin listener.
func (s *Server) Admin() http.Handler { return s.onAdmin }

// StopReady makes readiness fail, so that load balancers send no new clients. Everything else
// goes on.
func (s *Server) StopReady() { s.leaving.Store(true) }

// StopAccepting makes readiness fail and refuses new clients. Connected clients stay until the
// hub drains them.
func (s *Server) StopAccepting() { s.live.StopAccepting() }

// Wait returns nil when all clients have left, or the context's error. Call it after
// http.Server.Shutdown and after the hub has been drained.
func (s *Server) Wait(ctx context.Context) error { return s.live.Wait(ctx) }
