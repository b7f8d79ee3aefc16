package session_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// TestRevocationOutlivesMaster kills a master that has not replicated a revocation. The session,
// which the new master still has, admits nobody and is deleted again, whatever part it is in.
func TestRevocationOutlivesMaster(t *testing.T) {
	t.Parallel()
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.Options{Replicas: true}.StartCluster(t)
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), ContextTimeoutEnabled: true, DisableIdentity: true})
		t.Cleanup(func() { rdb.Close() })
		owner := func(key string) int { return c.Owner(c.SlotOf(key)) }
		control := owner("fx:control")
		revocationOutlivesMaster(t, rdb, func(id string) bool { return owner("session:"+id) != control }, func(id string) (cut, kill func()) {
			part := owner("session:" + id)
			return func() { c.Server((part + 3) % 6).Cut(c.Server(part)) }, func() { c.KillMaster(part) }
		})
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: s.MasterName(), SentinelAddrs: s.Addrs(), ContextTimeoutEnabled: true, DisableIdentity: true})
		t.Cleanup(func() { rdb.Close() })
		revocationOutlivesMaster(t, rdb, func(string) bool { return true }, func(string) (cut, kill func()) {
			return func() { s.Replica().Cut(s.Master()) }, func() { s.KillMaster() }
		})
	})
}

// revocationOutlivesMaster tests a session that suits. faults returns what keeps its part from
// replicating, and what kills the master of that part.
func revocationOutlivesMaster(t *testing.T, rdb redis.UniversalClient, suits func(id string) bool, faults func(id string) (cut, kill func())) {
	reg, regOther := prometheus.NewRegistry(), prometheus.NewRegistry()
	m := run(t, manager(rdb, func(c *session.Config) { c.Registerer = reg }))
	other := run(t, manager(rdb, func(c *session.Config) { c.Registerer = regOther })) // learns of the revocation by its notice
	running(t, m)
	running(t, other)
	s, token := create(t, m, session.Draft{})
	for !suits(s.ID) {
		s, token = create(t, m, session.Draft{})
	}
	cut, kill := faults(s.ID)
	elsewhere := bind(other, s)
	defer elsewhere.binding.Close()
	cut()
	if err := m.Revoke(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	<-elsewhere.ended // the other node knows of it too; else it would ask Redis, until the first has revoked again
	kill()
	eventually(t, "the new master has deleted the session again", func() bool {
		for _, n := range []*session.Manager{m, other} {
			if _, err := n.Load(t.Context(), token); err == nil {
				t.Fatal("a revoked session came back")
			}
		}
		n, err := rdb.Exists(t.Context(), "session:"+s.ID).Result()
		return err == nil && n == 0
	})
	eventually(t, "it is counted by the node that was faster", func() bool {
		return counter(t, reg, "fx_session_events_total", "revoked_again")+counter(t, regOther, "fx_session_events_total", "revoked_again") >= 1
	})
}
