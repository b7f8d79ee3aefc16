package redislink_test

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// look looks until all masters answer, and reports whether any has changed.
func look(t *testing.T, p *redislink.Processes) (changed bool) {
	t.Helper()
	redistest.Eventually(t, "all masters answer", func() bool {
		c, sure := p.Look(t.Context())
		changed = changed || c
		return sure
	})
	return changed
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	t.Run("standalone", func(t *testing.T) {
		t.Parallel()
		s := redistest.Start(t)
		p := redislink.NewProcesses(s.Client())
		for range 2 {
			if look(t, p) {
				t.Error("a server that goes on has changed")
			}
		}
		s.Kill()
		if changed, sure := p.Look(t.Context()); changed || sure {
			t.Errorf("a dead server: changed %v, sure %v", changed, sure)
		}
		s.Restart()
		if !look(t, p) || look(t, p) {
			t.Error("a restart is not one change")
		}
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		rdb, _ := redistest.Embedded(t)
		p := redislink.NewProcesses(rdb)
		for range 2 {
			if look(t, p) {
				t.Error("the embedded server has changed")
			}
		}
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		p := redislink.NewProcesses(s.Client())
		look(t, p)
		s.AwaitFailover(s.KillMaster())
		redistest.Eventually(t, "the change is noticed", func() bool { return look(t, p) })
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.Options{Replicas: true}.StartCluster(t)
		p := redislink.NewProcesses(c.Client())
		look(t, p)
		for range 2 { // there and back: the process that was the first master is not its old self
			c.Failover((c.Owner(0) + 3) % 6)
			redistest.Eventually(t, "the change is noticed", func() bool { return look(t, p) })
		}
		c.KillMaster(c.Owner(redistest.Slots - 1))
		if changed, sure := p.Look(t.Context()); changed || sure {
			t.Errorf("a dead part: changed %v, sure %v", changed, sure)
		}
		redistest.Eventually(t, "the change is noticed", func() bool { return look(t, p) })
		for began := time.Now(); time.Since(began) < 2*time.Second; {
			if look(t, p) {
				t.Error("it has changed without a cause")
			}
		}
	})
}
