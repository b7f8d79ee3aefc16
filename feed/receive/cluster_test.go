package receive_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
)

// shardedConnections returns how many connections of each master of a cluster have sharded channels,
// and how many channels they have in all.
func shardedConnections(t *testing.T, cluster *redistest.Cluster) (connections []int, channels int) {
	t.Helper()
	for i := range 3 {
		c := redis.NewClient(&redis.Options{Addr: cluster.Server(i).Addr(), DisableIdentity: true})
		defer c.Close()
		n := 0
		for line := range strings.Lines(c.ClientList(t.Context()).Val()) {
			_, rest, _ := strings.Cut(line, " ssub=")
			text, _, _ := strings.Cut(rest, " ")
			if k, _ := strconv.Atoi(text); k > 0 {
				n, channels = n+1, channels+k
			}
		}
		connections = append(connections, n)
	}
	return connections, channels
}

// probeSlots returns the slots that the probes of a node use, by master.
func probeSlots(t *testing.T, cluster *redistest.Cluster) (slots map[int]int) {
	t.Helper()
	slots = map[int]int{}
	for i := range 3 {
		c := redis.NewClient(&redis.Options{Addr: cluster.Server(i).Addr(), DisableIdentity: true})
		defer c.Close()
		for _, channel := range c.PubSubShardChannels(t.Context(), "*:probe:*").Val() {
			slots[i] = cluster.SlotOf(channel)
		}
	}
	return slots
}

// One connection to each master receives all symbols of its slots. A slot that moves takes its own
// symbols to another connection, and no quote is lost.
func TestClusterConnections(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	n, w := startWishing(t, cluster.Client(), time.Millisecond)
	symbols := manySymbols(1000)
	for _, s := range symbols {
		w.want(string(s), true)
	}
	eventually(t, "all are followed", func() bool {
		return !slices.ContainsFunc(symbols, func(s feed.Symbol) bool { return !n.has(fmt.Sprintf("follow %s true", s)) })
	})
	check := func(when string) {
		t.Helper()
		eventually(t, when+": one connection to each master", func() bool {
			connections, channels := shardedConnections(t, cluster)
			return slices.Equal(connections, []int{1, 1, 1}) && channels == len(symbols)+3
		})
	}
	check("at first")

	slotOf := func(s feed.Symbol) int { return cluster.SlotOf(keys.Channel(s)) }
	probes := probeSlots(t, cluster)
	var moves, stays feed.Symbol // of the first master
	for _, s := range symbols {
		switch slot := slotOf(s); {
		case cluster.Owner(slot) != 0 || slot == probes[0]:
		case moves == "":
			moves = s
		case slot != slotOf(moves):
			stays = s
		}
		if stays != "" {
			break
		}
	}
	made := startProducer(t, cluster.Client(), moves, stays)
	made.more(t, 20, moves, stays)
	lost := metric(t, n.reg, "fx_feed_connection_lost_total")
	cluster.MoveSlot(slotOf(moves), 0, 1)
	check("after a slot has moved")
	made.more(t, 20, moves, stays)
	cluster.MoveSlot(slotOf(moves), 1, 0)
	check("after it has moved back")
	made.more(t, 20, moves, stays)
	if now := metric(t, n.reg, "fx_feed_connection_lost_total"); now != lost {
		t.Errorf("%v connections lost, want %v: only the symbols of the slot move", now, lost)
	}
	cluster.MoveSlot(probes[0], 0, 2) // the connection needs another slot for its probes
	made.more(t, 20, moves, stays)
	check("after the slot of the probes has moved")
	eventually(t, "probes come back", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
	if probes := probeSlots(t, cluster); cluster.Owner(probes[0]) != 0 {
		t.Errorf("the probes use the slot %d, which is of another master", probes[0])
	}
	made.stop()
	n.complete(t, made, moves)
	n.complete(t, made, stays)
	n.nothingMissed(t)

	for _, s := range symbols {
		w.want(string(s), s == stays)
	}
	eventually(t, "one connection is left", func() bool {
		connections, channels := shardedConnections(t, cluster)
		return slices.Equal(connections, []int{1, 0, 0}) && channels == 2
	})
	if !n.follows(stays) || n.follows(moves) {
		t.Error("another symbol is followed than the one that is wanted")
	}
}

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
		eventually(t, "all are followed", func() bool { return n.follows(s) && n.follows("AUD/KES") })
	}
	eventually(t, "probes come back", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
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
	eventually(t, "it is noticed", func() bool { return n.receiver.ProbeAge() > 2*time.Second })
	made[other].more(t, 200, other)
	eventually(t, "all probes come back", func() bool { return n.receiver.ProbeAge() < 2*time.Second })
	more(t)
	cluster.Server(2).Resume()
	made[paused].stop()
	made[other].stop()
	n.complete(t, made[other], other)
	n.stretches(t, other)
	last := made[paused].accepted[paused][made[paused].count(paused)-1]
	eventually(t, "the newest quote", func() bool { return n.has(fmt.Sprintf("publish %s %s %d", paused, last.Epoch, last.Seq)) })

	// Dropped and wanted again: the connection ends and a new one begins.
	for range 3 {
		w.want(string(other), false)
		eventually(t, "given up", func() bool { return !n.follows(other) })
		w.want(string(other), true)
		eventually(t, "followed again", func() bool { return n.follows(other) })
	}
	quotes, err := receive.NewLastQuotes(n.board, c, keys).Quotes(t.Context(), []string{"*"})
	if err != nil || len(quotes) != 3 {
		t.Errorf("%d last values, %v, want 3", len(quotes), err)
	}
}

// While a slot is on its way to another master, with half of its keys moved, history and last values
// are read where they are, and a node can begin to follow its symbols. When the move ends, every
// quote has been delivered.
func TestSlotOnItsWay(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	c := cluster.Client()
	symbols, listing := feedtest.SameSlot(4)
	table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: listing})
	if err != nil {
		t.Fatal(err)
	}
	p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Instruments, cfg.HistoryTicks = table, 9000 })
	made := produce(t, symbols, func(ctx context.Context, quotes []feed.Quote) []accept.Outcome {
		outcomes, _ := p.Publish(ctx, quotes)
		return outcomes
	})
	follow := func() *node {
		n := startNodeOn(t, c, receive.BoardConfig{Instruments: table}, func(*receive.ReceiverConfig) {})
		eventually(t, "all are followed", func() bool {
			return !slices.ContainsFunc(symbols, func(s feed.Symbol) bool { return !n.follows(s) })
		})
		return n
	}
	made.more(t, 20, symbols...)
	early := follow()
	slot := cluster.SlotOf(keys.Seq(symbols[0]))
	from := cluster.Owner(slot)
	to := (from + 1) % 3
	cluster.BeginMove(slot, from, to)
	for _, s := range symbols[:2] {
		cluster.MoveKeys(slot, from, to, keys.OfSymbol(s)...)
	}
	made.more(t, 20, symbols...)

	late := follow()
	other := receive.NewLastQuotes(receive.NewBoard(receive.BoardConfig{Instruments: table, Sink: newSink()}), c, keys)
	for _, s := range symbols {
		quotes, err := other.Quotes(t.Context(), []string{string(s)})
		if err != nil || len(quotes) != 1 {
			t.Fatalf("last value of %s: %+v, %v", s, quotes, err)
		}
		history := receive.NewHistory(c, keys)
		newest, err := history.Newest(t.Context(), s, 10, time.Time{})
		if err != nil || len(newest) != 10 || newest[9].Seq < quotes[0].Seq {
			t.Errorf("history of %s: %d quotes, %v", s, len(newest), err)
			continue
		}
		after, complete, err := history.After(t.Context(), s, newest[0].Epoch, newest[0].Seq, 9000, func() {})
		if err != nil || !complete || len(after) < 9 {
			t.Errorf("history of %s after %d: %d quotes, %v, %v", s, newest[0].Seq, len(after), complete, err)
		}
	}

	cluster.MoveSlot(slot, from, to)
	made.more(t, 20, symbols...)
	made.stop()
	for _, n := range []*node{early, late} {
		for _, s := range symbols {
			n.complete(t, made, s)
		}
		n.nothingMissed(t)
	}
}
