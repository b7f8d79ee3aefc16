package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// healthPings is how many round trips a look takes the median of.
const healthPings = 5

// seen is what a node told of itself.
type seen struct {
	addr     string
	info     Info
	growth   growth
	settings map[string]string // what CONFIG GET gave
	pubsub   []Client
	pubsubOf error  // why there is no pubsub
	cluster  fields // CLUSTER INFO; nil if it does not concern this node
	clusters error  // why there is no cluster
	sharded  bool   // the client is one for a cluster
}

// The settings that checks look at.
var healthSettings = []string{
	"maxmemory-policy", "client-output-buffer-limit", "notify-keyspace-events", "stop-writes-on-bgsave-error", "save",
}

// nodeHealth looks at one node.
func (a *Admin) nodeHealth(ctx context.Context, n node) Health {
	var h Health
	probe, err := n.probe(ctx, healthPings)
	if err != nil {
		h.Checks = []Check{unreachable(n.addr, err)}
		return h
	}
	h.LatencySeconds = &probe.MedianSeconds
	s, err := a.look(ctx, n)
	if err != nil {
		h.Checks = []Check{unreachable(n.addr, err)}
		return h
	}
	if v := s.info.Server; v != nil {
		h.Server, h.Version, h.Mode = Text(v.Name), v.Version, v.Mode
	}
	if r := s.info.Replication; r != nil {
		h.Role = role(r.Role)
	}
	h.Checks = append(h.Checks, Check{Name: CheckReachable, Result: OK, Value: "yes"}, checkLatency(probe, a.slowPing))
	h.Checks = append(h.Checks, s.checks()...)
	for i := range h.Checks {
		h.Checks[i].Node = n.addr
	}
	return h
}

// look asks a node for everything the checks need. Only a node that stops
// answering is an error.
func (a *Admin) look(ctx context.Context, n node) (seen, error) {
	s := seen{addr: n.addr, settings: map[string]string{}}
	var err error
	if s.info, err = a.info(ctx, n); err != nil {
		return s, err
	}
	s.growth = a.see(n.addr, newLook(s.info, time.Now()))
	for _, name := range healthSettings {
		values, err := n.config(ctx, name)
		if err != nil && !errors.Is(err, ErrNotOffered) {
			return s, err
		}
		if value, ok := values[name]; ok {
			s.settings[name] = value
		}
	}
	if s.pubsub, s.pubsubOf = n.clients(ctx, PubSubClients); s.pubsubOf != nil && !errors.Is(s.pubsubOf, ErrNotOffered) {
		return s, s.pubsubOf
	}
	_, s.sharded = a.client.(*redis.ClusterClient)
	if on := s.info.Cluster; s.sharded || on != nil && on.Enabled != nil && *on.Enabled {
		text, err := n.client.ClusterInfo(ctx).Result()
		if s.clusters = ask(ctx, "cluster info", err); s.clusters != nil && !errors.Is(s.clusters, ErrNotOffered) {
			return s, s.clusters
		}
		s.cluster = lines(text)
	}
	return s, nil
}

// lines reads "a:1\r\nb:2".
func lines(text string) fields {
	f := fields{}
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			f[name] = value
		}
	}
	return f
}

func role(r Text) Text {
	if r == "slave" {
		return "replica"
	}
	return r
}

// checkSentinels asks all sentinels at once for the master: they should answer,
// agree, and have the quorum for a failover.
func (a *Admin) checkSentinels(ctx context.Context) Check {
	const each = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, each)
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
	for _, w := range answers {
		switch {
		case w.err != nil:
			silent++
			continue
		case w.quorum != nil:
			quorum = plain(w.quorum.Error(), maxReason)
		}
		masters[w.master]++
	}
	n := len(a.sentinels)
	c := Check{
		Name: CheckSentinel, Result: OK, Value: Text(fmt.Sprintf("%d of %d sentinels know the master", n-silent, n)),
		Limit: "all, of one mind, with a quorum",
	}
	switch {
	case silent == n:
		c.Result, c.Why = Fail, "no sentinel answers: after a failover nobody finds the new master"
	case 2*silent >= n:
		c.Result, c.Why = Fail, "most sentinels are silent: no failover can happen"
	case len(masters) > 1:
		c.Result, c.Why = Warn, "sentinels name different masters: a failover goes on, or they are cut off from one another"
	case quorum != "":
		c.Result, c.Why = Warn, "no failover can happen: "+quorum
	case silent > 0:
		c.Result, c.Why = Warn, "with more of them silent no failover can happen"
	}
	if c.Result != OK {
		c.Do = "see that every sentinel runs and reaches the master and the other sentinels; REDIS_ADDRS lists them, REDIS_MASTER_NAME is the master's name"
	}
	return c
}
