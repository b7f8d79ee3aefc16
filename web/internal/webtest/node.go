// Package webtest runs a whole node on a real Redis for the tests of web and its rooms, and
// has the clients that they speak to it with: HTTP, WebSocket and the browser.
package webtest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web"
	"github.com/fxcast/fxcast/web/admin"
	"github.com/fxcast/fxcast/web/live"
)

const (
	AdminToken   = "admin-token-0123456789-abcdef"
	PublishToken = "publish-token-0123456789-abc"
	NamedToken   = "named-token-0123456789-abcdef"
)

// KeptCandles are the candles that a node keeps by default.
var KeptCandles = feed.KeptCandles{{Interval: feed.Minute, For: 72 * time.Hour}, {Interval: feed.Hour, For: 60 * 24 * time.Hour}, {Interval: feed.Day, For: 5 * 365 * 24 * time.Hour}}

// A Config is what a test may want otherwise.
type Config struct {
	Redis *redistest.Server // nil: a new one

	QuoteTTL, StaleAfter          time.Duration
	LastKnown                     time.Duration
	Heartbeat, Ping, WriteTimeout time.Duration
	Commands, Symbols, Conns      int
	Rate                          session.Rate
	GuestsPerMinute               int64 // of one address; 0: any number
	Origins, Channels             []string
	Proxies                       []netip.Prefix
	NoGuests, NoTokens, TLS       bool
	Compression                   bool // permessage-deflate
	Roles                         string
	OwnHost                       string // address of both listeners, which then refuse a foreign Host
	PublishPerSecond              int64
	Notice                        string
	Simulated                     bool // the welcome says that quotes are the simulator's
	Replicated                    bool // answers of published quotes wait for a replica
	RedisConf                     string
	Instruments                   *feed.Instruments
	Candles                       feed.KeptCandles                                                         // nil: none
	PubSub                        func(ctx context.Context, channel string, message []byte) (int64, error) // nil: as it is
}

// A Node is a whole node on a real Redis, put together as cmd does it.
type Node struct {
	T         testing.TB
	Redis     *redistest.Server
	RDB       *redis.Client
	Hub       *hub.Hub
	board     *receive.Board
	Lasts     *receive.LastQuotes
	Publisher *accept.Publisher
	Sessions  *session.Manager
	receiver  *receive.Receiver
	candles   *receive.CandleStream
	inbox     *accept.Inbox
	lost      *redislink.Health
	Cache     *cache.Cache
	Nodes     *nodes.Nodes
	Recorder  *admin.Recorder
	Web       *web.Server
	Registry  *prometheus.Registry
	Public    *httptest.Server
	Admin     *httptest.Server

	stopOnce sync.Once
	parts    sync.WaitGroup
	cancel   context.CancelFunc
	stopHub  context.CancelFunc
	hubDone  chan struct{}
	Log      *redistest.Log
}

// Start runs a node until the test ends. It is ready when Start returns.
func Start(t testing.TB, change func(*Config)) *Node {
	t.Helper()
	cfg := Config{
		QuoteTTL: time.Minute, StaleAfter: 10 * time.Second,
		Heartbeat: time.Second, Ping: 20 * time.Second, WriteTimeout: 10 * time.Second,
		Candles: KeptCandles, Commands: 1000, Symbols: 200, Conns: 1000, PublishPerSecond: 1 << 20,
		Rate: session.Rate{PerMinute: 1 << 20, PerHour: 1 << 20, PerDay: 1 << 20},
	}
	if change != nil {
		change(&cfg)
	}
	if cfg.Redis == nil {
		cfg.Redis = redistest.Start(t)
	}
	n := &Node{T: t, Redis: cfg.Redis, Registry: prometheus.NewRegistry(), Log: &redistest.Log{}, hubDone: make(chan struct{})}
	n.RDB = redis.NewClient(&redis.Options{Addr: cfg.Redis.Addr(), DisableIdentity: true, ContextTimeoutEnabled: true,
		PipelinePoolSize: -1, // one pool, as the program has
		DialTimeout:      time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second})
	logger := slog.New(slog.NewTextHandler(n.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys := feed.Keys{Prefix: "fx:"}
	name := fmt.Sprintf("node-%p", n)
	n.Hub = hub.New(hub.Config{Framings: live.Framings(), Heartbeat: cfg.Heartbeat, Ping: cfg.Ping, WriteTimeout: cfg.WriteTimeout, Registerer: n.Registry, Ordered: true,
		Interest: func(symbol string) { n.receiver.InterestChanged(symbol); n.candles.InterestChanged(symbol) }})
	candles := receive.NewCandles(n.RDB, keys, cfg.Instruments, cfg.Candles)
	n.candles = receive.NewCandleStream(receive.CandleStreamConfig{Candles: candles, Sink: n.Hub, Registerer: n.Registry, Logger: logger})
	n.lost = redislink.NewHealth()
	n.board = receive.NewBoard(receive.BoardConfig{Sink: n.Hub, Candles: n.candles, QuoteTTL: cfg.QuoteTTL, StaleAfter: cfg.StaleAfter, LastKnown: cfg.LastKnown, Instruments: cfg.Instruments, Registerer: n.Registry, Logger: logger})
	n.Lasts = receive.NewLastQuotes(n.board, n.RDB, keys)
	n.Publisher = accept.NewPublisher(accept.PublisherConfig{Redis: n.RDB, Keys: keys, Candles: cfg.Candles, QuoteTTL: cfg.QuoteTTL, Gate: accept.Gate{LastKnown: cfg.LastKnown}, Instruments: cfg.Instruments, Known: n.board.Last, Replicated: cfg.Replicated, Registerer: n.Registry, Logger: logger})
	rejected := accept.NewRejectedLog(accept.RejectedConfig{Redis: n.RDB, Keys: keys, Registerer: n.Registry, Logger: logger})
	n.inbox = accept.NewInbox(accept.InboxConfig{Redis: n.RDB, Keys: keys, Channel: "forex_updates", Input: feed.InputOptions{Instruments: cfg.Instruments, Base: "EUR"}, Node: name,
		Publisher: n.Publisher, Rejected: rejected, Registerer: n.Registry, Logger: logger})
	n.receiver = receive.NewReceiver(receive.ReceiverConfig{Redis: n.RDB, Keys: keys, Node: name, Channels: cfg.Channels,
		Board: n.board, Sink: n.Hub, Lost: n.lost.Signal("quotes"), Wanted: n.Hub.Wanted, Registerer: n.Registry, Logger: logger})
	n.Sessions = session.New(session.Config{Redis: n.RDB, Node: name, AutoExtend: true, Registerer: n.Registry, Logger: logger})
	// On a busy machine a decision may take longer than in production; made locally, it would count
	// for this node alone.
	limits := limiter.New(limiter.Config{Redis: n.RDB, OnRedisDown: "local", Timeout: 2 * time.Second, Registerer: n.Registry, Logger: logger})
	var err error
	n.Cache, err = cache.New(cache.Config{Redis: n.RDB, Namespaces: web.CacheNamespaces, Registerer: n.Registry, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	n.Nodes = nodes.New(nodes.Config{Redis: n.RDB, Node: name, Registerer: n.Registry, Logger: logger})
	n.Recorder = admin.NewRecorder(admin.RecorderConfig{Metrics: n.Registry, Ping: func(ctx context.Context) error { return n.RDB.Ping(ctx).Err() }, Log: logger})
	roles, err := session.LoadRoles(cfg.Roles, session.RolesConfig{ParsePattern: cfg.Instruments.ParsePattern,
		Defaults: session.Grants{MaxSymbols: cfg.Symbols, MaxConnections: cfg.Conns, Rate: cfg.Rate}})
	if err != nil {
		t.Fatal(err)
	}
	wc := web.Config{
		Hub: n.Hub, Sessions: n.Sessions, Limiter: limits, Lasts: n.Lasts, Publisher: n.Publisher, Rejected: rejected,
		Ready: n.ready, History: receive.NewHistory(n.RDB, keys), Candles: candles, Cache: n.Cache, Nodes: n.Nodes, Recorder: n.Recorder, Prefix: "fx:",
		Admin: redisadmin.New(redisadmin.Config{Redis: n.RDB, ConfPath: cfg.RedisConf, Logger: logger}),
		PubSub: func(ctx context.Context, channel string, message []byte) (int64, error) {
			return n.RDB.Publish(ctx, channel, message).Result()
		},
		Notice: cfg.Notice, Simulated: func() bool { return cfg.Simulated },
		PublicHost: cfg.OwnHost, AdminHost: cfg.OwnHost,
		CookieName: "session_id", GuestSessions: !cfg.NoGuests, SecureCookies: cfg.TLS,
		AllowedOrigins: cfg.Origins, TrustedProxies: cfg.Proxies, FeedBase: "EUR", Instruments: cfg.Instruments,
		GuestTier:   limiter.Limit{Name: "guest", Max: cfg.GuestsPerMinute, Window: time.Minute},
		PublishTier: limiter.Limit{Name: "publish", Max: cfg.PublishPerSecond, Window: time.Second},
		Roles:       roles, Channels: cfg.Channels, CommandsPerSecond: cfg.Commands, Compression: cfg.Compression, Heartbeat: cfg.Heartbeat,
		Registry: n.Registry, Log: logger,
	}
	if !cfg.NoTokens {
		wc.AdminTokens = []string{AdminToken, "second-" + AdminToken}
		wc.PublishTokens = []web.PublishToken{{Token: PublishToken}, {Source: "bank", Token: NamedToken}}
	}
	if cfg.PubSub != nil {
		wc.PubSub = cfg.PubSub
	}
	if n.Web, err = web.New(wc); err != nil {
		t.Fatal(err)
	}

	hubCtx, stopHub := context.WithCancel(context.Background())
	n.stopHub = stopHub
	go func() { defer close(n.hubDone); n.Hub.Run(hubCtx) }()
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	lostRun := func(ctx context.Context) error { return n.lost.Run(ctx, n.Hub.Degraded) }
	for _, run := range []func(context.Context) error{lostRun, n.board.Run, n.Publisher.Run, rejected.Run, n.inbox.Run, n.receiver.Run, n.candles.Run, n.Sessions.Run, limits.Run, n.Nodes.Run, n.Recorder.Run} {
		n.parts.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("a part of the node ended: %v", err)
			}
		})
	}
	n.Public = serveHTTP(t, n.Web.Public(), logger, cfg.TLS)
	n.Admin = serveHTTP(t, n.Web.Admin(), logger, false)
	t.Cleanup(n.Stop)
	Eventually(t, "the node is ready", func() bool {
		for _, c := range n.ready() {
			if !c.OK {
				return false
			}
		}
		return true
	})
	return n
}

func serveHTTP(t testing.TB, h http.Handler, logger *slog.Logger, encrypted bool) *httptest.Server {
	s := httptest.NewUnstartedServer(nil)
	s.Config = web.NewHTTPServer(h, logger)
	if encrypted {
		s.StartTLS()
	} else {
		s.Start()
	}
	return s
}

func (n *Node) ready() []web.Check {
	return []web.Check{{Name: "redis", OK: !n.lost.Lost()}, {Name: "inbox", OK: n.inbox.Leader() != ""}}
}

// Stop takes the node down as cmd does.
func (n *Node) Stop() {
	n.stopOnce.Do(func() {
		deadline, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		n.Web.StopAccepting()
		if err := n.Hub.Drain(deadline, 100*time.Millisecond); err != nil {
			n.T.Errorf("drain: %v, %d clients left", err, n.Hub.Clients())
		}
		for _, s := range []*httptest.Server{n.Public, n.Admin} {
			if err := s.Config.Shutdown(deadline); err != nil {
				n.T.Errorf("shutdown: %v", err)
			}
			s.Close()
		}
		if err := n.Web.Wait(deadline); err != nil {
			n.T.Errorf("connections did not end: %v", err)
		}
		if err := n.Cache.Close(); err != nil {
			n.T.Error(err)
		}
		n.cancel()
		n.parts.Wait()
		n.stopHub()
		<-n.hubDone
		n.RDB.Close()
		if log := n.Log.Lines("panicked"); log != "" {
			n.T.Errorf("the node panicked:\n%s", log)
		}
	})
}

// SignIn makes a session of a user and returns its token.
func (n *Node) SignIn(user, role string) (token string, s session.Session) {
	n.T.Helper()
	s, token, err := n.Sessions.Create(n.T.Context(), session.Draft{UserID: user, Role: role})
	if err != nil {
		n.T.Fatal(err)
	}
	return token, s
}

// Connect opens a socket and reads its welcome.
func (n *Node) Connect(token string) (*Client, Message) {
	n.T.Helper()
	c := n.Dial(token)
	return c, c.Want("welcome")
}

// Dial opens a socket.
func (n *Node) Dial(token string) *Client {
	n.T.Helper()
	p, resp := Upgrade(n.T, DialServer(n.T, n.Public), "/ws", Bearer(token), nil)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		n.T.Fatalf("connect: %s %s", resp.Status, body)
	}
	n.T.Cleanup(func() { p.Close() })
	return NewClient(p, n.T)
}

// DialBinary opens a socket with the subprotocol of binary quotes.
func (n *Node) DialBinary(token string) *Client {
	n.T.Helper()
	h := Bearer(token)
	h["Sec-Websocket-Protocol"] = []string{protocol.Name + ", " + protocol.NameBinary}
	h["Sec-Websocket-Extensions"] = []string{"permessage-deflate"}
	p, resp := Upgrade(n.T, DialServer(n.T, n.Public), "/ws", h, nil)
	n.T.Cleanup(func() { p.Close() })
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-Websocket-Protocol") != protocol.NameBinary || resp.Header.Get("Sec-Websocket-Extensions") != "" {
		n.T.Fatalf("connect: %s, %v", resp.Status, resp.Header)
	}
	c := NewClient(p, n.T)
	c.Binary = new(protocol.Decoder)
	return c
}

// BinaryUser connects as a new user of binary quotes.
func (n *Node) BinaryUser() *Client {
	n.T.Helper()
	token, _ := n.SignIn("b-"+strings.ReplaceAll(n.T.Name(), "/", "-"), "user")
	c := n.DialBinary(token)
	if m := c.Want("welcome"); m.Protocol != protocol.NameBinary {
		n.T.Errorf("welcome %s", m.Raw)
	}
	return c
}

// User connects as a new user.
func (n *Node) User() *Client {
	n.T.Helper()
	token, _ := n.SignIn("u-"+strings.ReplaceAll(n.T.Name(), "/", "-"), "user")
	c, _ := n.Connect(token)
	return c
}

// LastQuotes is how many symbols have a last value.
func (n *Node) LastQuotes() int {
	n.T.Helper()
	quotes, err := n.Lasts.Quotes(n.T.Context(), []string{"*"})
	if err != nil {
		n.T.Fatal(err)
	}
	return len(quotes)
}

// Publish has quotes accepted, given as symbol, bid, ask.
func (n *Node) Publish(quotes ...[3]string) []accept.Outcome {
	n.T.Helper()
	in := make([]feed.Quote, len(quotes))
	for i, q := range quotes {
		in[i] = feed.Quote{Symbol: feed.Symbol(q[0]), Bid: q[1], Ask: q[2]}
	}
	out, err := n.Publisher.Publish(n.T.Context(), in)
	if err != nil {
		n.T.Fatal(err)
	}
	for i, o := range out {
		if o.Rejection != nil {
			n.T.Fatalf("%v rejected: %v", quotes[i], o.Rejection)
		}
	}
	return out
}

// Quote publishes a quote again and again until stop is called.
func (n *Node) Quote(t testing.TB, symbol, bid, ask string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for redislink.Sleep(ctx, 50*time.Millisecond) {
			if _, err := n.Publisher.Publish(ctx, []feed.Quote{{Symbol: feed.Symbol(symbol), Bid: bid, Ask: ask}}); err != nil && ctx.Err() == nil {
				t.Errorf("publish: %v", err)
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); publishing.Wait() })
	t.Cleanup(stop)
	return stop
}
