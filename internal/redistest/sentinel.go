package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master and a replica, with three sentinels that replace a master after 2 s of
// silence. Each of the five is a process. Only the goroutine that runs the test may call the
// methods.
type Sentinel struct {
	*Security

	t         testing.TB
	servers   [2]*Server
	admins    [2]*redis.Client // by server
	sentinels []*process
	addrs     []string
	clients   []*redis.SentinelClient
}

const (
	// downAfter is longer than the second after which a sentinel sends its first PING to a new master.
	// With a second sentinels often take a new master for dead, and promote the server that has just
	// been restarted, before it has the data.
	downAfter = 2 * time.Second
	// failoverTimeout is longer than the second after which a sentinel looks at a promoted replica. A
	// failover that is given up before leaves two masters.
	failoverTimeout = 3 * time.Second
)

// sentinelServerArgs are those of both servers.
var sentinelServerArgs = []string{"--repl-diskless-sync-delay", "0", "--repl-timeout", "5"}

// masterName is the name of the master in the sentinels.
const masterName = "fxmaster"

// StartSentinel starts the servers and sentinels. It returns when the sentinels know each other and
// the replica.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	return Options{}.StartSentinel(t)
}

// StartSentinel starts servers and sentinels with the options; see the function StartSentinel. With
// TLS the sentinels accept TLS only, too. They never require a password.
func (o Options) StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	bin := findServer(t)
	s := &Sentinel{Security: o.security(t), t: t}
	for i := range s.servers {
		s.servers[i] = newServer(t, o, bin, s.Security)
		s.servers[i].start(sentinelServerArgs...)
		s.admins[i] = s.servers[i].Client()
	}
	s.replicate(s.servers[1], s.servers[0])
	poll(s.t, "the replica is connected to its master", func() bool { return s.follows(s.servers[1]) })
	for range 3 {
		s.startSentinel(bin)
	}
	t.Cleanup(s.explain)
	poll(s.t, "the sentinels know each other and the replica", func() bool {
		for _, c := range s.clients {
			m, err := c.Master(t.Context(), masterName).Result()
			if err != nil || m["num-other-sentinels"] != "2" || m["num-slaves"] != "1" || m["flags"] != "master" {
				return false
			}
		}
		return true
	})
	return s
}

// replicate makes a server the replica of another.
func (s *Sentinel) replicate(replica, master *Server) {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr())
	if err := s.admin(replica).ReplicaOf(s.t.Context(), host, port).Err(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}

// follows reports whether a server is connected to its master.
func (s *Sentinel) follows(replica *Server) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	return strings.Contains(s.admin(replica).Info(ctx, "replication").Val(), "master_link_status:up")
}

func (s *Sentinel) admin(of *Server) *redis.Client { return s.admins[slices.Index(s.servers[:], of)] }

// explain logs the last lines of each process if the test has failed.
func (s *Sentinel) explain() {
	if !s.t.Failed() {
		return
	}
	for i, p := range s.sentinels {
		s.t.Logf("sentinel %s:\n%s", s.addrs[i], p.printed())
	}
	for _, server := range s.servers {
		if server.Running() {
			s.t.Logf("server %s:\n%s", server.Addr(), server.proc.printed())
		}
	}
}

func (s *Sentinel) startSentinel(bin string) {
	s.t.Helper()
	var out string
	for range 5 {
		port, dir := FreePort(s.t), s.t.TempDir()
		_, master, _ := net.SplitHostPort(s.servers[0].Addr())
		conf := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\nsentinel down-after-milliseconds %[1]s %[3]d\n"+
			"sentinel failover-timeout %[1]s %[4]d\nsentinel parallel-syncs %[1]s 1\n", masterName, master,
			downAfter.Milliseconds(), failoverTimeout.Milliseconds())
		if s.user != "" {
			conf += fmt.Sprintf("sentinel auth-user %[1]s %[2]s\nsentinel auth-pass %[1]s %[3]s\n", masterName, s.user, s.secret)
		}
		file := filepath.Join(dir, "sentinel.conf") // the sentinel rewrites this file
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			s.t.Fatalf("redistest: %v", err)
		}
		args := append([]string{file, "--sentinel", "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no"}, s.listenArgs(port)...)
		var p *process
		if p, out = launch(s.t, bin, "+monitor master", args...); p == nil {
			continue
		}
		s.t.Cleanup(p.kill)
		addr := net.JoinHostPort("127.0.0.1", port)
		c := redis.NewSentinelClient(&redis.Options{Addr: addr, TLSConfig: s.tlsConfig(), DisableIdentity: true})
		s.t.Cleanup(func() { c.Close() })
		s.sentinels, s.addrs, s.clients = append(s.sentinels, p), append(s.addrs, addr), append(s.clients, c)
		return
	}
	s.t.Fatalf("redistest: the sentinel did not start:\n%s", out)
}

// Addrs returns host:port of each sentinel.
func (s *Sentinel) Addrs() []string { return s.addrs }

// MasterName returns the name of the master in the sentinels.
func (s *Sentinel) MasterName() string { return masterName }

// MasterAddr returns host:port of the master; "" while the sentinels disagree.
func (s *Sentinel) MasterAddr() string {
	addr := ""
	for _, c := range s.clients {
		a, err := c.GetMasterAddrByName(s.t.Context(), masterName).Result()
		if err != nil || len(a) != 2 {
			return ""
		}
		answer := net.JoinHostPort(a[0], a[1])
		if addr != "" && addr != answer {
			return ""
		}
		addr = answer
	}
	return addr
}

// Master waits until the sentinels agree on the master and returns its server.
func (s *Sentinel) Master() (found *Server) {
	s.t.Helper()
	poll(s.t, "the sentinels agree on a master", func() bool {
		addr := s.MasterAddr()
		for _, server := range s.servers {
			if server.Addr() == addr {
				found = server
			}
		}
		return found != nil
	})
	return found
}

// Replica waits until the sentinels agree on the master and returns the other server.
func (s *Sentinel) Replica() *Server {
	s.t.Helper()
	return s.other(s.Master())
}

// Client returns a new client with all permissions that follows the master. It is closed when the
// test ends.
func (s *Sentinel) Client() *redis.Client {
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: s.addrs,
		Username: s.user, Password: s.secret, TLSConfig: s.tlsConfig(), DisableIdentity: true})
	s.t.Cleanup(func() { c.Close() })
	return c
}
