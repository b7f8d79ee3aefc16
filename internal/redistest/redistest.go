// Package redistest gives tests a Redis of their own: a real redis-server
// process that the test may kill, pause and restart, or an in-process one.
//
// Every server listens on a free port of 127.0.0.1, keeps its files in the
// test's temporary directory and is gone when the test ends.
package redistest

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long a server may take until it accepts connections.
const startTimeout = 20 * time.Second

// Server is a running redis-server process. Its methods may be called from
// one goroutine at a time, the one that runs the test.
type Server struct {
	t    testing.TB
	bin  string
	dir  string
	args []string
	port string

	proc *process // nil after Kill
}

// Start starts a redis-server without persistence. args are appended to its
// command line ("--maxmemory", "4mb") and win over the defaults. It skips the
// test if there is no redis-server on PATH, and fails it instead if
// FXCAST_REQUIRE_ALL is 1.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("redistest: no redis-server on PATH, and FXCAST_REQUIRE_ALL=1 requires one")
		}
		t.Skip("redistest: no redis-server on PATH")
	}
	s := &Server{t: t, bin: bin, dir: t.TempDir(), args: args}
	t.Cleanup(s.Kill)
	// The port is free when it is chosen and may be taken by another process
	// before the server binds it.
	var out string
	for range 5 {
		s.port = freePort(t)
		if out = s.launch(); s.proc != nil {
			return s
		}
	}
	t.Fatalf("redistest: redis-server did not start:\n%s", out)
	return nil
}

// Addr returns host:port. It stays the same over Restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL returns the address as a redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Client returns a new client of the server, closed when the test ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), DisableIdentity: true})
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Kill ends the process with SIGKILL and waits for it. Without an
// append-only file everything it held is lost. It does nothing if the server
// is not running.
func (s *Server) Kill() {
	if s.proc == nil {
		return
	}
	s.proc.kill()
	s.proc = nil
}

// Pause stops the process with SIGSTOP: connections stay open and nothing is
// answered until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Restart kills the server if it runs and starts it again on the same port
// and in the same directory.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	var out string
	for range 5 {
		if out = s.launch(); s.proc != nil {
			return
		}
		time.Sleep(50 * time.Millisecond) // the port may still be held
	}
	s.t.Fatalf("redistest: redis-server did not restart:\n%s", out)
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatal("redistest: the server is not running")
	}
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: signal %v: %v", sig, err)
	}
}

// launch starts the process and sets s.proc once it accepts connections;
// otherwise it returns what the server printed.
func (s *Server) launch() string {
	s.t.Helper()
	args := append([]string{
		"--port", s.port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args...)
	cmd := exec.Command(s.bin, args...)
	cmd.SysProcAttr = procAttr()
	p := &process{cmd: cmd, ready: make(chan struct{})}
	// The pipe is read by an own goroutine, so that the server never blocks
	// on its log.
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return err.Error()
	}
	p.done.Go(func() { p.readLog(r) })
	exited := make(chan struct{})
	p.done.Go(func() { cmd.Wait(); close(exited) })

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	// The server's own word is waited for, not a PING: a PING could be
	// answered by another process that took the port first.
	select {
	case <-p.ready:
		s.proc = p
		return ""
	case <-exited:
		p.done.Wait()
	case <-timeout.C:
		p.kill()
	}
	return p.log.String()
}

// process is one life of the server.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{}   // closed when the server says that it is ready
	log   strings.Builder // first lines printed; owned by readLog until done
	done  sync.WaitGroup  // readLog and Wait
}

func (p *process) readLog(r io.ReadCloser) {
	defer r.Close()
	const keep = 8 << 10
	isReady := false
	for sc := bufio.NewScanner(r); sc.Scan(); {
		if p.log.Len() < keep {
			p.log.WriteString(sc.Text() + "\n")
		}
		if !isReady && strings.Contains(sc.Text(), "Ready to accept connections") {
			isReady = true
			close(p.ready)
		}
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill() // SIGKILL also ends a paused process
	p.done.Wait()
}

func freePort(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
