package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// healthPings is the number of round trips of which Health takes the median.
const healthPings = 5

// observation is what one server reported about itself.
type observation struct {
	info          Info
	refusal       error // by which PING was answered, such as MISCONF; nil = none
	growth        growth
	settings      map[string]string // from CONFIG GET
	subscribers   []Client
	noSubscribers error  // why subscribers is missing
	cluster       fields // CLUSTER INFO; nil if the server is not part of a cluster
	noCluster     error  // why cluster is missing
	clusterClient bool   // the Admin's client is one for a cluster
}

// healthSettings are the settings that the checks look at.
var healthSettings = []string{
	"maxmemory-policy", "client-output-buffer-limit", "notify-keyspace-events",
	"stop-writes-on-bgsave-error", "save", "min-replicas-to-write",
}

// serverHealth checks one server.
func (a *Admin) serverHealth(ctx context.Context, srv server) Health {
	var h Health
	probe, refusal, err := srv.probe(ctx, healthPings)
	if err != nil {
		h.Checks = []Check{unreachable(srv.addr, err)}
		return h
	}
	h.LatencySeconds = &probe.MedianSeconds
	o, err := a.observe(ctx, srv)
	o.refusal = refusal
	if err != nil {
		h.Checks = []Check{unreachable(srv.addr, err)}
		return h
	}
	if v := o.info.Server; v != nil {
		h.Server, h.Version, h.Mode = Text(v.Name), v.Version, v.Mode
	}
	if r := o.info.Replication; r != nil {
		h.Role = role(r.Role)
	}
	h.Checks = append(h.Checks,
		Check{Name: CheckReachable, Result: OK, Value: "yes"}, checkLatency(probe, a.slowPing))
	h.Checks = append(h.Checks, o.checks()...)
	for i := range h.Checks {
		c := &h.Checks[i]
		c.Node, c.Why, c.Do = srv.addr, o.info.kind().text(c.Why), o.info.kind().text(c.Do)
	}
	return h
}

// observe asks a server for everything that the checks need. It fails only if the server stops
// answering.
func (a *Admin) observe(ctx context.Context, srv server) (observation, error) {
	o := observation{settings: map[string]string{}}
	var err error
	if o.info, err = a.info(ctx, srv); err != nil {
		return o, err
	}
	o.growth = a.record(srv.addr, newCounters(o.info, time.Now()))
	for _, name := range healthSettings {
		values, err := srv.config(ctx, name)
		if err != nil && !errors.Is(err, ErrNotOffered) {
			return o, err
		}
		if value, ok := values[name]; ok {
			o.settings[name] = value
		}
	}
	o.subscribers, o.noSubscribers = srv.clients(ctx, PubSubClients)
	if o.noSubscribers != nil && !errors.Is(o.noSubscribers, ErrNotOffered) {
		return o, o.noSubscribers
	}
	o.clusterClient = a.topology.Kind() == redislink.Cluster
	if on := o.info.Cluster; o.clusterClient || on != nil && on.Enabled != nil && *on.Enabled {
		text, err := srv.client.ClusterInfo(ctx).Result()
		if o.noCluster = classify(ctx, "cluster info", err); o.noCluster != nil && !errors.Is(o.noCluster, ErrNotOffered) {
			return o, o.noCluster
		}
		o.cluster = lines(text)
	}
	return o, nil
}

// checks returns the checks that apply to the server.
func (o observation) checks() []Check {
	list := []Check{o.checkRole()}
	if r := o.info.Replication; r != nil && (r.Role == "slave" || r.Replicas.Or(0) > 0 || o.lacksReplicas()) {
		list = append(list, o.checkReplication())
	}
	list = append(list,
		o.checkMemory(), o.checkPolicy(), o.checkEvictions(), o.checkConnections(),
		o.checkPersistence(), o.checkAOFRewrite(), o.checkBlocked(), o.checkOutputBuffers(), o.checkEvents(),
	)
	if o.cluster != nil {
		list = append(list, o.checkCluster())
	}
	return list
}

// role returns the role in the words of Redis 5.0 and later.
func role(r Text) Text {
	if r == "slave" {
		return "replica"
	}
	return r
}

// checkSentinels asks all sentinels at once for the master. Each of them should answer, name the
// same master, and have the quorum for a failover.
func (a *Admin) checkSentinels(ctx context.Context) Check {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	type answer struct {
		master string
		err    error // of the address
		quorum error
	}
	answers := make([]answer, len(a.sentinels))
	var all sync.WaitGroup
	for i, s := range a.sentinels {
		all.Go(func() {
			addr, err := s.GetMasterAddrByName(ctx, a.masterName).Result()
			if err != nil || len(addr) != 2 {
				answers[i].err = errors.Join(err, errors.New("no address"))
				return
			}
			answers[i].master = net.JoinHostPort(addr[0], addr[1])
			answers[i].quorum = s.CkQuorum(ctx, a.masterName).Err()
		})
	}
	all.Wait()
	masters := map[string]int{}
	silent := 0
	quorum := ""
	for _, one := range answers {
		switch {
		case one.err != nil:
			silent++
			continue
		case one.quorum != nil:
			quorum = printable(one.quorum.Error(), maxReason)
		}
		masters[one.master]++
	}
	n := len(a.sentinels)
	c := Check{
		Name: CheckSentinel, Result: OK, Limit: "all of them, with one master and a quorum",
		Value: Text(fmt.Sprintf("%d of %d sentinels know the master", n-silent, n)),
	}
	switch {
	case silent == n:
		c.Result, c.Why = Fail, "no sentinel answers: after a failover no program finds the new master"
	case 2*silent >= n:
		c.Result, c.Why = Fail, "most sentinels are silent: no failover can happen"
	case len(masters) > 1:
		c.Result, c.Why = Warn, "sentinels name different masters: a failover is in progress, or they cannot reach each other"
	case quorum != "":
		c.Result, c.Why = Warn, "no failover can happen: "+quorum
	case silent > 0:
		c.Result, c.Why = Warn, "if more sentinels fall silent, no failover can happen"
	}
	if c.Result != OK {
		c.Do = strings.Join([]string{
			"check that every sentinel runs and reaches the master and the other sentinels",
			"REDIS_ADDRS lists them, REDIS_MASTER_NAME is the master's name",
		}, "; ")
	}
	return c
}
