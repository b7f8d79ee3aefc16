// Package web is everything that speaks HTTP: the socket, the JSON endpoints,
// the page, health, metrics and the admin listener.
//
// Each listener has one table of endpoints, in public.go and admin_table.go, from which
// come its routes, its checks and its description. A handler returns an error instead
// of writing one; web/endpoint turns it into problem+json. The
// socket (ws.go, reader.go, command.go, socket.go) leaves net/http after the upgrade and
// belongs to one goroutine of Server.
//
// When Redis is slow or gone, requests that need it answer 503 with Retry-After
// within their deadline; connected clients stay and are told.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
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
	SecureCookies  bool           // TLS ends here; behind a trusted proxy the request tells
	AllowedOrigins []string       // optional; in addition to the same origin, path.Match patterns
	TrustedProxies []netip.Prefix // optional
	AdminTokens    []string       // optional: without, the admin API answers 403
	PublishTokens  []PublishToken // optional: without, publishing answers 403
	PublishTier    limiter.Limit
	RateExempt     []netip.Prefix // optional: clients whose requests are not counted
	FeedBase       string         // base of a quote that names one currency only

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
	caches caches

	page, operatorPage endpoint.Handler
	openAPI            func() ([]byte, error) // made once, when it is first asked for
	publicTable        []endpoint.Endpoint
	adminTable         []endpoint.Endpoint
	public, admin      http.Handler
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
	if s.operatorPage, err = operatorHandler(); err != nil {
		return nil, err
	}
	s.answerNodes()
	s.access = access.New(access.Config{Sessions: cfg.Sessions, Limiter: cfg.Limiter, Roles: cfg.Roles,
		CookieName: cfg.CookieName, SecureCookies: cfg.SecureCookies, TrustedProxies: cfg.TrustedProxies, RateExempt: cfg.RateExempt, Log: cfg.Log})
	s.live = live.New(live.Config{Hub: cfg.Hub, Sessions: cfg.Sessions, Access: s.access, History: cfg.History, OriginAllowed: s.originAllowed,
		Channels: cfg.Channels, CommandsPerSecond: cfg.CommandsPerSecond, Compression: cfg.Compression, Heartbeat: cfg.Heartbeat,
		Panics: s.stats.panics, Registry: cfg.Registry, Log: cfg.Log})
	s.publicTable, s.adminTable = s.publicEndpoints(), s.adminEndpoints()
	s.openAPI = sync.OnceValues(func() ([]byte, error) { return s.document().JSON() })
	if s.public, err = s.publicHandler(); err != nil {
		return nil, err
	}
	s.admin = s.adminHandler()
	return s, nil
}

// envelope stands around every request of both listeners.
func (s *Server) envelope() endpoint.Envelope {
	return endpoint.Envelope{Secure: s.access.Secure, Requests: s.stats.requests, Panics: s.stats.panics, Log: s.log}
}

// Public is the handler of the public listener.
func (s *Server) Public() http.Handler { return s.public }

// Admin is the handler of the admin listener.
func (s *Server) Admin() http.Handler { return s.admin }

// StopAccepting makes readiness red and refuses new clients; those that are there go on
// until the hub drains them.
func (s *Server) StopAccepting() { s.live.StopAccepting() }

// Wait returns when all clients have left, or with the context's error. Call it after
// http.Server.Shutdown and after the hub has been drained.
func (s *Server) Wait(ctx context.Context) error { return s.live.Wait(ctx) }

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
