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

// Sentinel is a master and a replica, with three sentinels that replace a master after 1 s of
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
		s.servers[i].start("--repl-diskless-sync-delay", "0", "--repl-timeout", "5")
		s.admins[i] = s.servers[i].Client()
	}
	s.replicate(s.servers[1], s.servers[0])
	for range 3 {
		s.startSentinel(bin)
	}
	poll(t, "the sentinels know each other and the replica", func() bool {
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

// replicate makes a server the replica of another and waits for the link between them.
func (s *Sentinel) replicate(replica, master *Server) {
	s.t.Helper()
	c := replica.Client()
	host, port, _ := net.SplitHostPort(master.Addr())
	if err := c.ReplicaOf(s.t.Context(), host, port).Err(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	poll(s.t, "the replica is connected to its master", func() bool {
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
			"sentinel failover-timeout %[1]s 2000\nsentinel parallel-syncs %[1]s 1\n", masterName, master)
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

// Failover orders a failover from the sentinels, as an operator does. It returns when all sentinels
// agree on the new master and the other server follows it.
func (s *Sentinel) Failover() {
	s.t.Helper()
	isMaster := s.becomesMaster(s.other(s.Master()))
	var asked time.Time
	poll(s.t, "the other server is master", func() bool {
		if time.Since(asked) > 5*time.Second { // sentinels give a failover up after its timeout
			asked = time.Now()
			_ = s.clients[0].Failover(s.t.Context(), masterName).Err() // fails during a failover
		}
		return isMaster()
	})
	s.AwaitWhole()
}

// AwaitWhole waits until the sentinels agree on a master that accepts writes, and the other server,
// if it runs, follows that master.
func (s *Sentinel) AwaitWhole() {
	s.t.Helper()
	began := time.Now()
	poll(s.t, "the other server follows the master", func() bool {
		if s.whole() {
			return true
		}
		if master := s.Master(); time.Since(began) > 20*time.Second && s.other(master).Running() {
			began = time.Now()
			s.replicate(s.other(master), master) // a failover that was given up may leave two masters
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
		replicas, err := c.Replicas(ctx, masterName).Result()
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

// KillMaster kills the master and returns it. The replica becomes the master a few seconds later;
// see AwaitFailover.
func (s *Sentinel) KillMaster() *Server {
	s.t.Helper()
	m := s.Master()
	m.Kill()
	return m
}

// AwaitFailover waits until the sentinels agree on a master other than old, and it accepts writes.
func (s *Sentinel) AwaitFailover(old *Server) {
	s.t.Helper()
	poll(s.t, "the other server is master", s.becomesMaster(s.other(old)))
}

// other returns the server that is not one.
func (s *Sentinel) other(one *Server) *Server {
	if s.servers[0] == one {
		return s.servers[1]
	}
	return s.servers[0]
}

// becomesMaster returns a function that reports whether the sentinels name the server as master and
// it accepts writes.
func (s *Sentinel) becomesMaster(server *Server) func() bool {
	c := server.Client()
	return func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		return s.MasterAddr() == server.Addr() && strings.Contains(c.Info(ctx, "replication").Val(), "role:master")
	}
}

// Restart starts a server that KillMaster killed, as a replica of the current master.
func (s *Sentinel) Restart(killed *Server) {
	s.t.Helper()
	killed.Restart()
	s.replicate(killed, s.Master())
}
