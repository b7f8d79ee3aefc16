// Package node builds the parts of one server, runs them, and ends them in order.
package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web"
	"github.com/fxcast/fxcast/web/admin"
	"github.com/fxcast/fxcast/web/live"
)

// A Node is the parts of one server, built but not running.
type Node struct {
	cfg       config.Config
	name      string // unique among the nodes; not for the public
	log       *slog.Logger
	registry  *prometheus.Registry
	health    *redisHealth
	redis     *redislink.Health       // decides whether Redis is lost; clients get its view
	sentinels []*redis.SentinelClient // for the admin API; closed at the end of run
	hub       *hub.Hub
	board     *receive.Board
	publisher *accept.Publisher
	rejected  *accept.RejectedLog
	inbox     *accept.Inbox
	receiver  *receive.Receiver
	candles   *receive.CandleStream
	watch     *feedWatch
	accepts   *acceptErrors
	places    *connections
	sessions  *session.Manager
	limiter   *limiter.Limiter
	cache     *cache.Cache
	nodes     *nodes.Nodes
	recorder  *admin.Recorder
	cert      *certificate // nil without TLS
	web       *web.Server
}

// New builds the parts of one node, in the order of their dependencies.
func New(cfg config.Config, client redis.UniversalClient, logger *slog.Logger) (*Node, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "fx_log_dropped_total",
			Help: "Log lines that could not be written. Growing: the program that reads the log has ended, or its disk is full."},
			func() float64 { return float64(cli.LogDropped()) }))
	keys := feed.Keys{Prefix: cfg.Redis.Prefix}
	name := nodeName()
	n := &Node{cfg: cfg, name: name, log: logger, registry: registry}
	var err error
	if cfg.HTTP.TLSCertFile != "" {
		if n.cert, err = newCertificate(cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile, registry, logger); err != nil {
			return nil, err
		}
	}
	n.redis = redislink.NewHealth()
	if n.sentinels, err = redisclient.Sentinels(cfg); err != nil {
		return nil, err
	}
	failovers, err := redisclient.Failovers(cfg, logger)
	if err != nil {
		return nil, err
	}
	adminConfig := redisadmin.Config{Redis: client, Prefix: cfg.Redis.Prefix, ConfPath: cfg.Redis.ConfPath,
		Sentinels: n.sentinels, MasterName: cfg.Redis.MasterName, Logger: logger}
	n.health = newRedisHealth(client, redisadmin.New(adminConfig), n.redis.Lost, logger, registry)
	n.hub = hub.New(hub.Config{Framings: live.Framings(), Heartbeat: cfg.WS.Heartbeat, Ping: cfg.WS.Ping,
		WriteTimeout: cfg.WS.WriteTimeout, Registerer: registry, Ordered: cfg.Redis.Mode != "cluster",
		Interest: func(symbol string) { n.receiver.InterestChanged(symbol); n.candles.InterestChanged(symbol) }})
	candles := receive.NewCandles(client, keys, cfg.Feed.Instruments, feed.KeptCandles(cfg.Feed.Candles))
	n.candles = receive.NewCandleStream(receive.CandleStreamConfig{Candles: candles, Sink: n.hub, Registerer: registry, Logger: logger})
	n.board = receive.NewBoard(receive.BoardConfig{Sink: n.hub, Candles: n.candles, QuoteTTL: cfg.Feed.QuoteTTL, StaleAfter: cfg.Feed.StaleAfter, LastKnown: cfg.Feed.LastKnown,
		Instruments: cfg.Feed.Instruments, Registerer: registry, Logger: logger})
	n.publisher = accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: keys, QuoteTTL: cfg.Feed.QuoteTTL,
		HistoryTicks: max(cfg.Feed.HistoryTicks, 1), Priorities: cfg.Feed.Sources, Gate: cfg.Feed.Gate(), Instruments: cfg.Feed.Instruments, Known: n.board.Last,
		Candles:    feed.KeptCandles(cfg.Feed.Candles),
		Replicated: cfg.Feed.Replicated, Failovers: failovers, Registerer: registry, Logger: logger})
	n.rejected = accept.NewRejectedLog(accept.RejectedConfig{Redis: client, Keys: keys, Registerer: registry, Logger: logger})
	n.inbox = accept.NewInbox(accept.InboxConfig{Redis: client, Keys: keys, Channel: cfg.Feed.Inbox, Stream: cfg.Feed.Stream, Node: name,
		Input:     feed.InputOptions{Instruments: cfg.Feed.Instruments, Base: cfg.Feed.Base},
		Publisher: n.publisher, Rejected: n.rejected, Registerer: registry, Logger: logger})
	n.receiver = receive.NewReceiver(receive.ReceiverConfig{Redis: client, Keys: keys, Node: name, Channels: cfg.Feed.Channels,
		Board: n.board, Sink: n.hub, Lost: n.redis.Signal(quotesSignal), Wanted: n.hub.Wanted, Registerer: registry, Logger: logger})
	n.sessions = session.New(session.Config{Redis: client, Prefix: cfg.Redis.Prefix, Node: name, TTL: cfg.Session.TTL,
		AbsoluteTTL: cfg.Session.AbsoluteTTL, GuestTTL: cfg.Session.GuestTTL, GuestMax: cfg.Session.GuestMax, AutoExtend: cfg.Session.AutoExtend, Grace: cfg.Session.Grace,
		OnDegraded: n.redis.Signal("sessions").Set, Registerer: registry, Logger: logger})
	n.limiter = limiter.New(limiter.Config{Redis: client, OnRedisDown: limiter.Policy(cfg.Rate.OnRedisDown), DryRun: cfg.Rate.DryRun,
		Registerer: registry, Logger: logger})
	if n.cache, err = cache.New(cache.Config{Redis: client, Namespaces: web.CacheNamespaces, Registerer: registry, Logger: logger}); err != nil {
		return nil, err
	}
	n.nodes = nodes.New(nodes.Config{Redis: client, Prefix: cfg.Redis.Prefix, Node: name, Registerer: registry, Logger: logger})
	n.recorder = admin.NewRecorder(admin.RecorderConfig{Metrics: registry, Ping: func(ctx context.Context) error { return client.Ping(ctx).Err() }, Log: logger})
	tokens := make([]web.PublishToken, 0, len(cfg.HTTP.PublishTokens))
	for _, t := range cfg.HTTP.PublishTokens {
		tokens = append(tokens, web.PublishToken{Source: t.Name, Token: t.Token})
	}
	lasts := receive.NewLastQuotes(n.board, client, keys)
	n.watch = newFeedWatch(lasts.Quotes, registry, logger)
	n.accepts = newAcceptErrors(registry, logger)
	n.places = newConnections(cfg, openFiles(), registry, logger)
	publicHost, adminHost := guardedHosts(cfg)
	n.web, err = web.New(web.Config{
		Notice: cfg.HTTP.Notice, Simulated: func() bool { return cfg.Embedded() || n.watch.simulated() },
		PublicHost: publicHost, AdminHost: adminHost, Admitted: n.places.forwarded,
		Hub: n.hub, Sessions: n.sessions, Limiter: n.limiter, Lasts: lasts, Publisher: n.publisher, Rejected: n.rejected,
		History: receive.NewHistory(client, keys),
		Candles: candles,
		Cache:   n.cache,
		Nodes:   n.nodes, Recorder: n.recorder,
		Admin:  redisadmin.New(adminConfig),
		Ready:  n.ready,
		Prefix: cfg.Redis.Prefix,
		PubSub: func(ctx context.Context, channel string, message []byte) (int64, error) {
			receivers, err := client.Publish(ctx, channel, message).Result()
			if redis.IsPermissionError(err) {
				err = fmt.Errorf("%w: %w", admin.ErrNotPermitted, err)
			}
			return receivers, err
		},
		CookieName: cfg.Session.CookieName, GuestSessions: cfg.Session.Guests, GuestTier: limiter.Limit{Name: "guest", Max: int64(cfg.Session.GuestsPerMinute), Window: time.Minute}, SecureCookies: cfg.HTTP.TLSCertFile != "",
		AllowedOrigins: cfg.HTTP.AllowedOrigins, TrustedProxies: cfg.HTTP.Proxies,
		AdminTokens: cfg.HTTP.AdminTokens, PublishTokens: tokens, FeedBase: cfg.Feed.Base, Instruments: cfg.Feed.Instruments,
		RateExempt:  cfg.Rate.Exempt,
		PublishTier: limiter.Limit{Name: "publish", Max: int64(cfg.Rate.PublishPerSecond), Window: time.Second},
		Roles:       cfg.Session.Roles, Channels: cfg.Feed.Channels,
		CommandsPerSecond: cfg.WS.CommandsPerSecond, Compression: cfg.WS.Compression, Heartbeat: cfg.WS.Heartbeat,
		Registry: registry, Log: logger,
	})
	return n, err
}

// nodeName returns a name that is unique among the processes that use the same Redis.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	return host + "-" + strings.ToLower(rand.Text()[:8])
}
