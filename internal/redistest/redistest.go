// Package redistest gives tests a Redis of their own: real redis-server
// processes that the test may kill, pause and restart, alone (Start), watched
// by sentinels (StartSentinel) or as a cluster (StartCluster), each with TLS and
// users if wanted (Options); an in-process one (Embedded); and a proxy whose
// network the test breaks (StartProxy).
//
// Every server listens on a free port of 127.0.0.1, keeps its files in the
// test's temporary directory and is gone when the test ends.
package redistest

import (
	"net"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long a server may take until it accepts connections, and everything else
// that this package waits for.
const startTimeout = time.Minute

// Durable are the arguments of a server that has, after Kill and Restart, all
// that it had answered. It writes its append-only file before each answer and
// leaves the disk to the kernel, which a killed process does not take along:
// with everysec a slow disk puts the writing off, by up to 2 s.
var Durable = []string{"--appendonly", "yes", "--appendfsync", "no"}

// Server is a redis-server process. Its methods may be called from one
// goroutine at a time, the one that runs the test.
type Server struct {
	*Security

	t    testing.TB
	opts Options
	bin  string
	dir  string
	args []string // beside those of opts
	port string

	proc *process // nil after Kill
}

// Start starts a redis-server without persistence, with args appended to its
// command line. It skips the test if there is no redis-server on PATH, and
// fails it instead if FXCAST_REQUIRE_ALL is 1.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return Options{Args: args}.Start(t)
}

// Start is Start with more choice.
func (o Options) Start(t testing.TB) *Server {
	t.Helper()
	s := newServer(t, o, findServer(t), o.security(t))
	s.start()
	return s
}

// newServer is a server that does not run yet.
func newServer(t testing.TB, o Options, bin string, sec *Security) *Server {
	s := &Server{Security: sec, t: t, opts: o, bin: bin, dir: t.TempDir()}
	t.Cleanup(s.Kill)
	return s
}

// start starts it on a port of its own.
func (s *Server) start(args ...string) {
	s.t.Helper()
	s.args = args
	// The port is free when it is chosen and may be taken by another process
	// before the server binds it.
	var out string
	for range 5 {
		s.port = freePort(s.t)
		if out = s.launch(); s.proc != nil {
			return
		}
	}
	s.t.Fatalf("redistest: redis-server did not start:\n%s", out)
}

// Addr returns host:port. It stays the same over Restart.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL returns the address as a redis:// or rediss:// URL, with the User of the
// Options.
func (s *Server) URL() string {
	u := url.URL{Scheme: s.scheme(), Host: s.Addr(), Path: "/0"}
	if s.opts.User != "" {
		u.User = url.UserPassword(s.opts.User, s.opts.Password)
	}
	return u.String()
}

// Client returns a new client of the server that may do everything, closed
// when the test ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(s.clientOptions(s.Addr()))
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

// Running reports whether the server was started and not killed since.
func (s *Server) Running() bool { return s.proc != nil }

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
func (s *Server) launch() (printed string) {
	s.t.Helper()
	s.proc, printed = launch(s.t, s.bin, "Ready to accept connections", slices.Concat(s.listenArgs(s.port), s.aclArgs(), []string{
		"--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args, s.opts.Args)...)
	return printed
}
