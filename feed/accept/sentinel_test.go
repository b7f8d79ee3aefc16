package accept_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestPublisherLeavesReplacedMaster checks that no publisher keeps using a master that was paused
// and replaced meanwhile. Such a master answers on its open connections and accepts quotes until
// Sentinel makes it a replica, ten seconds later.
func TestPublisherLeavesReplacedMaster(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	p := startPublisher(t, s.Client())
	quote := []feed.Quote{{Symbol: "EUR/USD", Bid: "1", Ask: "2"}}
	if _, err := p.Publish(t.Context(), quote); err != nil {
		t.Fatal(err)
	}
	old := s.Master()
	before := old.Client()
	old.Pause()
	s.AwaitFailover(old)
	old.Resume()
	replaced := func() bool { return before.Info(t.Context(), "replication").Val() != "" }
	eventually(t, "it answers again", replaced)
	var taken accept.Outcome
	eventually(t, "a quote is taken", func() bool {
		out, err := p.Publish(t.Context(), quote)
		if err == nil {
			taken = out[0]
		}
		return err == nil
	})
	has, err := s.Master().Client().HMGet(t.Context(), keys.Seq("EUR/USD"), "epoch", "seq").Result()
	if want := []any{taken.Epoch, strconv.FormatUint(taken.Seq, 10)}; err != nil || !slices.Equal(has, want) {
		t.Errorf("the master is at %v, %v, want %v", has, err, want)
	}
}

// failoversOf follows the failovers of the master that s watches.
func failoversOf(s *redistest.Sentinel) func(*accept.PublisherConfig) {
	return func(cfg *accept.PublisherConfig) {
		var sentinels []*redis.Client
		for _, addr := range s.Addrs() {
			sentinels = append(sentinels, redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true}))
		}
		cfg.Failovers = redislink.NewFailovers(redislink.FailoversConfig{Sentinels: sentinels, Master: s.MasterName()})
	}
}

// TestForcedFailoverLosesLittle orders failovers from the sentinels while a publisher is busy. The
// replica is promoted at once, and the old master accepts quotes for ten more seconds. At most those
// of half a second may be missing in the history of the new one.
func TestForcedFailoverLosesLittle(t *testing.T) {
	t.Parallel()
	const failovers, pace, most = 2, 5 * time.Millisecond, 500 * time.Millisecond
	s := redistest.StartSentinel(t)
	reg := prometheus.NewPedanticRegistry()
	p := startPublisher(t, s.Client(), failoversOf(s), func(cfg *accept.PublisherConfig) { cfg.HistoryTicks, cfg.Registerer = 200_000, reg })
	publishOne(t, p, eurusd("1.1", "1.2"))
	for range failovers {
		var mu sync.Mutex                       // guards accepted
		accepted := map[string]accept.Outcome{} // by bid
		ctx, stop := context.WithCancel(t.Context())
		var publishing sync.WaitGroup
		publishing.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; <-tick.C {
				n++
				q := eurusd(fmt.Sprintf("1.%09d", n), "2")
				out, err := p.Publish(t.Context(), []feed.Quote{q})
				mu.Lock()
				if err == nil && out[0].Seq > 0 {
					accepted[q.Bid] = out[0]
				}
				mu.Unlock()
			}
		})
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(accepted) }
		eventually(t, "quotes are accepted", func() bool { return count() > 100 })
		s.Failover()
		before := count()
		eventually(t, "quotes are accepted after the failover", func() bool { return count() > before })
		stop()
		publishing.Wait()
		has := history(t, s.Client(), "-")
		missing := 0
		for bid, o := range accepted {
			if has[acknowledged{"EUR/USD", o.Epoch, o.Seq}] != bid {
				missing++
			}
		}
		t.Logf("%d of %d accepted quotes are not in the history", missing, len(accepted))
		if lost := time.Duration(missing) * pace; lost > most {
			t.Errorf("quotes of %v were accepted and lost, want %v at most", lost, most)
		}
	}
	if metric(t, reg, "fx_feed_failover_held_total") == 0 {
		t.Error("no quote is counted as held")
	}
}

// TestInboxLeaderOfNewMaster orders a failover from the sentinels. The leader of the inbox is soon
// named by the new master, while the old one still accepts writes: otherwise two nodes would lead.
func TestInboxLeaderOfNewMaster(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	old, promoted := s.Master().Client(), s.Replica().Client()
	in := startInbox(t, s.Client(), "n1")
	in.awaitLead(t)
	c := redis.NewSentinelClient(&redis.Options{Addr: s.Addrs()[0], DisableIdentity: true})
	defer c.Close()
	if err := c.Failover(t.Context(), s.MasterName()).Err(); err != nil {
		t.Fatal(err)
	}
	role := func(c *redis.Client) string {
		_, rest, _ := strings.Cut(c.Info(t.Context(), "replication").Val(), "role:")
		role, _, _ := strings.Cut(rest, "\r")
		return role
	}
	eventually(t, "the replica is promoted", func() bool { return role(promoted) == "master" })
	// What was replicated lasts for three seconds.
	since := time.Now()
	eventually(t, "the new master names the leader", func() bool {
		if role(old) == "slave" {
			t.Fatal("the old master was made a replica before the new one named the leader")
		}
		return time.Since(since) > 3500*time.Millisecond && promoted.Get(t.Context(), keys.InboxLeader()).Val() != ""
	})
}
