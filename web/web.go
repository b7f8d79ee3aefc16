// Package web is everything that speaks HTTP. This package has the public API, the page,
// health, the documents, and the two listeners; its rooms are
//
//	web/endpoint  one table of endpoints: routes, checks, problems and the OpenAPI document
//	web/access    who calls: sessions, limits, grants, tokens
//	web/live      the socket and the event stream
//	web/admin     the admin API and the operator's page
//
// A request comes through a listener's table (listener.go) to a handler, which returns an
// error instead of writing one.
//
// When Redis is slow or gone, requests that need it answer 503 with Retry-After within
// their deadline; connected clients stay and learn of it.
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

// A PublishToken lets its bearer publish quotes under a source of that name.
type PublishToken struct {
	Source string // empty: the publisher may name its own
	Token  string
}

// A Check is one condition of readiness.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Config of a Server. What is not marked optional must be set.
type Config struct {
	Hub       *hub.Hub
	Sessions  *session.Manager
	Limiter   *limiter.Limiter
	Lasts     *receive.LastQuotes
	Publisher *accept.Publisher
	History   *receive.History
	Rejected  *accept.RejectedLog
	Cache     *cache.Cache
	Admin     *redisadmin.Admin
	Nodes     *nodes.Nodes
	Ready     func() []Check // must not wait

	// PubSub publishes on a channel as it is, and returns how many subscribers
	// got the message, as far as the one server that was asked knows.
	PubSub func(ctx context.Context, channel string, message []byte) (int64, error)
	Prefix string // of the program's own keys and channels

	CookieName     string
	GuestSessions  bool
	SecureCookies  bool           // TLS ends here; behind a trusted proxy the request has it
	AllowedOrigins []string       // optional; in addition to the same origin, path.Match patterns
	TrustedProxies []netip.Prefix // optional
	AdminTokens    []string       // optional: without, the admin API answers 403
	PublishTokens  []PublishToken // optional: without, publishing answers 403
	PublishTier    limiter.Limit
	RateExempt     []netip.Prefix // optional: clients whose requests are not counted
	FeedBase       string         // base of a quote that names one currency only

	Instruments *feed.Instruments // optional: which symbols there are; nil = the table without settings

	Roles             session.Roles // the limits of strangers are those of the role guest
	Channels          []string      // optional: relayed channels
	CommandsPerSecond int
	Compression       bool // offer permessage-deflate
	Heartbeat         time.Duration

	Registry *prometheus.Registry
	Log      *slog.Logger
}

// A Server has two handlers, one for each listener.
type Server struct {
	cfg    Config
	log    *slog.Logger
	stats  *metrics
	access *access.Control
	live   *live.Server
	admin  *admin.Server
	caches caches

	leaving atomic.Bool // readiness is red

	page     endpoint.Handler
	openAPI  func() ([]byte, error) // made once, when it is first asked for
	tables   tables
	onPublic http.Handler
	onAdmin  http.Handler
}

// New returns a Server; it starts nothing.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, log: cfg.Log, stats: newMetrics(cfg.Registry)}
	var err error
	if s.caches, err = openCaches(cfg.Cache); err != nil {
		return nil, err
	}
	if s.page, err = pageHandler(); err != nil {
		return nil, err
	}
	s.access = access.New(access.Config{Sessions: cfg.Sessions, Limiter: cfg.Limiter, Roles: cfg.Roles,
		CookieName: cfg.CookieName, SecureCookies: cfg.SecureCookies, TrustedProxies: cfg.TrustedProxies, RateExempt: cfg.RateExempt, Log: cfg.Log})
	s.live = live.New(live.Config{Hub: cfg.Hub, Sessions: cfg.Sessions, Access: s.access, History: cfg.History, OriginAllowed: s.originAllowed, Instruments: cfg.Instruments,
		Channels: cfg.Channels, CommandsPerSecond: cfg.CommandsPerSecond, Compression: cfg.Compression, Heartbeat: cfg.Heartbeat,
		Panics: s.stats.panics, Registry: cfg.Registry, Log: cfg.Log})
	s.admin, err = admin.New(admin.Config{Access: s.access, Sessions: cfg.Sessions, Limiter: cfg.Limiter, Cache: cfg.Cache, Redis: cfg.Admin,
		Nodes: cfg.Nodes, Live: s.live, Rejected: cfg.Rejected, Lasts: cfg.Lasts, Publisher: cfg.Publisher, Instruments: cfg.Instruments, PubSub: cfg.PubSub, Prefix: cfg.Prefix, Channels: cfg.Channels,
		Tokens: cfg.AdminTokens, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	s.tables = tables{s.publicTable(), s.adminTable()}
	s.openAPI = sync.OnceValues(s.document)
	if s.onPublic, err = s.publicHandler(); err != nil {
		return nil, err
	}
	s.onAdmin = s.adminHandler()
	return s, nil
}

// Public is the handler of the public listener.
func (s *Server) Public() http.Handler { return s.onPublic }

// Admin is the handler of the admin listener.
func (s *Server) Admin() http.Handler { return s.onAdmin }

// StopReady makes readiness red, so that load balancers send no new clients. All else goes on.
func (s *Server) StopReady() { s.leaving.Store(true) }

// StopAccepting makes readiness red and refuses new clients; those that are there go on
// until the hub drains them.
func (s *Server) StopAccepting() { s.live.StopAccepting() }

// Wait returns when all clients have left, or with the context's error. Call it after
// http.Server.Shutdown and after the hub has been drained.
func (s *Server) Wait(ctx context.Context) error { return s.live.Wait(ctx) }
