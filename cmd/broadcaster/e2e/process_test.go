package e2e

import (
	"context"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A processNode is a node that is a process of its own, configured by its
// environment as users do it.
type processNode struct {
	*testNode
	environ        []string
	stdout, stderr *programtest.Buffer
	cmd            *exec.Cmd
	ended          chan struct{} // closed when the process has; err is set then
	err            error
	stopOnce       *sync.Once
}

// startProcess starts a node with the settings of a test and waits until it is ready.
func startProcess(t *testing.T, environ ...string) *processNode {
	t.Helper()
	p := launchProcess(t, environ...)
	p.awaitReady()
	return p
}

// serveProgram starts a node with hardly more than the defaults and waits until it
// is ready.
func serveProgram(t *testing.T, environ ...string) *processNode {
	t.Helper()
	p := launch(t, environ)
	p.awaitReady()
	return p
}

// launchProcess starts a node with the settings of a test and waits until its
// listeners are open.
func launchProcess(t *testing.T, environ ...string) *processNode {
	t.Helper()
	return launchProcessBy(t, environ)
}

// launchProcessBy starts a node like launchProcess, by a command as launch does.
func launchProcessBy(t *testing.T, environ []string, by ...string) *processNode {
	t.Helper()
	return launch(t, append([]string{"ADMIN_TOKEN=" + adminToken, "PUBLISH_TOKEN=" + pubToken + "," + namedSource + ":" + otherPub, "LOG_LEVEL=debug",
		"RATE_PER_MINUTE=1000000", "RATE_PER_HOUR=1000000", "RATE_PER_DAY=1000000", "WS_MAX_CONNECTIONS_PER_USER=1000", "MAX_CONNECTIONS_PER_ADDRESS=100000", "DRAIN_TIMEOUT=2s"}, environ...), by...)
}

// launch starts a node on free ports, by a command that gets its path if there is one, and waits
// until its listeners are open.
func launch(t *testing.T, environ []string, by ...string) *processNode {
	t.Helper()
	p := &processNode{environ: environ, stdout: &programtest.Buffer{}, stderr: &programtest.Buffer{}, ended: make(chan struct{}), stopOnce: &sync.Once{}}
	p.testNode = &testNode{t: t, http: &http.Client{Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	p.stop = p.terminate
	p.cmd = program(context.Background(), t, append([]string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=text"}, environ...))
	if len(by) > 0 {
		by = append(by, p.cmd.Path)
		p.cmd.Path, p.cmd.Args = by[0], by
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = redistest.ProcAttr()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(p.terminate)
	programtest.Eventually(t, "the listeners are open", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("it ended: %v\n%s", p.err, p.stderr)
		default:
		}
		p.public = p.stdout.Find(`fxcast is at (https?://\S+?)/\s`)
		p.admin = p.stdout.Find(`The operator's page is at (http://\S+?)/\s`)
		if addr := p.stderr.Find(`msg="admin listener" addr=(\S+)`); addr != "" { // of version 0.1
			p.admin = "http://" + addr
		}
		return p.public != "" && p.admin != ""
	})
	return p
}

// exit ends the process as SIGTERM does and returns its exit code.
func (p *processNode) exit() int {
	p.terminate()
	return p.cmd.ProcessState.ExitCode()
}

// guest asks for a guest session and returns its cookie.
func (p *processNode) guest() *http.Cookie {
	p.t.Helper()
	r, err := http.Post(p.public+"/api/v1/session/guest", "", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusCreated || len(r.Cookies()) != 1 {
		p.t.Fatalf("guest session: %s", r.Status)
	}
	return r.Cookies()[0]
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
