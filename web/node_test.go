package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
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
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web"
)

const (
	adminToken   = "admin-token-0123456789-abcdef"
	publishToken = "publish-token-0123456789-abc"
	namedToken   = "named-token-0123456789-abcdef"
)

// A nodeConfig is what a test may want otherwise.
type nodeConfig struct {
	redis *redistest.Server // nil: a new one

	quoteTTL, staleAfter          time.Duration
	heartbeat, ping, writeTimeout time.Duration
	commands, symbols, conns      int
	rate                          session.Rate
	origins, channels             []string
	proxies                       []netip.Prefix
	noGuests, noTokens, tls       bool
	roles                         string
	publishPerSecond              int64
	redisConf                     string
	pubsub                        func(ctx context.Context, channel string, message []byte) (int64, error) // nil: as it is
}

// A testNode is a whole node on a real Redis, put together as cmd does it.
type testNode struct {
	t         testing.TB
	redis     *redistest.Server
	rdb       *redis.Client
	hub       *hub.Hub
	board     *receive.Board
	lasts     *receive.LastQuotes
	publisher *accept.Publisher
	sessions  *session.Manager
	receiver  *receive.Receiver
	inbox     *accept.Inbox
	cache     *cache.Cache
	nodes     *nodes.Nodes
	web       *web.Server
	registry  *prometheus.Registry
	public    *httptest.Server
	admin     *httptest.Server

	stopOnce sync.Once
	parts    sync.WaitGroup
	cancel   context.CancelFunc
	stopHub  context.CancelFunc
	hubDone  chan struct{}
	log      *logBuffer
}

// A logBuffer keeps what a node logs, for tests of secrets and panics.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startNode runs a node until the test ends. It is ready when startNode returns.
func startNode(t testing.TB, change func(*nodeConfig)) *testNode {
	t.Helper()
	cfg := nodeConfig{
		quoteTTL: time.Minute, staleAfter: 10 * time.Second,
		heartbeat: time.Second, ping: 20 * time.Second, writeTimeout: 10 * time.Second,
		commands: 1000, symbols: 200, conns: 1000, publishPerSecond: 1 << 20,
		rate: session.Rate{PerMinute: 1 << 20, PerHour: 1 << 20, PerDay: 1 << 20},
	}
	if change != nil {
		change(&cfg)
	}
	if cfg.redis == nil {
		cfg.redis = redistest.Start(t)
	}
	n := &testNode{t: t, redis: cfg.redis, registry: prometheus.NewRegistry(), log: &logBuffer{}, hubDone: make(chan struct{})}
	n.rdb = redis.NewClient(&redis.Options{Addr: cfg.redis.Addr(), DisableIdentity: true, ContextTimeoutEnabled: true,
		DialTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second})
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	keys := feed.Keys{Prefix: "fx:"}
	name := fmt.Sprintf("node-%p", n)
	n.hub = hub.New(hub.Config{Framings: web.Framings(), Heartbeat: cfg.heartbeat, Ping: cfg.ping, WriteTimeout: cfg.writeTimeout, Registerer: n.registry,
		Interest: func(symbol string) { n.receiver.InterestChanged(symbol) }})
	n.board = receive.NewBoard(receive.BoardConfig{Sink: n.hub, QuoteTTL: cfg.quoteTTL, StaleAfter: cfg.staleAfter, Registerer: n.registry, Logger: logger})
	n.lasts = receive.NewLastQuotes(n.board, n.rdb, keys)
	n.publisher = accept.NewPublisher(accept.PublisherConfig{Redis: n.rdb, Keys: keys, QuoteTTL: cfg.quoteTTL, Known: n.board.Last, Registerer: n.registry, Logger: logger})
	rejected := accept.NewRejectedLog(accept.RejectedConfig{Redis: n.rdb, Keys: keys, Registerer: n.registry, Logger: logger})
	n.inbox = accept.NewInbox(accept.InboxConfig{Redis: n.rdb, Keys: keys, Channel: "forex_updates", Base: "EUR", Node: name,
		Publisher: n.publisher, Rejected: rejected, Registerer: n.registry, Logger: logger})
	n.receiver = receive.NewReceiver(receive.ReceiverConfig{Redis: n.rdb, Keys: keys, Node: name, Channels: cfg.channels,
		Board: n.board, Sink: n.hub, Wanted: n.hub.Wanted, Registerer: n.registry, Logger: logger})
	n.sessions = session.New(session.Config{Redis: n.rdb, Node: name, AutoExtend: true, Registerer: n.registry, Logger: logger})
	limits := limiter.New(limiter.Config{Redis: n.rdb, OnRedisDown: "local", Registerer: n.registry, Logger: logger})
	var err error
	n.cache, err = cache.New(cache.Config{Redis: n.rdb, Namespaces: web.CacheNamespaces, Registerer: n.registry, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	n.nodes = nodes.New(nodes.Config{Redis: n.rdb, Node: name, Registerer: n.registry, Logger: logger})
	roles, err := session.LoadRoles(cfg.roles, session.RolesConfig{ParsePattern: feed.ParsePattern,
		Defaults: session.Grants{MaxSymbols: cfg.symbols, MaxConnections: cfg.conns, Rate: cfg.rate}})
	if err != nil {
		t.Fatal(err)
	}
	wc := web.Config{
		Hub: n.hub, Sessions: n.sessions, Limiter: limits, Lasts: n.lasts, Publisher: n.publisher, Rejected: rejected,
		Ready: n.ready, History: receive.NewHistory(n.rdb, keys), Cache: n.cache, Nodes: n.nodes, Prefix: "fx:",
		Admin: redisadmin.New(redisadmin.Config{Redis: n.rdb, ConfPath: cfg.redisConf, Logger: logger}),
		PubSub: func(ctx context.Context, channel string, message []byte) (int64, error) {
			return n.rdb.Publish(ctx, channel, message).Result()
		},
		CookieName: "session_id", GuestSessions: !cfg.noGuests, SecureCookies: cfg.tls,
		AllowedOrigins: cfg.origins, TrustedProxies: cfg.proxies, FeedBase: "EUR",
		PublishTier: limiter.Limit{Name: "publish", Max: cfg.publishPerSecond, Window: time.Second},
		Roles:       roles, Channels: cfg.channels, CommandsPerSecond: cfg.commands, Heartbeat: cfg.heartbeat,
		Registry: n.registry, Log: logger,
	}
	if !cfg.noTokens {
		wc.AdminTokens = []string{adminToken, "second-" + adminToken}
		wc.PublishTokens = []web.PublishToken{{Token: publishToken}, {Source: "bank", Token: namedToken}}
	}
	if cfg.pubsub != nil {
		wc.PubSub = cfg.pubsub
	}
	if n.web, err = web.New(wc); err != nil {
		t.Fatal(err)
	}

	hubCtx, stopHub := context.WithCancel(context.Background())
	n.stopHub = stopHub
	go func() { defer close(n.hubDone); n.hub.Run(hubCtx) }()
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	for _, run := range []func(context.Context) error{n.board.Run, n.publisher.Run, rejected.Run, n.inbox.Run, n.receiver.Run, n.sessions.Run, limits.Run, n.nodes.Run} {
		n.parts.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("a part of the node ended: %v", err)
			}
		})
	}
	n.public = serveHTTP(t, n.web.Public(), logger, cfg.tls)
	n.admin = serveHTTP(t, n.web.Admin(), logger, false)
	t.Cleanup(n.stop)
	eventually(t, "the node is ready", func() bool {
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

func (n *testNode) ready() []web.Check {
	const limit = 3 * time.Second
	inbox := n.inbox.State()
	return []web.Check{
		{Name: "quotes", OK: n.receiver.ProbeAge() <= limit},
		{Name: "inbox", OK: inbox.Holder != "" && inbox.ProbeAge <= limit},
	}
}

// stop takes the node down as cmd does.
func (n *testNode) stop() {
	n.stopOnce.Do(func() {
		deadline, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		n.web.StopAccepting()
		if err := n.hub.Drain(deadline, 100*time.Millisecond); err != nil {
			n.t.Errorf("drain: %v, %d clients left", err, n.hub.Clients())
		}
		for _, s := range []*httptest.Server{n.public, n.admin} {
			if err := s.Config.Shutdown(deadline); err != nil {
				n.t.Errorf("shutdown: %v", err)
			}
			s.Close()
		}
		if err := n.web.Wait(deadline); err != nil {
			n.t.Errorf("connections did not end: %v", err)
		}
		if err := n.cache.Close(); err != nil {
			n.t.Error(err)
		}
		n.cancel()
		n.parts.Wait()
		n.stopHub()
		<-n.hubDone
		n.rdb.Close()
		if log := n.log.String(); strings.Contains(log, "panicked") {
			n.t.Errorf("the node panicked:\n%s", lines(log, "panicked"))
		}
	})
}

func lines(text, with string) (found string) {
	for l := range strings.Lines(text) {
		if strings.Contains(l, with) {
			found += l
		}
	}
	return found
}

// signIn makes a session of a user and returns its token.
func (n *testNode) signIn(user, role string) (token string, s session.Session) {
	n.t.Helper()
	s, token, err := n.sessions.Create(n.t.Context(), session.Draft{UserID: user, Role: role})
	if err != nil {
		n.t.Fatal(err)
	}
	return token, s
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// connect opens a socket and reads its welcome.
func (n *testNode) connect(token string) (*client, message) {
	n.t.Helper()
	c := n.dial(token)
	return c, c.want("welcome")
}

// dial opens a socket.
func (n *testNode) dial(token string) *client {
	n.t.Helper()
	p, resp := upgrade(n.t, dialServer(n.t, n.public), "/ws", bearer(token), nil)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		n.t.Fatalf("connect: %s %s", resp.Status, body)
	}
	n.t.Cleanup(func() { p.Close() })
	return &client{p, n.t}
}

// user connects as a new user.
func (n *testNode) user() *client {
	n.t.Helper()
	token, _ := n.signIn("u-"+strings.ReplaceAll(n.t.Name(), "/", "-"), "user")
	c, _ := n.connect(token)
	return c
}

// lastQuotes is how many symbols have a last value.
func (n *testNode) lastQuotes() int {
	n.t.Helper()
	quotes, err := n.lasts.Quotes(n.t.Context(), []string{"*"})
	if err != nil {
		n.t.Fatal(err)
	}
	return len(quotes)
}

// publish has quotes accepted, given as symbol, bid, ask.
func (n *testNode) publish(quotes ...[3]string) []accept.Outcome {
	n.t.Helper()
	in := make([]feed.Quote, len(quotes))
	for i, q := range quotes {
		in[i] = feed.Quote{Symbol: feed.Symbol(q[0]), Bid: q[1], Ask: q[2]}
	}
	out, err := n.publisher.Publish(n.t.Context(), in)
	if err != nil {
		n.t.Fatal(err)
	}
	for i, o := range out {
		if o.Rejection != nil {
			n.t.Fatalf("%v rejected: %v", quotes[i], o.Rejection)
		}
	}
	return out
}

// An httpClient is an HTTP client with cookies of its own.
type httpClient struct {
	t    testing.TB
	base string
	http *http.Client
}

func newHTTPClient(t testing.TB, s *httptest.Server) *httpClient {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: (&net.Dialer{}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &httpClient{t, s.URL, &http.Client{Transport: tr, Jar: jar, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// An answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *httpClient) do(method, path, body string, header http.Header) answer {
	b.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// into decodes a body that must be JSON with this status.
func (a answer) into(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %s, want %d and JSON", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
}

// A problem is an RFC 9457 answer.
type problem struct {
	Type, Title, Detail, Instance string
	Status                        int
}

// problem wants an error answer, which is always problem+json.
func (a answer) problem(t testing.TB, status int) problem {
	t.Helper()
	var p problem
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %s %s, want %d and problem+json", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Status != status || p.Title == "" || p.Type == "" {
		t.Fatalf("%s: %v, want a problem with type, title and status %d", a.body, err, status)
	}
	return p
}
