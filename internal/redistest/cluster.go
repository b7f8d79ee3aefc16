package redistest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Slots is the number of hash slots of a cluster.
const Slots = 16384

// Cluster is three masters that share the slots, each in its own process, and with Options.Replicas
// one replica per master. A master that is silent for a second counts as failed. Only the goroutine
// that runs the test may call its methods.
type Cluster struct {
	*Security

	t       testing.TB
	servers []*Server       // first the masters, then their replicas, as started
	clients []*redis.Client // by server
	ids     []string        // cluster IDs by server
}

const clusterMasters = 3

// StartCluster starts three masters and returns when each reports the cluster complete.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	return Options{}.StartCluster(t)
}

// StartCluster starts a cluster with the options; see the function StartCluster.
func (o Options) StartCluster(t testing.TB) *Cluster {
	t.Helper()
	bin := findServer(t)
	c := &Cluster{Security: o.security(t), t: t}
	n := clusterMasters
	if o.Replicas {
		n *= 2
	}
	for range n {
		s := newServer(t, o, bin, c.Security)
		s.start("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
			"--cluster-port", "", // start chooses a free one
			"--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")
		c.servers, c.clients = append(c.servers, s), append(c.clients, s.Client())
	}
	c.join()
	return c
}

// join connects the servers to one cluster.
func (c *Cluster) join() {
	c.t.Helper()
	ctx := c.t.Context()
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatalf("redistest: cluster: %v", err)
		}
	}
	for i, client := range c.clients {
		id, err := client.Do(ctx, "CLUSTER", "MYID").Text()
		must(err)
		c.ids = append(c.ids, id)
		must(client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i < clusterMasters {
			must(client.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", i*Slots/clusterMasters, (i+1)*Slots/clusterMasters-1).Err())
		}
	}
	for i, s := range c.servers[1:] {
		_, port, _ := net.SplitHostPort(s.Addr())
		must(c.clients[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", port, busPort(c.servers[i+1])).Err())
	}
	poll(c.t, "every server knows every other", func() bool {
		for _, client := range c.clients {
			nodes := client.ClusterNodes(ctx).Val()
			if strings.Count(nodes, " connected") != len(c.servers) || strings.Contains(nodes, "handshake") {
				return false
			}
		}
		return true
	})
	for i := clusterMasters; i < len(c.servers); i++ {
		must(c.clients[i].Do(ctx, "CLUSTER", "REPLICATE", c.ids[i-clusterMasters]).Err())
	}
	c.AwaitWhole()
}

func busPort(s *Server) string {
	for i, a := range s.args {
		if a == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

// AwaitWhole waits until every running server reports all slots served by the same masters, and
// every replica is connected to its master.
func (c *Cluster) AwaitWhole() {
	c.t.Helper()
	poll(c.t, "the cluster is complete", func() bool { return c.whole() == nil })
}

func (c *Cluster) whole() error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
	defer cancel()
	view := ""
	for i, s := range c.servers {
		if !s.Running() {
			continue
		}
		info, err := c.clients[i].ClusterInfo(ctx).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:"+strconv.Itoa(Slots)) {
			return fmt.Errorf("%s: %v %s", s.Addr(), err, info)
		}
		repl := c.clients[i].Info(ctx, "replication").Val()
		if strings.Contains(repl, "role:slave") && !strings.Contains(repl, "master_link_status:up") {
			return fmt.Errorf("%s: no link to its master", s.Addr())
		}
		owners, err := c.owners(ctx, i)
		if err != nil {
			return err
		}
		current := fmt.Sprint(owners)
		if view != "" && view != current {
			return fmt.Errorf("%s reports other owners of the slots", s.Addr())
		}
		view = current
	}
	return nil
}

// owners returns the index of the server that serves each slot, as server i reports it.
func (c *Cluster) owners(ctx context.Context, i int) (owners [Slots]int8, err error) {
	shards, err := c.clients[i].ClusterShards(ctx).Result()
	if err != nil {
		return owners, err
	}
	for slot := range owners {
		owners[slot] = -1
	}
	for _, shard := range shards {
		for _, n := range shard.Nodes {
			if n.Role != "master" {
				continue
			}
			for _, r := range shard.Slots {
				for slot := r.Start; slot <= r.End; slot++ {
					owners[slot] = int8(c.index(n.ID))
				}
			}
		}
	}
	return owners, nil
}

func (c *Cluster) index(id string) int {
	for i := range c.ids {
		if c.ids[i] == id {
			return i
		}
	}
	return -1
}

// Addrs returns host:port of each server. The first three were started as masters.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.servers))
	for i, s := range c.servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Server returns the server at Addrs()[i].
func (c *Cluster) Server(i int) *Server { return c.servers[i] }

// Client returns a new client of the cluster with all permissions. It is closed when the test ends.
func (c *Cluster) Client() *redis.ClusterClient {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), Username: c.user, Password: c.secret,
		TLSConfig: c.tlsConfig(), DisableIdentity: true, DialerRetries: 1,
		ClusterStateReloadInterval: 500 * time.Millisecond})
	c.t.Cleanup(func() { client.Close() })
	return client
}

// Owner returns the index of the server that serves a slot.
func (c *Cluster) Owner(slot int) int {
	c.t.Helper()
	for i, s := range c.servers {
		if !s.Running() {
			continue
		}
		owners, err := c.owners(c.t.Context(), i)
		if err != nil {
			c.t.Fatalf("redistest: cluster: %v", err)
		}
		return int(owners[slot])
	}
	c.t.Fatal("redistest: no server of the cluster runs")
	return -1
}

// SlotOf returns the slot of a key or sharded channel.
func (c *Cluster) SlotOf(key string) int {
	c.t.Helper()
	for i, s := range c.servers {
		if s.Running() {
			slot, err := c.clients[i].ClusterKeySlot(c.t.Context(), key).Result()
			if err != nil {
				c.t.Fatalf("redistest: cluster: %v", err)
			}
			return int(slot)
		}
	}
	c.t.Fatal("redistest: no server of the cluster runs")
	return -1
}

// KillMaster kills server i. Its replica, if any, becomes the master a few seconds later; see
// AwaitFailover. Server(i).Restart then starts the server as a replica.
func (c *Cluster) KillMaster(i int) { c.servers[i].Kill() }

// AwaitFailover waits until no slot is served by server i, which was killed.
func (c *Cluster) AwaitFailover(i int) {
	c.t.Helper()
	poll(c.t, "another server has the slots of the killed one", func() bool {
		for j, s := range c.servers {
			if !s.Running() {
				continue
			}
			owners, err := c.owners(c.t.Context(), j)
			if err != nil || slices.Contains(owners[:], int8(i)) {
				return false
			}
		}
		return true
	})
}

// Failover promotes replica i without loss and returns when every server knows the new master.
func (c *Cluster) Failover(i int) {
	c.t.Helper()
	var asked time.Time
	poll(c.t, "the replica is master", func() bool {
		if strings.Contains(c.clients[i].Info(c.t.Context(), "replication").Val(), "role:master") {
			return c.whole() == nil
		}
		if time.Since(asked) > 6*time.Second { // a server gives a failover up after 5 s
			asked = time.Now()
			if err := c.clients[i].ClusterFailover(c.t.Context()).Err(); err != nil {
				c.t.Fatalf("redistest: failover to %s: %v", c.servers[i].Addr(), err)
			}
		}
		return false
	})
}

// BeginMove puts a slot on its way from one master to another, as the first step of MoveSlot. All
// its keys are still on the first one.
func (c *Cluster) BeginMove(slot, from, to int) {
	c.t.Helper()
	ctx := c.t.Context()
	c.moved(slot, from, to, c.clients[to].Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from]).Err())
	c.moved(slot, from, to, c.clients[from].Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", c.ids[to]).Err())
}

// MoveKeys moves keys of a slot that is on its way.
func (c *Cluster) MoveKeys(slot, from, to int, keys ...string) {
	c.t.Helper()
	host, port, _ := net.SplitHostPort(c.servers[to].Addr())
	args := []any{"MIGRATE", host, port, "", 0, 5000}
	if c.user != "" {
		args = append(args, "AUTH2", c.user, c.secret)
	}
	args = append(args, "KEYS")
	for _, k := range keys {
		args = append(args, k)
	}
	c.moved(slot, from, to, c.clients[from].Do(c.t.Context(), args...).Err())
}

func (c *Cluster) moved(slot, from, to int, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("redistest: move slot %d from %s to %s: %v", slot, c.servers[from].Addr(), c.servers[to].Addr(), err)
	}
}

// MoveSlot moves a slot with its keys from one master to another, as redis-cli --cluster reshard
// does. During the move the keys are on both masters.
func (c *Cluster) MoveSlot(slot, from, to int) {
	c.t.Helper()
	ctx := c.t.Context()
	c.BeginMove(slot, from, to)
	for {
		keys, err := c.clients[from].ClusterGetKeysInSlot(ctx, slot, 100).Result()
		c.moved(slot, from, to, err)
		if len(keys) == 0 {
			break
		}
		c.MoveKeys(slot, from, to, keys...)
	}
	// Inform the new owner first, so that the slot always has an owner, then the other masters.
	order := []int{to, from}
	for i, s := range c.servers {
		if i != to && i != from && s.Running() {
			order = append(order, i)
		}
	}
	for _, i := range order {
		if strings.Contains(c.clients[i].Info(ctx, "replication").Val(), "role:master") {
			c.moved(slot, from, to, c.clients[i].Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", c.ids[to]).Err())
		}
	}
	poll(c.t, "every server knows the slot's owner", func() bool { return c.whole() == nil && c.Owner(slot) == to })
}
