package cache_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is a Config for tests that are not about time: a busy machine must
// not look like a lost Redis.
func patient(client redis.UniversalClient) cache.Config {
	return cache.Config{Redis: client, Timeout: 10 * time.Second}
}

func newCache(t testing.TB, cfg cache.Config) *cache.Cache {
	t.Helper()
	c, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func namespace(t testing.TB, c *cache.Cache, name string, ttl time.Duration, options ...cache.Option) *cache.Namespace {
	t.Helper()
	ns, err := c.Namespace(name, ttl, options...)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// onBoth runs a test over a real server and over the embedded one.
func onBoth(t *testing.T, test func(t *testing.T, client *redis.Client)) {
	t.Run("redis-server", func(t *testing.T) { test(t, redistest.Start(t).Client()) })
	t.Run("embedded", func(t *testing.T) {
		client, _ := redistest.Embedded(t)
		test(t, client)
	})
}

// TestCluster runs tests that also run on one server. They share one cluster, which takes seconds
// to start.
func TestCluster(t *testing.T) {
	client, servers := startCluster(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, redis.UniversalClient)
	}{
		{"ValuesAndNamespaces", testValuesAndNamespaces}, {"Bulk", testBulk},
		{"Invalidate", testInvalidate}, {"InvalidateAll", testInvalidateAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			must(t, client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() }))
			test.run(t, client)
		})
	}
	t.Run("NodeLost", func(t *testing.T) { testClusterNodeLost(t, client, servers) })
}

func universal(test func(*testing.T, redis.UniversalClient)) func(*testing.T, *redis.Client) {
	return func(t *testing.T, client *redis.Client) { test(t, client) }
}

// startCluster starts three masters without replicas that share the slots.
func startCluster(t *testing.T) (*redis.ClusterClient, []*redistest.Server) {
	t.Helper()
	var servers []*redistest.Server
	var nodes []*redis.Client
	for range 3 {
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no",
			"--cluster-allow-reads-when-down", "yes", "--cluster-node-timeout", "60000", "--cluster-port", redistest.FreePort(t))
		servers, nodes = append(servers, s), append(nodes, s.Client())
	}
	ctx := t.Context()
	const slots = 16384
	for i, node := range nodes {
		if err := node.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(); err != nil {
			t.Fatal(err)
		}
		host, port, _ := net.SplitHostPort(servers[i].Addr())
		bus, err := node.ConfigGet(ctx, "cluster-port").Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].Do(ctx, "CLUSTER", "MEET", host, port, bus["cluster-port"]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the cluster is whole", func() bool {
		return !slices.ContainsFunc(nodes, func(node *redis.Client) bool {
			info := node.ClusterInfo(ctx).Val()
			return !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_assigned:16384") ||
				!strings.Contains(info, "cluster_known_nodes:3")
		})
	})
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                 []string{servers[0].Addr(), servers[1].Addr(), servers[2].Addr()},
		ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRedirects: 3,
	})
	t.Cleanup(func() { client.Close() })
	return client, servers
}

// quick returns a client whose calls end with their context.
func quick(t testing.TB, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRetries: 1})
	t.Cleanup(func() { c.Close() })
	return c
}

var eventually = redistest.Eventually

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// allKeys returns every key of a server or cluster.
func allKeys(t *testing.T, client redis.UniversalClient) []string {
	t.Helper()
	var nodes []*redis.Client
	switch c := client.(type) {
	case *redis.Client:
		nodes = append(nodes, c)
	case *redis.ClusterClient:
		got := make(chan *redis.Client, 10)
		must(t, c.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error { got <- node; return nil }))
		close(got)
		for node := range got {
			nodes = append(nodes, node)
		}
	}
	var all []string
	for _, node := range nodes {
		keys, err := node.Keys(t.Context(), "*").Result()
		must(t, err)
		all = append(all, keys...)
	}
	slices.Sort(all)
	return all
}

func numbered(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, i)
	}
	return keys
}
