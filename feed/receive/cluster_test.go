package receive_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
)

// In a cluster each symbol is received from the server that owns its slot, which may change. Each
// connection recovers independently.
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
		made[s] = startProducer(t, cluster.Client(), s)
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

	// A paused master is noticed while the other symbols continue. Its replica takes over and may
	// lack the newest quotes.
	paused, other := bySlot[2], bySlot[0]
	clear(made)
	for _, s := range []feed.Symbol{paused, other} {
		made[s] = startProducer(t, cluster.Client(), s)
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

	// Dropped and wanted again: the connection ends and a new one begins.
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
