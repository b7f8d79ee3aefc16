package main

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
)

// asProgram in its environment makes the test binary the program itself.
const asProgram = "BROADCASTER_TEST_PROGRAM"

// A processNode is a node that is a process of its own, configured by its
// environment as users do it. Its testNode has no parts to look into.
type processNode struct {
	*testNode
	environ        []string
	stdout, stderr *lineWriter
	cmd            *exec.Cmd
	ended          chan struct{} // closed when the process has; err is set then
	err            error
	stopOnce       *sync.Once
}

// startProcess starts a node and waits until it is ready.
func startProcess(t *testing.T, environ ...string) *processNode {
	t.Helper()
	p := launchProcess(t, environ...)
	p.awaitReady()
	return p
}

// launchProcess starts a node and waits until its listeners are open.
func launchProcess(t *testing.T, environ ...string) *processNode {
	t.Helper()
	p := &processNode{environ: environ, stdout: &lineWriter{}, stderr: &lineWriter{}, ended: make(chan struct{}), stopOnce: &sync.Once{}}
	p.testNode = &testNode{t: t, http: &http.Client{Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	p.stop = p.terminate
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Args = []string{"broadcaster"}
	p.cmd.Env = append([]string{asProgram + "=1", "PATH=" + os.Getenv("PATH"), "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
		"ADMIN_TOKEN=" + adminToken, "PUBLISH_TOKEN=" + pubToken + "," + namedSource + ":" + otherPub, "LOG_FORMAT=text", "LOG_LEVEL=debug",
		"RATE_PER_MINUTE=1000000", "RATE_PER_HOUR=1000000", "RATE_PER_DAY=1000000", "WS_MAX_CONNECTIONS_PER_USER=1000", "DRAIN_TIMEOUT=2s"}, environ...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = redistest.ProcAttr()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(p.terminate)
	eventually(t, "the listeners are open", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("it ended: %v\n%s", p.err, p.stderr)
		default:
		}
		p.public = p.stdout.find(`fxcast is at (http://\S+?)/\s`)
		if admin := p.stderr.find(`msg="admin listener" addr=(\S+)`); admin != "" {
			p.admin = "http://" + admin
		}
		return p.public != "" && p.admin != ""
	})
	return p
}

// ready is the status of /readyz, 0 if there is no answer.
func (p *processNode) readyStatus() int {
	c := &http.Client{Timeout: 2 * time.Second}
	r, err := c.Get(p.public + "/readyz")
	if err != nil {
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}

func (p *processNode) awaitReady() {
	p.t.Helper()
	for deadline := time.Now().Add(patience); p.readyStatus() != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("the node does not become ready:\n%s", p.stderr)
		}
	}
}

// terminate ends the process as an operator does, and wants it to end well.
func (p *processNode) terminate() {
	p.stopOnce.Do(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
			if p.err != nil {
				p.t.Errorf("the node ended: %v\n%s", p.err, p.stderr)
			}
		case <-time.After(patience):
			p.t.Error("the node did not stop")
			p.cmd.Process.Kill()
			<-p.ended
		}
		p.http.CloseIdleConnections()
		if log := p.stderr.String(); strings.Contains(log, "panicked") || strings.Contains(log, "DATA RACE") {
			p.t.Errorf("the node panicked or raced:\n%s", log)
		}
	})
}

// kill ends the process at once.
func (p *processNode) kill() {
	p.stopOnce.Do(func() {
		p.cmd.Process.Kill()
		<-p.ended
		p.http.CloseIdleConnections()
	})
}

// A mode is one way to have a Redis.
type mode struct {
	name string

	// start starts it and returns the settings of a node and a client that may
	// do everything.
	start func(t *testing.T) ([]string, redis.UniversalClient)
}

// rights are what a node's user needs: nothing that is dangerous but INFO.
const rights = "~fx:* ~session:* ~ratelimit:* ~cache:* resetchannels &fx:* &forex_updates &news &__keyevent@0__:* +@all -@admin -@dangerous +info"

var (
	plain   = redistest.Options{}
	secured = redistest.Options{TLS: true, User: "fx", Password: "p@ss/w:rd", Rules: rights}
)

// modes are all but the embedded one, which only one node can be.
var modes = []mode{
	{"standalone", standalone(plain)},
	{"standalone with TLS and a user", standalone(secured)},
	{"sentinel", sentinel(plain)},
	{"sentinel with TLS and a user", sentinel(secured)},
	{"cluster", cluster(plain)},
	{"cluster with TLS and a user", cluster(secured)},
}

func standalone(opts redistest.Options) func(*testing.T) ([]string, redis.UniversalClient) {
	return func(t *testing.T) ([]string, redis.UniversalClient) {
		s := opts.Start(t)
		return append(trust(s.Security), "REDIS_URL="+s.URL()), s.Client()
	}
}

func sentinel(opts redistest.Options) func(*testing.T) ([]string, redis.UniversalClient) {
	return func(t *testing.T) ([]string, redis.UniversalClient) {
		s := opts.StartSentinel(t)
		return sentinelSettings(s, opts), s.Client()
	}
}

func sentinelSettings(s *redistest.Sentinel, opts redistest.Options) []string {
	return append(credentials(s.Security, opts), "REDIS_MODE=sentinel", "REDIS_ADDRS="+strings.Join(s.Addrs(), ","), "REDIS_MASTER_NAME="+s.MasterName())
}

func cluster(opts redistest.Options) func(*testing.T) ([]string, redis.UniversalClient) {
	return func(t *testing.T) ([]string, redis.UniversalClient) {
		c := opts.StartCluster(t)
		return clusterSettings(c, opts), c.Client()
	}
}

func clusterSettings(c *redistest.Cluster, opts redistest.Options) []string {
	return append(credentials(c.Security, opts), "REDIS_MODE=cluster", "REDIS_ADDRS="+strings.Join(c.Addrs()[:2], ","))
}

func trust(s *redistest.Security) []string {
	if s.CertFile == "" {
		return nil
	}
	return []string{"SSL_CERT_FILE=" + s.CertFile}
}

// credentials are the user, and the URL where only its scheme counts.
func credentials(s *redistest.Security, opts redistest.Options) (environ []string) {
	environ = trust(s)
	if opts.TLS {
		environ = append(environ, "REDIS_URL=rediss://127.0.0.1")
	}
	if opts.User != "" {
		environ = append(environ, "REDIS_USERNAME="+opts.User, "REDIS_PASSWORD="+opts.Password)
	}
	return environ
}
