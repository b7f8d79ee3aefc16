// Package redistest gives each test its own Redis:
//
//   - Start starts a redis-server that the test can kill, pause and restart;
//   - StartSentinel starts a master and a replica, with three sentinels;
//   - StartCluster starts a cluster of three masters;
//   - Options add TLS, users and arguments to each of these;
//   - Embedded starts an in-process server;
//   - StartProxy starts a proxy that simulates a broken network;
//   - Example starts a server for a testable example.
//
// Every server listens on a free port of 127.0.0.1 and keeps its files in the test's temporary
// directory. It ends with the test.
package redistest

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTimeout limits every wait of this package, such as for a server to accept connections.
const startTimeout = time.Minute

// Durable are the arguments of a server that keeps every confirmed write over Kill and Restart. It
// writes to its append-only file before each reply, and the kernel keeps the written bytes when the
// process is killed. With everysec a slow disk could delay the write by up to 2 s.
var Durable = []string{"--appendonly", "yes", "--appendfsync", "no"}

// Server is a redis-server process. Only the goroutine that runs the test may call its methods.
type Server struct {
	*Security

	t    testing.TB
	opts Options
	bin  string
	dir  string
	args []string // in addition to those of opts
	port string

	proc *process // nil after Kill
}

// Start starts a redis-server without persistence and appends args to its command line. Without a
// redis-server on PATH it skips the test, or fails it if FXCAST_REQUIRE_ALL is 1.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return Options{Args: args}.Start(t)
}

// Start starts a redis-server with the options; see the function Start.
func (o Options) Start(t testing.TB) *Server {
	t.Helper()
	s := newServer(t, o, findServer(t), o.security(t))
	s.start()
	return s
}

// newServer returns a server that does not run yet.
func newServer(t testing.TB, o Options, bin string, sec *Security) *Server {
	s := &Server{Security: sec, t: t, opts: o, bin: bin, dir: t.TempDir()}
	t.Cleanup(s.Kill)
	return s
}

// start starts the server on a free port.
func (s *Server) start(args ...string) {
	s.t.Helper()
	s.args = args
	// Another process may take a port before the server binds it.
	var out string
	for range 5 {
		s.port = FreePort(s.t)
		if i := slices.Index(s.args, "--cluster-port"); i >= 0 {
			s.args[i+1] = FreePort(s.t)
		}
		if out = s.launch(); s.proc != nil {
			return
		}
	}
	s.t.Fatalf("redistest: redis-server did not start:\n%s", out)
}

// Addr returns host:port. Restart does not change it.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL returns the address as a redis:// or rediss:// URL, with the user of the Options.
func (s *Server) URL() string {
	u := url.URL{Scheme: s.scheme(), Host: s.Addr(), Path: "/0"}
	if s.opts.User != "" {
		u.User = url.UserPassword(s.opts.User, s.opts.Password)
	}
	return u.String()
}

// Client returns a new client of the server with all permissions. It is closed when the test ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(s.clientOptions(s.Addr()))
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Cut ends the replication from a master to this server for good. A failover to it then forgets what
// is written from now on, and nothing else.
func (s *Server) Cut(master *Server) {
	s.t.Helper()
	ctx, replica, source := s.t.Context(), s.Client(), master.Client()
	field := func(c *redis.Client, name string) string {
		_, rest, _ := strings.Cut(c.Info(ctx, "replication").Val(), "\r\n"+name+":")
		value, _, _ := strings.Cut(rest, "\r\n")
		return value
	}
	poll(s.t, "the replica is up to date", func() bool {
		return field(source, "master_repl_offset") == field(replica, "slave_repl_offset")
	})
	for _, err := range []error{
		replica.ConfigSet(ctx, "masteruser", "nobody").Err(), replica.ConfigSet(ctx, "masterauth", "wrong").Err(),
		source.Do(ctx, "CLIENT", "KILL", "TYPE", "replica").Err(),
	} {
		if err != nil {
			s.t.Fatalf("redistest: cut the replication: %v", err)
		}
	}
	poll(s.t, "the replication is cut", func() bool { return field(replica, "master_link_status") == "down" })
}

// Kill ends the process with SIGKILL and waits for it. Without an append-only file the server's
// data is lost. Kill does nothing if the server is not running.
func (s *Server) Kill() {
	if s.proc == nil {
		return
	}
	s.proc.kill()
	s.proc = nil
}

// Running reports whether the server was started and not killed.
func (s *Server) Running() bool { return s.proc != nil }

// Pause stops the process with SIGSTOP. Connections stay open, and the server does not answer until
// Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Restart kills the server if it runs, and starts it again on the same port and in the same
// directory.
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

// launch starts the process and sets s.proc once the server accepts connections. Otherwise it
// returns the output of the server.
func (s *Server) launch() (printed string) {
	s.t.Helper()
	s.proc, printed = launch(s.t, s.bin, "Ready to accept connections", slices.Concat(s.listenArgs(s.port), s.aclArgs(), []string{
		"--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args, s.opts.Args)...)
	return printed
}
