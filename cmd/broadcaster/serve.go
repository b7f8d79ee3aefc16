package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/feed/simulator"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web"
)

// serve builds every part, runs them, and takes them down in order when ctx
// ends. It returns the first error of a part that ended by itself.
func serve(ctx context.Context, cfg Config, logger *slog.Logger, stdout, stderr io.Writer) error {
	tuneMemory()
	addr := ""
	if cfg.Embedded() {
		logger.Warn("no REDIS_URL or REDIS_HOST: using a Redis inside this process, in memory and for one machine; nothing survives a restart")
		listening, stop, err := startEmbedded(cfg.Redis.EmbeddedAddr)
		if err != nil {
			return err
		}
		defer stop()
		addr = listening
		logger.Info("embedded redis listens", "addr", addr)
		admin, publish := cfg.generateTokens()
		if admin != "" {
			fmt.Fprintln(stdout, "ADMIN_TOKEN="+admin)
		}
		if publish != "" {
			fmt.Fprintln(stdout, "PUBLISH_TOKEN="+publish)
		}
	}
	for _, w := range cfg.Warnings {
		logger.Warn(w)
	}
	client, err := openRedis(ctx, cfg, openOptions{Addr: addr, Logger: logger})
	if err != nil {
		return err
	}
	defer client.Close()
	logRedis(ctx, client, cfg, logger)

	n, err := newNode(cfg, client, logger)
	if err != nil {
		return err
	}
	public, err := net.Listen("tcp", cfg.HTTP.Addr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	defer public.Close()
	var admin net.Listener
	if cfg.HTTP.AdminAddr != "" {
		if admin, err = net.Listen("tcp", cfg.HTTP.AdminAddr); err != nil {
			return fmt.Errorf("ADMIN_ADDR: %w", err)
		}
		defer admin.Close()
	}
	return n.run(ctx, public, admin, stdout)
}

// A node is the parts of one server, built but not running.
type node struct {
	cfg       Config
	log       *slog.Logger
	registry  *prometheus.Registry
	health    *redisHealth
	sentinels []*redis.SentinelClient // for the admin API; closed at the end of run
	hub       *hub.Hub
	board     *receive.Board
	publisher *accept.Publisher
	rejected  *accept.RejectedLog
	inbox     *accept.Inbox
	receiver  *receive.Receiver
	sessions  *session.Manager
	limiter   *limiter.Limiter
	cache     *cache.Cache
	nodes     *nodes.Nodes
	cert      *certificate // nil without TLS
	web       *web.Server
}

// newNode builds the parts of one node: who needs whom stands here.
func newNode(cfg Config, client redis.UniversalClient, logger *slog.Logger) (*node, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	keys := feed.Keys{Prefix: cfg.Redis.Prefix}
	name := nodeName()
	n := &node{cfg: cfg, log: logger, registry: registry}
	var err error
	if cfg.HTTP.TLSCertFile != "" {
		if n.cert, err = newCertificate(cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile, registry, logger); err != nil {
			return nil, err
		}
	}
	n.health = newRedisHealth(client, logger, registry)
	options, err := redisOptions(cfg, openOptions{Logger: logger})
	if err != nil {
		return nil, err
	}
	n.sentinels = newSentinels(cfg.Redis, options)
	n.hub = hub.New(hub.Config{Framings: web.Framings(), Heartbeat: cfg.WS.Heartbeat, Ping: cfg.WS.Ping,
		WriteTimeout: cfg.WS.WriteTimeout, Registerer: registry,
		Interest: func(symbol string) { n.receiver.InterestChanged(symbol) }})
	link := &link{Hub: n.hub}
	n.board = receive.NewBoard(receive.BoardConfig{Sink: n.hub, QuoteTTL: cfg.Feed.QuoteTTL, StaleAfter: cfg.Feed.StaleAfter,
		Registerer: registry, Logger: logger})
	n.publisher = accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: keys, QuoteTTL: cfg.Feed.QuoteTTL,
		HistoryTicks: cfg.Feed.HistoryTicks, Priorities: cfg.Feed.Sources, Known: n.board.Last, Registerer: registry, Logger: logger})
	n.rejected = accept.NewRejectedLog(accept.RejectedConfig{Redis: client, Keys: keys, Registerer: registry, Logger: logger})
	n.inbox = accept.NewInbox(accept.InboxConfig{Redis: client, Keys: keys, Channel: cfg.Feed.Inbox, Base: cfg.Feed.Base, Node: name,
		Publisher: n.publisher, Rejected: n.rejected, Registerer: registry, Logger: logger})
	n.receiver = receive.NewReceiver(receive.ReceiverConfig{Redis: client, Keys: keys, Node: name, Channels: cfg.Feed.Channels,
		Board: n.board, Sink: link, Wanted: n.hub.Wanted, Registerer: registry, Logger: logger})
	n.sessions = session.New(session.Config{Redis: client, Prefix: cfg.Redis.Prefix, Node: name, TTL: cfg.Session.TTL,
		AbsoluteTTL: cfg.Session.AbsoluteTTL, AutoExtend: cfg.Session.AutoExtend, Grace: cfg.Session.Grace,
		OnDegraded: link.sessionsDegraded, Registerer: registry, Logger: logger})
	n.limiter = limiter.New(limiter.Config{Redis: client, OnRedisDown: limiter.Policy(cfg.Rate.OnRedisDown), DryRun: cfg.Rate.DryRun,
		Registerer: registry, Logger: logger})
	if n.cache, err = cache.New(cache.Config{Redis: client, Namespaces: web.CacheNamespaces, Registerer: registry, Logger: logger}); err != nil {
		return nil, err
	}
	n.nodes = nodes.New(nodes.Config{Redis: client, Prefix: cfg.Redis.Prefix, Node: name, Registerer: registry, Logger: logger})
	tokens := make([]web.PublishToken, 0, len(cfg.HTTP.PublishTokens))
	for _, t := range cfg.HTTP.PublishTokens {
		tokens = append(tokens, web.PublishToken{Source: t.Name, Token: t.Token})
	}
	n.web, err = web.New(web.Config{
		Hub: n.hub, Sessions: n.sessions, Limiter: n.limiter, Lasts: receive.NewLastQuotes(n.board, client, keys), Publisher: n.publisher, Rejected: n.rejected,
		History: receive.NewHistory(client, keys),
		Cache:   n.cache,
		Nodes:   n.nodes,
		Admin: redisadmin.New(redisadmin.Config{Redis: client, Prefix: cfg.Redis.Prefix, ConfPath: cfg.Redis.ConfPath,
			Sentinels: n.sentinels, MasterName: cfg.Redis.MasterName, Logger: logger}),
		Ready:  n.ready,
		Prefix: cfg.Redis.Prefix,
		PubSub: func(ctx context.Context, channel string, message []byte) (int64, error) {
			receivers, err := client.Publish(ctx, channel, message).Result()
			if redis.IsPermissionError(err) {
				err = fmt.Errorf("%w: %w", web.ErrNotPermitted, err)
			}
			return receivers, err
		},
		CookieName: cfg.Session.CookieName, GuestSessions: cfg.Session.Guests, SecureCookies: cfg.HTTP.TLSCertFile != "",
		AllowedOrigins: cfg.HTTP.AllowedOrigins, TrustedProxies: cfg.HTTP.Proxies,
		AdminTokens: cfg.HTTP.AdminTokens, PublishTokens: tokens, FeedBase: cfg.Feed.Base,
		RateExempt:  cfg.Rate.Exempt,
		PublishTier: limiter.Limit{Name: "publish", Max: int64(cfg.Rate.PublishPerSecond), Window: time.Second},
		Roles:       cfg.Session.Roles, Channels: cfg.Feed.Channels,
		CommandsPerSecond: cfg.WS.CommandsPerSecond, Compression: cfg.WS.Compression, Heartbeat: cfg.WS.Heartbeat,
		Registry: registry, Log: logger,
	})
	return n, err
}

// nodeName tells this process from every other that uses the same Redis.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	return host + "-" + strings.ToLower(rand.Text()[:8])
}

// readyAge is how old the newest test message through Redis may be.
const readyAge = 3 * time.Second

// ready is what /readyz looks at: what background probes found.
func (n *node) ready() []web.Check {
	quotes := n.receiver.ProbeAge()
	inbox := n.inbox.State()
	return []web.Check{
		{Name: "quotes", OK: quotes <= readyAge, Detail: probeDetail(quotes)},
		{Name: "inbox", OK: inbox.Holder != "" && inbox.ProbeAge <= readyAge, Detail: inboxDetail(inbox)},
	}
}

func probeDetail(age time.Duration) string {
	if age > time.Hour {
		return "no test message has come back through Redis"
	}
	return "the newest test message that came back through Redis is " + age.Round(time.Millisecond).String() + " old"
}

func inboxDetail(s accept.InboxState) string {
	if s.Holder == "" {
		return "no node takes in messages of the inbox"
	}
	return "held by " + s.Holder
}

// run starts every part and ends them in order.
//
//  1. not ready, no new sockets
//  2. clients are told and closed, spread over the drain
//  3. the listeners close
//  4. producers, feed, sessions and limiter stop
//  5. the hub stops; every goroutine has ended
func (n *node) run(ctx context.Context, public, admin net.Listener, stdout io.Writer) error {
	parts := newParts(n.log)
	fan := newParts(n.log)       // outlives the feed
	producers := newParts(n.log) // end before what they publish through
	fan.start("hub", n.hub.Run)
	fan.start("memory", func(ctx context.Context) error { return trimMemory(ctx, n.hub.Clients) })
	parts.start("redis health", n.health.Run)
	parts.start("board", n.board.Run)
	parts.start("publisher", n.publisher.Run)
	parts.start("rejected quotes", n.rejected.Run)
	parts.start("inbox", n.inbox.Run)
	parts.start("receiver", n.receiver.Run)
	parts.start("sessions", n.sessions.Run)
	parts.start("limiter", n.limiter.Run)
	parts.start("nodes", n.nodes.Run)
	if n.cfg.Embedded() {
		producers.start("simulator", func(ctx context.Context) error {
			return simulate(ctx, n.publisher, simulator.Config{Seed: uint64(time.Now().UnixNano()), Start: time.Now()}, n.log)
		})
	}
	open := web.NewHTTPServer(n.web.Public(), n.log)
	servers := []*http.Server{open}
	scheme := "http"
	if n.cert != nil {
		scheme = "https"
		open.TLSConfig = n.cert.config()
		parts.start("certificate", n.cert.Run)
		parts.start("public listener", func(context.Context) error { return serving(open.ServeTLS(public, "", "")) })
	} else {
		parts.start("public listener", func(context.Context) error { return serving(open.Serve(public)) })
	}
	if admin != nil {
		s := web.NewHTTPServer(n.web.Admin(), n.log)
		servers = append(servers, s)
		parts.start("admin listener", func(context.Context) error { return serving(s.Serve(admin)) })
		n.log.Info("admin listener", "addr", admin.Addr().String())
	}
	fmt.Fprintf(stdout, "fxcast is at %s://%s/\n", scheme, reachable(public.Addr()))
	n.log.Info("serving", "addr", public.Addr().String())

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-parts.failed:
	case failed = <-fan.failed:
	case failed = <-producers.failed:
	}
	n.web.StopAccepting()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.WS.DrainTimeout)
	defer cancel()
	n.log.Info("draining", "clients", n.hub.Clients())
	if err := n.hub.Drain(deadline, n.cfg.WS.DrainTimeout/2); err != nil {
		n.log.Warn("drain cut short", "clients", n.hub.Clients())
	}
	var closing sync.WaitGroup
	for _, s := range servers {
		closing.Go(func() {
			if s.Shutdown(deadline) != nil {
				_ = s.Close() // requests that did not end in time
			}
		})
	}
	closing.Wait()
	if err := n.web.Wait(deadline); err != nil {
		n.log.Warn("connections did not close in time")
	}
	producers.stop()
	if err := n.cache.Close(); err != nil {
		n.log.Warn("cache", "err", err)
	}
	parts.stop()
	fan.stop()
	for _, s := range n.sentinels {
		if err := s.Close(); err != nil {
			n.log.Warn("sentinel", "err", err)
		}
	}
	n.log.Info("stopped")
	return failed
}

func serving(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// reachable is an address as a browser on this machine takes it.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && (ip == nil || ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}

// parts runs functions until they are stopped together.
type parts struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	log    *slog.Logger
	failed chan error // the first that ended by itself
}

func newParts(logger *slog.Logger) *parts {
	ctx, cancel := context.WithCancel(context.Background())
	return &parts{ctx: ctx, cancel: cancel, log: logger, failed: make(chan error, 1)}
}

// start runs f, which should end only when its context does.
func (p *parts) start(name string, f func(context.Context) error) {
	p.wg.Go(func() {
		err := f(p.ctx)
		if p.ctx.Err() != nil || err == nil {
			return
		}
		select {
		case p.failed <- fmt.Errorf("%s: %w", name, err):
		default:
			p.log.Error("another part failed too", "part", name, "err", err)
		}
	})
}

// stop ends all and waits for them.
func (p *parts) stop() {
	p.cancel()
	p.wg.Wait()
}
