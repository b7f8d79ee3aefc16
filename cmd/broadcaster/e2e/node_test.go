package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/node"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

const (
	// patience bounds every wait for what a busy machine may be slow to do.
	patience    = time.Minute
	adminToken  = "admin-token-0123456789-abcdef"
	otherAdmin  = "other-admin-token-0123456789"
	pubToken    = "publish-token-0123456789-abc"
	otherPub    = "other-publish-token-0123456789"
	namedSource = "desk"
)

// TestMain lets more tests run at once than there are processors: those of whole
// nodes mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("8")
	}
	code := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// A testNode is a node that runs in the process of the test, on free ports.
type testNode struct {
	cfg           config.Config
	t             *testing.T
	rdb           *redis.Client
	public, admin string // base URLs
	http          *http.Client
	log           *programtest.Buffer
	stop          func()
}

// startNode runs a node with these settings until the test ends. It is ready when startNode
// returns.
func startNode(t *testing.T, r *redistest.Server, settings ...string) *testNode {
	t.Helper()
	environ := append([]string{"REDIS_URL=" + r.URL(), "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "REDIS_MAX_CONNECTIONS=32",
		"ADMIN_TOKEN=" + adminToken + "," + otherAdmin, "PUBLISH_TOKEN=" + pubToken + "," + namedSource + ":" + otherPub,
		"RATE_PER_MINUTE=1000000", "RATE_PER_HOUR=1000000", "RATE_PER_DAY=1000000", "WS_MAX_CONNECTIONS_PER_USER=1000",
		"MAX_CONNECTIONS_PER_ADDRESS=100000", "DRAIN_TIMEOUT=2s", "LOG_LEVEL=debug"}, settings...)
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	n := &testNode{cfg: cfg, t: t, log: &programtest.Buffer{}, rdb: r.Client()}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := redisclient.Open(t.Context(), cfg, redisclient.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	running, err := node.New(cfg, client, logger)
	if err != nil {
		t.Fatal(err)
	}
	public, admin := listen(t), listen(t)
	n.public, n.admin = "http://"+public.Addr().String(), "http://"+admin.Addr().String()
	if cfg.HTTP.TLSCertFile != "" {
		n.public = "https://" + public.Addr().String()
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 16}
	n.http = &http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	others := listening(t, n.rdb)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx, public, admin, io.Discard) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the node ended: %v", err)
			}
		case <-time.After(patience):
			t.Error("the node did not stop")
		}
		transport.CloseIdleConnections()
		client.Close()
		if strings.Contains(n.log.String(), "panicked") {
			t.Errorf("the node panicked:\n%s", n.log)
		}
	})
	t.Cleanup(n.stop)
	programtest.Eventually(t, "the node is ready and hears of revocations", func() bool {
		return strings.Contains(n.log.String(), "serving") && n.readyStatus() == http.StatusOK && listening(t, n.rdb) > others
	})
	return n
}

// readyStatus is the status of /readyz, 0 if there is no answer.
func (n *testNode) readyStatus() int {
	c := &http.Client{Timeout: 10 * time.Second, Transport: n.http.Transport}
	r, err := c.Get(n.public + "/readyz")
	if err != nil {
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}

// sessions is another program's view of the sessions: it shares their Redis with the node.
func (n *testNode) sessions() *session.Manager {
	return session.New(session.Config{Redis: n.rdb, Prefix: n.cfg.Redis.Prefix, TTL: n.cfg.Session.TTL, AbsoluteTTL: n.cfg.Session.AbsoluteTTL})
}

// listening counts the nodes that would hear of a revocation: each live control
// subscription has a channel of its own.
func listening(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	channels, err := rdb.PubSubChannels(t.Context(), "fx:control:probe:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return len(channels)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// An answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; url is n.public or n.admin and the path.
func (n *testNode) do(method, url, body string, header http.Header) answer {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := n.http.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// into decodes a body that must have this status.
func (a answer) into(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%d %s, want %d", a.status, a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

type madeSession struct {
	ID        string `json:"session_id"`
	UserID    string `json:"user_id"`
	Role      string `json:"role"`
	Token     string `json:"token"`
	ExpiresAt string `json:"expires_at"`
}

// signIn makes a session through the admin API.
func (n *testNode) signIn(user, role string) (s madeSession) {
	n.t.Helper()
	n.do("POST", n.admin+"/api/v1/sessions", `{"user_id":"`+user+`","role":"`+role+`"}`, bearer(adminToken)).into(n.t, 201, &s)
	return s
}
