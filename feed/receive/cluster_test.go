package receive_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
)

// startShardedProducer publishes quotes of one symbol in a cluster.
func startShardedProducer(t testing.TB, cluster *redistest.Cluster, s feed.Symbol) *producer {
	opt := *cluster.Client().Options()
	opt.ReadTimeout, opt.WriteTimeout, opt.DialTimeout = time.Second, time.Second, time.Second
	c := redis.NewClusterClient(&opt)
	t.Cleanup(func() { c.Close() })
	return produce(t, []feed.Symbol{s}, func(ctx context.Context, quotes []feed.Quote) []accept.Outcome {
		outcomes := make([]accept.Outcome, len(quotes))
		for i, q := range quotes {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			o, err := acceptInOneEpoch(ctx, c, q)
			cancel()
			if err != nil {
				break
			}
			outcomes[i] = o
		}
		return outcomes
	})
}

// acceptInOneEpoch runs the publish script as if all servers were one process:
// a failover then begins no new epoch.
func acceptInOneEpoch(ctx context.Context, c redis.UniversalClient, q feed.Quote) (o accept.Outcome, err error) {
	s, mid := q.Symbol, feed.MidOf(q.Bid, q.Ask)
	reply, err := acceptScript().Run(ctx, c, []string{keys.Quote(s), keys.Seq(s), keys.Ticks(s)},
		keys.Channel(s), string(s), time.Minute.Milliseconds(), 9000, strings.ToLower(rand.Text()), "unknown", "", 0, "", "SPUBLISH", "0 0 1 0 0 1",
		fmt.Sprintf("%s %s - - - 0 %s %s %d 0", q.Bid, q.Ask, q.SourceOrDefault(), mid.Twice, mid.Digits)).Slice()
	if err != nil {
		return o, err
	}
	o.Epoch, _ = reply[0].(string)
	o.At, _ = reply[1].(int64)
	seq, _ := reply[2].(int64)
	o.Seq = uint64(seq)
	return o, nil
}

var acceptScript = sync.OnceValue(func() *redis.Script {
	source, err := os.ReadFile("../accept/publish.lua")
	if err != nil {
		panic(err)
	}
	return redis.NewScript(string(source))
})

// In a cluster each symbol is received from the server that has its slot, which
// may change; each heals by itself.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.Options{Replicas: true}.StartCluster(t)
	// One symbol on each master.
	bySlot := map[int]feed.Symbol{}
	for _, s := range manySymbols(100) {
		if i := cluster.Owner(cluster.SlotOf(keys.Channel(s))); bySlot[i] == "" {
			bySlot[i] = s
		}
		if len(bySlot) == 3 {
			break
		}
	}
	made := map[feed.Symbol]*producer{}
	for _, s := range bySlot {
		made[s] = startShardedProducer(t, cluster, s)
	}
	more := func(t *testing.T) {
		t.Helper()
		for s, p := range made {
			p.more(t, 20, s)
		}
	}
	more(t)
	c := cluster.Client()
	n, w := startWishing(t, c, time.Millisecond)
	w.want("AUD/KES", true) // nobody publishes it
	for s := range made {
		w.want(string(s), true)
	}
	for s := range made {
		eventually(t, 10*time.Second, "all are followed", func() bool { return n.follows(s) && n.follows("AUD/KES") })
	}
	eventually(t, 5*time.Second, "probes come back", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
	more(t)

	moved := bySlot[0]
	slot := cluster.SlotOf(keys.Channel(moved))
	cluster.MoveSlot(slot, 0, 1)
	more(t)
	cluster.MoveSlot(slot, 1, 0)
	more(t)

	cluster.Failover(3 + 1) // the replica of the second master
	more(t)
	for i := range 6 {
		killer := redis.NewClient(&redis.Options{Addr: cluster.Server(i).Addr(), DisableIdentity: true})
		killer.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
		killer.Close()
	}
	more(t)

	for s, p := range made {
		p.stop()
		n.complete(t, p, s)
		n.stretches(t, s)
	}
	n.nothingMissed(t)

	// A master that is paused is noticed, the others go on. Its replica takes
	// over, which may lose quotes that it did not have yet.
	paused, other := bySlot[2], bySlot[0]
	clear(made)
	for _, s := range []feed.Symbol{paused, other} {
		made[s] = startShardedProducer(t, cluster, s)
	}
	more(t)
	cluster.Server(2).Pause()
	eventually(t, 6*time.Second, "it is noticed", func() bool { return n.receiver.ProbeAge() > 2*time.Second })
	made[other].more(t, 200, other)
	eventually(t, 15*time.Second, "all probes come back", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
	more(t)
	cluster.Server(2).Resume()
	made[paused].stop()
	made[other].stop()
	n.complete(t, made[other], other)
	n.stretches(t, other)
	last := made[paused].accepted[paused][made[paused].count(paused)-1]
	eventually(t, 5*time.Second, "the newest quote", func() bool { return n.has(fmt.Sprintf("publish %s %s %d", paused, last.Epoch, last.Seq)) })

	// Given up, and wanted again: the line ends and another begins.
	for range 3 {
		w.want(string(other), false)
		eventually(t, 5*time.Second, "given up", func() bool { return !n.follows(other) })
		w.want(string(other), true)
		eventually(t, 5*time.Second, "followed again", func() bool { return n.follows(other) })
	}
	quotes, err := receive.NewLastQuotes(n.board, c, keys).Quotes(t.Context(), []string{"*"})
	if err != nil || len(quotes) != 3 {
		t.Errorf("%d last values, %v, want 3", len(quotes), err)
	}
}
