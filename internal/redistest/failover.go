package redistest

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"
)

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
		if time.Since(began) > repairAfter {
			began = time.Now()
			s.repair()
		}
		return false
	})
}

// repairAfter is longer than sentinels take to make an old master a replica.
const repairAfter = 15 * time.Second

// repair makes the other server follow the master that the sentinels agree on, as an operator would.
// A failover that the sentinels gave up may leave two masters, or servers that follow each other.
func (s *Sentinel) repair() {
	addr := s.MasterAddr()
	for i, master := range s.servers {
		replica := s.other(master)
		if master.Addr() != addr || !master.Running() || !replica.Running() {
			continue
		}
		s.t.Logf("redistest: %s does not follow %s after %v", replica.Addr(), addr, repairAfter)
		if strings.Contains(s.admins[i].Info(s.t.Context(), "replication").Val(), "role:master") {
			s.replicate(replica, master)
		}
	}
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
	return func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		return s.MasterAddr() == server.Addr() && strings.Contains(s.admin(server).Info(ctx, "replication").Val(), "role:master")
	}
}

// Restart starts a server that KillMaster killed, as a replica of the current master from its first
// moment: sentinels may promote it at any time after. It returns when the one follows the other.
func (s *Sentinel) Restart(killed *Server) {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.Master().Addr())
	killed.args = append(slices.Clone(sentinelServerArgs), "--replicaof", host, port)
	killed.Restart()
	s.AwaitWhole()
}
