package e2e

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// serverFaults happen to a redis-server.
func serverFaults(s *redistest.Server) []faulttest.Fault {
	return []faulttest.Fault{
		{Name: "kill -9 of Redis", Inject: does(s.Kill), Heal: does(s.Restart)},
		{Name: "SIGSTOP of Redis", Inject: does(s.Pause), Heal: does(s.Resume)},
	}
}

// networkFaults happen between everybody and Redis.
func networkFaults(p *redistest.Proxy) []faulttest.Fault {
	return []faulttest.Fault{
		{Name: "cable cut", Inject: does(p.Cut), Heal: does(p.Restore)},
		{Name: "cable cut for short", Inject: does(p.Hold), Heal: does(p.Restore), Shortest: 50 * time.Millisecond, Longest: 2 * time.Second},
		{Name: "slow link", Inject: does(func() { p.Slow(200_000, 30*time.Millisecond) }), Heal: does(p.Restore)},
		{Name: "connections reset", Inject: does(func() { p.Reset() })},
	}
}

// commandFaults are what somebody may do to Redis with commands.
func (a *arena) commandFaults() []faulttest.Fault {
	everywhere := a.everywhere
	return []faulttest.Fault{
		{Name: "CLIENT KILL", Inject: everywhere(func(ctx context.Context, c *redis.Client) error {
			return errors.Join(c.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(), c.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err())
		})},
		{Name: "SCRIPT FLUSH", Inject: everywhere(func(ctx context.Context, c *redis.Client) error { return c.ScriptFlush(ctx).Err() })},
		{Name: "DEL of a counter", Inject: func(ctx context.Context) error { return a.rdb.Del(ctx, "fx:{EUR/USD}:seq").Err() }},
		{Name: "maxmemory", Inject: everywhere(func(ctx context.Context, c *redis.Client) error {
			return c.ConfigSet(ctx, "maxmemory", "1mb").Err()
		}), Heal: everywhere(func(ctx context.Context, c *redis.Client) error { return c.ConfigSet(ctx, "maxmemory", "0").Err() })},
	}
}

// everywhere carries out commands on each master.
func (a *arena) everywhere(command func(ctx context.Context, c *redis.Client) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if c, ok := a.rdb.(*redis.ClusterClient); ok {
			return c.ForEachMaster(ctx, command)
		}
		return command(ctx, a.rdb.(*redis.Client))
	}
}

// ourFaults happen to nodes and publishers.
func (a *arena) ourFaults() []faulttest.Fault {
	victim, revoked := 0, 0
	return []faulttest.Fault{
		{Name: "revocation as subscriptions end", Inject: func(ctx context.Context) error {
			revoked++
			c := a.startClient(1, faulttest.ClientConfig{Name: fmt.Sprintf("revoked-%d", revoked), Mode: faulttest.Latest})
			programtest.Eventually(a.t, "the client to be revoked is connected", c.Connected)
			err := a.everywhere(func(ctx context.Context, c *redis.Client) error {
				return c.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
			})(ctx)
			a.revoke(c, goneWithin+slack) // the notice may be lost, the next check finds it
			return err
		}},
		{Name: "kill -9 of a node", Inject: does(func() { victim++; a.node(victim).kill() }), Heal: does(func() { a.relaunch(victim) }),
			Shortest: 10 * time.Millisecond, Longest: 2 * time.Second},
		{Name: "publisher's clock an hour ahead", Inject: does(func() { a.web.SetClock(time.Hour) }), Heal: does(func() { a.web.SetClock(0) })},
		{Name: "publisher's clock an hour behind", Inject: does(func() { a.web.SetClock(-time.Hour) }), Heal: does(func() { a.web.SetClock(0) })},
	}
}

// relaunch starts a node in the place of one that was killed.
func (a *arena) relaunch(i int) {
	n := startProcess(a.t, a.environ...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes[i%len(a.nodes)] = n
}

const forcedFailover = "Sentinel failover"

// sentinelFaults happen to the servers that sentinels watch.
func sentinelFaults(s *redistest.Sentinel) []faulttest.Fault {
	var master *redistest.Server // that it happens to
	return []faulttest.Fault{
		{Name: forcedFailover, Inject: does(s.Failover)},
		{Name: "kill -9 of the master", Inject: does(func() { master = s.KillMaster() }), Heal: does(func() {
			s.AwaitFailover(master)
			s.Restart(master)
			s.AwaitWhole()
		})},
		{Name: "SIGSTOP of the master", Inject: does(func() { master = s.Master(); master.Pause() }), Heal: does(func() {
			master.Resume()
			s.AwaitWhole()
		})},
	}
}

// clusterFaults happen to a cluster with replicas.
func clusterFaults(c *redistest.Cluster) []faulttest.Fault {
	replica := func() int { // of the shard that serves EUR/USD
		owner := c.Owner(c.SlotOf("fx:{EUR/USD}:seq"))
		return (owner + 3) % 6
	}
	hit := 0 // the server it happens to
	return []faulttest.Fault{
		{Name: "cluster failover", Inject: does(func() { c.Failover(replica()) })},
		{Name: "slot moved", Inject: does(func() {
			slot := c.SlotOf("fx:{EUR/USD}:seq")
			from := c.Owner(slot)
			to := c.Owner((slot + 5500) % redistest.Slots)
			if to != from {
				c.MoveSlot(slot, from, to)
			}
		})},
		{Name: "kill -9 of a master", Inject: does(func() {
			hit = c.Owner(c.SlotOf("fx:{USD/JPY}:seq"))
			c.KillMaster(hit)
		}), Heal: does(func() { c.AwaitFailover(hit); c.Server(hit).Restart(); c.AwaitWhole() }), Shortest: 3 * time.Second, Longest: 6 * time.Second},
		{Name: "SIGSTOP of a master", Inject: does(func() {
			hit = c.Owner(c.SlotOf("fx:{USD/JPY}:seq"))
			c.Server(hit).Pause()
		}), Heal: does(func() { c.Server(hit).Resume(); c.AwaitWhole() })},
	}
}

// does is for what cannot fail, or fails the test by itself.
func does(f func()) func(context.Context) error {
	return func(context.Context) error { f(); return nil }
}
