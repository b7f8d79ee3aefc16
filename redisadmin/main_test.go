package redisadmin_test

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

func TestMain(m *testing.M) {
	redistest.SkipExamples()
	goleak.VerifyTestMain(m)
}

// startCluster starts three masters without replicas that share the slots.
func startCluster(t *testing.T) (*redis.ClusterClient, []*redistest.Server) {
	t.Helper()
	var servers []*redistest.Server
	var nodes []*redis.Client
	for range 3 {
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", redistest.FreePort(t))
		servers, nodes = append(servers, s), append(nodes, s.Client())
	}
	ctx := t.Context()
	const slots = 16384
	for i, node := range nodes {
		must(t, node.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		host, port, _ := net.SplitHostPort(servers[i].Addr())
		bus, err := node.ConfigGet(ctx, "cluster-port").Result()
		must(t, err)
		must(t, nodes[0].Do(ctx, "CLUSTER", "MEET", host, port, bus["cluster-port"]).Err())
	}
	eventually(t, "the cluster is complete", func() bool {
		return !slices.ContainsFunc(nodes, func(node *redis.Client) bool {
			info := node.ClusterInfo(ctx).Val()
			return !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") ||
				!strings.Contains(info, "cluster_known_nodes:3")
		})
	})
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                 []string{servers[0].Addr(), servers[1].Addr(), servers[2].Addr()},
		ContextTimeoutEnabled: true, DisableIdentity: true, DialerRetries: 1, MaxRedirects: 3, PipelinePoolSize: -1,
	})
	t.Cleanup(func() { client.Close() })
	return client, servers
}

// find returns the check with a name; node is its server in a cluster.
func find(t *testing.T, h redisadmin.Health, name redisadmin.CheckName, node string) redisadmin.Check {
	t.Helper()
	for _, c := range h.Checks {
		if c.Name == name && c.Node == node {
			return c
		}
	}
	t.Fatalf("no check %s of %q in %+v", name, node, h.Checks)
	return redisadmin.Check{}
}

// want fails the test unless the check has the result and its texts contain all words.
func want(t *testing.T, h redisadmin.Health, name redisadmin.CheckName, node string, result redisadmin.Result, words ...string) {
	t.Helper()
	c := find(t, h, name, node)
	if c.Result != result {
		t.Errorf("%s on %q: %+v, want %s", name, node, c, result)
	}
	text := string(c.Value) + " | " + string(c.Limit) + " | " + c.Why + " | " + c.Do
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: %q, want %q in it", name, text, word)
		}
	}
	if (result == redisadmin.Warn || result == redisadmin.Fail) && (c.Why == "" || c.Do == "") {
		t.Errorf("%s: %+v, want a reason and advice", name, c)
	}
}

// rawSubscriber subscribes to a channel and never reads.
func rawSubscriber(t *testing.T, addr, name, channel string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write([]byte("CLIENT SETNAME " + name + "\r\nSUBSCRIBE " + channel + "\r\n"))
	must(t, err)
	return conn
}

// breakSnapshots removes the server's directory and waits for a snapshot to fail.
func breakSnapshots(t *testing.T, client *redis.Client) {
	t.Helper()
	ctx := t.Context()
	must(t, client.Set(ctx, "k", "v", 0).Err())
	dir := t.TempDir() + "/gone"
	must(t, os.Mkdir(dir, 0o755))
	must(t, client.ConfigSet(ctx, "dir", dir).Err())
	must(t, os.Remove(dir))
	must(t, client.BgSave(ctx).Err())
	eventually(t, "the snapshot fails", func() bool {
		return strings.Contains(client.Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:err")
	})
}
