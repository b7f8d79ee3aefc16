package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master and a replica that three sentinels watch, each a process
// of its own. A master that is silent for 1 s is replaced. Its methods may be
// called from one goroutine at a time, the one that runs the test.
type Sentinel struct {
	*Security

	t         testing.TB
	servers   [2]*Server
	admins    [2]*redis.Client // of the servers
	sentinels []*process
	addrs     []string
	clients   []*redis.SentinelClient
}

// MasterName is the name the sentinels know the master by.
const MasterName = "fxmaster"

// StartSentinel starts them and returns when the sentinels know one another
// and the replica.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	return Options{}.StartSentinel(t)
}

// StartSentinel is StartSentinel with more choice. The sentinels too speak TLS
// only, if that is asked for; they want no password.
func (o Options) StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	bin := findServer(t)
	s := &Sentinel{Security: o.security(t), t: t}
	for i := range s.servers {
		s.servers[i] = newServer(t, o, bin, s.Security)
		s.servers[i].start("--repl-diskless-sync-delay", "0", "--repl-timeout", "5")
		s.admins[i] = s.servers[i].Client()
	}
	s.replicate(s.servers[1], s.servers[0])
	for range 3 {
		s.startSentinel(bin)
	}
	poll(t, "the sentinels know one another and the replica", func() bool {
		for _, c := range s.clients {
			m, err := c.Master(t.Context(), MasterName).Result()
			if err != nil || m["num-other-sentinels"] != "2" || m["num-slaves"] != "1" || m["flags"] != "master" {
				return false
			}
		}
		return true
	})
	return s
}

// replicate makes a server the replica of another and waits until it is.
func (s *Sentinel) replicate(replica, master *Server) {
	s.t.Helper()
	c := replica.Client()
	host, port, _ := net.SplitHostPort(master.Addr())
	if err := c.ReplicaOf(s.t.Context(), host, port).Err(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	poll(s.t, "the replica has a link to its master", func() bool {
		return strings.Contains(c.Info(s.t.Context(), "replication").Val(), "master_link_status:up")
	})
}

func (s *Sentinel) startSentinel(bin string) {
	s.t.Helper()
	var out string
	for range 5 {
		port, dir := freePort(s.t), s.t.TempDir()
		_, master, _ := net.SplitHostPort(s.servers[0].Addr())
		conf := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 2\nsentinel down-after-milliseconds %[1]s 1000\n"+
			"sentinel failover-timeout %[1]s 2000\nsentinel parallel-syncs %[1]s 1\n", MasterName, master)
		if s.user != "" {
			conf += fmt.Sprintf("sentinel auth-user %[1]s %[2]s\nsentinel auth-pass %[1]s %[3]s\n", MasterName, s.user, s.secret)
		}
		file := filepath.Join(dir, "sentinel.conf") // the sentinel writes to it
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

// Addrs returns host:port of the three sentinels.
func (s *Sentinel) Addrs() []string { return s.addrs }

// MasterName returns the name to ask the sentinels for.
func (s *Sentinel) MasterName() string { return MasterName }

// MasterAddr returns host:port of the master as the sentinels agree on it, ""
// while they do not.
func (s *Sentinel) MasterAddr() string {
	addr := ""
	for _, c := range s.clients {
		a, err := c.GetMasterAddrByName(s.t.Context(), MasterName).Result()
		if err != nil || len(a) != 2 {
			return ""
		}
		this := net.JoinHostPort(a[0], a[1])
		if addr != "" && addr != this {
			return ""
		}
		addr = this
	}
	return addr
}

// Master returns the server that is master now.
func (s *Sentinel) Master() *Server {
	s.t.Helper()
	return s.server(s.MasterAddr)
}

func (s *Sentinel) server(which func() string) (found *Server) {
	s.t.Helper()
	poll(s.t, "the sentinels agree on a master", func() bool {
		addr := which()
		for _, server := range s.servers {
			if server.Addr() == addr {
				found = server
			}
		}
		return found != nil
	})
	return found
}

// Client returns a new client of the master, whoever that is, that may do
// everything. It is closed when the test ends.
func (s *Sentinel) Client() *redis.Client {
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: MasterName, SentinelAddrs: s.addrs,
		Username: s.user, Password: s.secret, TLSConfig: s.tlsConfig(), DisableIdentity: true})
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Failover has the sentinels make the replica the master, as an operator does,
// and returns when all agree that it is and the other follows it.
func (s *Sentinel) Failover() {
	s.t.Helper()
	isMaster := s.becomesMaster(s.other(s.Master()))
	var asked time.Time
	poll(s.t, "another server is master", func() bool {
		if time.Since(asked) > 5*time.Second { // one that takes longer than its timeout is given up
			asked = time.Now()
			_ = s.clients[0].Failover(s.t.Context(), MasterName).Err() // or one is under way
		}
		return isMaster()
	})
	s.AwaitWhole()
}

// AwaitWhole waits until the sentinels agree on a master that takes writes, and
// the other server, if it runs, follows it and is known to.
func (s *Sentinel) AwaitWhole() {
	s.t.Helper()
	began := time.Now()
	poll(s.t, "the other server follows the master", func() bool {
		if s.whole() {
			return true
		}
		if master := s.Master(); time.Since(began) > 20*time.Second && s.other(master).Running() {
			began = time.Now()
			s.replicate(s.other(master), master) // a failover that was given up can leave two masters
		}
		return false
	})
}

func (s *Sentinel) whole() bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	master := s.MasterAddr()
	for i, server := range s.servers {
		if !server.Running() {
			continue
		}
		info := s.admins[i].Info(ctx, "replication").Val()
		if server.Addr() == master && !strings.Contains(info, "role:master") ||
			server.Addr() != master && !strings.Contains(info, "master_link_status:up") {
			return false
		}
	}
	for _, c := range s.clients {
		replicas, err := c.Replicas(ctx, MasterName).Result()
		if err != nil {
			return false
		}
		for _, r := range replicas {
			if net.JoinHostPort(r["ip"], r["port"]) != master && r["flags"] != "slave" && s.runs(r["port"]) {
				return false
			}
		}
	}
	return master != ""
}

func (s *Sentinel) runs(port string) bool {
	for _, server := range s.servers {
		if server.port == port {
			return server.Running()
		}
	}
	return false
}

// KillMaster kills the master and returns it; a few seconds later the replica
// is master, see AwaitFailover.
func (s *Sentinel) KillMaster() *Server {
	s.t.Helper()
	m := s.Master()
	m.Kill()
	return m
}

// AwaitFailover waits until the sentinels agree on another master than old and
// that one takes writes.
func (s *Sentinel) AwaitFailover(old *Server) {
	s.t.Helper()
	poll(s.t, "another server is master", s.becomesMaster(s.other(old)))
}

func (s *Sentinel) other(than *Server) *Server {
	if s.servers[0] == than {
		return s.servers[1]
	}
	return s.servers[0]
}

// becomesMaster returns a question: do the sentinels name the server, and does it
// take writes?
func (s *Sentinel) becomesMaster(server *Server) func() bool {
	c := server.Client()
	return func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		return s.MasterAddr() == server.Addr() && strings.Contains(c.Info(ctx, "replication").Val(), "role:master")
	}
}

// Restart starts a server that KillMaster killed, as replica of the master.
func (s *Sentinel) Restart(killed *Server) {
	s.t.Helper()
	killed.Restart()
	s.replicate(killed, s.Master())
}
