package accept_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// breakingConn fails the read after an EVALSHA was written, if armed: the
// server has executed it and the client cannot know.
type breakingConn struct {
	net.Conn
	armed  *atomic.Bool
	broken atomic.Bool
}

func (c *breakingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if bytes.Contains(b, []byte("evalsha")) && c.armed.CompareAndSwap(true, false) {
		// Only what was answered is sure to have been executed.
		c.SetReadDeadline(time.Now().Add(time.Minute))
		c.Conn.Read(make([]byte, 64<<10))
		c.broken.Store(true)
	}
	return n, err
}

func (c *breakingConn) Read(b []byte) (int, error) {
	if c.broken.Load() {
		c.Close()
		return 0, io.EOF
	}
	return c.Conn.Read(b)
}

// TestClusterPublishesOnce: if a connection to a cluster fails between a quote and its answer, the
// outcome is unknown, and the cluster's client must not send the quote again.
func TestClusterPublishesOnce(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: redistest.StartCluster(t).Addrs(), DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: -1,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &breakingConn{Conn: c, armed: &armed}, nil
		},
	})
	defer rdb.Close()
	p := accept.NewPublisher(accept.PublisherConfig{Redis: rdb, Keys: feed.Keys{Prefix: "fx:"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	quote := func(bid string) ([]accept.Outcome, error) {
		return p.Publish(t.Context(), []feed.Quote{{Symbol: "EUR/USD", Bid: bid, Ask: "2"}})
	}
	if out, err := quote("1.1"); err != nil || out[0].Seq != 1 {
		t.Fatalf("publish: %+v, %v", out, err)
	}
	armed.Store(true)
	if out, err := quote("1.2"); !errors.Is(err, accept.ErrOutcomeUnknown) {
		t.Errorf("the connection broke: %+v, %v, want an unknown outcome", out, err)
	}
	if armed.Load() {
		t.Fatal("no connection broke")
	}
	if out, err := quote("1.3"); err != nil || out[0].Seq != 3 {
		t.Errorf("after it: %+v, %v, want number 3: the second quote was taken once", out, err)
	}
}

// TestClusterFailoverReusesNumbers checks a failover to a replica that lacks the last quotes of its
// master. Numbers that it assigns again must belong to another epoch, even for a publisher that
// knows none of them.
func TestClusterFailoverReusesNumbers(t *testing.T) {
	t.Parallel()
	cluster := redistest.Options{Replicas: true}.StartCluster(t)
	publish := func(p *accept.Publisher, s feed.Symbol) (o accept.Outcome) {
		t.Helper()
		eventually(t, "a quote is taken", func() bool {
			out, err := p.Publish(t.Context(), []feed.Quote{{Symbol: s, Bid: "1", Ask: "2"}})
			if err == nil {
				o = out[0]
			}
			return err == nil
		})
		return o
	}
	before, after, other := startPublisher(t, cluster.Client()), startPublisher(t, cluster.Client()), startPublisher(t, cluster.Client())
	const s = feed.Symbol("EUR/USD")
	first := publish(before, s)
	if o := publish(other, s); o.Epoch != first.Epoch || o.Seq != 2 {
		t.Errorf("another publisher: %+v, want number 2 of %s", o, first.Epoch)
	}
	owner := cluster.Owner(cluster.SlotOf(keys.Seq(s)))
	cluster.Failover((owner + 3) % 6)
	second := publish(after, s)
	if second.Epoch == first.Epoch {
		t.Errorf("%+v after the failover, want a new epoch", second)
	}
	if o := publish(before, s); o.Epoch != second.Epoch || o.Seq != second.Seq+1 {
		t.Errorf("%+v, want the next of %+v", o, second)
	}
	// A master that comes back may have lost its last quotes too.
	owner = cluster.Owner(cluster.SlotOf(keys.Seq(s)))
	cluster.KillMaster(owner)
	third := publish(other, s)
	if third.Epoch == second.Epoch {
		t.Errorf("%+v after its master was killed, want a new epoch", third)
	}
	if o := publish(after, s); o.Epoch != third.Epoch {
		t.Errorf("%+v, want the epoch of %+v", o, third)
	}
}

// onEachMaster returns a symbol for each master of a cluster.
func onEachMaster(cluster *redistest.Cluster) (symbols [3]feed.Symbol) {
	for _, s := range someSymbols(100) {
		symbols[cluster.Owner(cluster.SlotOf(keys.Seq(s)))] = s
	}
	return symbols
}

// bidsOf returns how often each bid is in the history of a symbol.
func bidsOf(t *testing.T, c redis.UniversalClient, s feed.Symbol) map[string]int {
	t.Helper()
	entries, err := c.XRange(t.Context(), keys.Ticks(s), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	bids := map[string]int{}
	for _, e := range entries {
		tick, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		bids[tick.Bid]++
	}
	return bids
}

// TestStoppedMasterHoldsUpItsOwnQuotesOnly stops a master of a cluster, which then answers nothing.
// Quotes of the symbols on the other masters go on, and none is lost or doubled.
func TestStoppedMasterHoldsUpItsOwnQuotesOnly(t *testing.T) {
	t.Parallel()
	cluster := redistest.Options{Args: []string{"--cluster-require-full-coverage", "no"}}.StartCluster(t)
	symbols := onEachMaster(cluster)
	p := startPublisher(t, cluster.Client(), func(cfg *accept.PublisherConfig) { cfg.Timeout = 5 * time.Second })
	accepted := map[feed.Symbol][]string{} // bids
	n := 0
	publish := func(symbols ...feed.Symbol) ([]accept.Outcome, error) {
		var quotes []feed.Quote
		for _, s := range symbols {
			n++
			quotes = append(quotes, feed.Quote{Symbol: s, Bid: fmt.Sprintf("1.%04d", n), Ask: "2"})
		}
		outcomes, err := p.Publish(t.Context(), quotes)
		for i, o := range outcomes {
			if o.Seq > 0 {
				accepted[quotes[i].Symbol] = append(accepted[quotes[i].Symbol], quotes[i].Bid)
			}
		}
		return outcomes, err
	}
	if _, err := publish(symbols[:]...); err != nil {
		t.Fatal(err)
	}

	cluster.Server(2).Pause()
	var returned atomic.Bool
	held := make(chan error)
	go func() {
		_, err := p.Publish(t.Context(), []feed.Quote{{Symbol: symbols[2], Bid: "1.5", Ask: "2"}})
		returned.Store(true)
		held <- err
	}()
	for range 100 {
		if _, err := publish(symbols[0], symbols[1]); err != nil {
			t.Fatal(err)
		}
	}
	if returned.Load() {
		t.Error("200 quotes of the other masters took as long as the one of the stopped master")
	}
	if err := <-held; !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	outcomes, err := publish(symbols[0], symbols[2], symbols[1], symbols[0])
	if !errors.Is(err, redislink.ErrUnavailable) || len(outcomes) != 4 || outcomes[1].Known() {
		t.Fatalf("%+v, %v, want no outcome of the second quote", outcomes, err)
	}
	if outcomes[0].Seq != 102 || outcomes[2].Seq != 102 || outcomes[3].Seq != 103 {
		t.Errorf("%+v, want the numbers 102, -, 102, 103", outcomes)
	}

	cluster.Server(2).Resume()
	eventually(t, "the master takes quotes again", func() bool {
		_, err := publish(symbols[2])
		return err == nil
	})
	c := cluster.Client()
	for i, s := range symbols {
		bids := bidsOf(t, c, s)
		for bid, n := range bids {
			if n > 1 {
				t.Errorf("%s: %s was accepted %d times", s, bid, n)
			}
		}
		for _, bid := range accepted[s] {
			if bids[bid] == 0 {
				t.Errorf("%s: %s was accepted and is not in the history", s, bid)
			}
		}
		if i < 2 && len(bids) != len(accepted[s]) {
			t.Errorf("%s: %d quotes in the history, %d accepted", s, len(bids), len(accepted[s]))
		}
	}
	if listed := c.SMembers(t.Context(), keys.Symbols()).Val(); len(listed) != 3 {
		t.Errorf("listed: %v, want the three symbols", listed)
	}
}

// A symbol changes its lane with its slot, but not while a quote of it waits in the other lane.
func TestSymbolKeepsItsLane(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	symbols := onEachMaster(cluster)
	c := cluster.Client()
	r := accept.NewRouter(c, keys)
	first, other := r.Enter(symbols[0]), r.Enter(symbols[1])
	if first == other {
		t.Fatal("the symbols of two masters share a lane")
	}
	cluster.MoveSlot(cluster.SlotOf(keys.Seq(symbols[0])), 0, 1)
	eventually(t, "the client knows the new owner", func() bool {
		master, err := c.MasterForKey(t.Context(), keys.Seq(symbols[0]))
		return err == nil && master.Options().Addr == cluster.Addrs()[1]
	})
	if lane := r.Enter(symbols[0]); lane != first {
		t.Errorf("lane %d while a quote waits in lane %d", lane, first)
	}
	r.Leave(symbols[0])
	r.Leave(symbols[0])
	if lane := r.Enter(symbols[0]); lane != other {
		t.Errorf("lane %d of a symbol without quotes, want %d of its new master", lane, other)
	}
}

// TestSlotOnItsWay publishes symbols of a slot that is on its way to another master, with half of
// its keys moved. Each is accepted where its keys are, and no number is lost or given twice.
func TestSlotOnItsWay(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	c := cluster.Client()
	symbols, listing := feedtest.SameSlot(6)
	table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: listing})
	if err != nil {
		t.Fatal(err)
	}
	p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Instruments, cfg.Timeout = table, 5*time.Second })
	stays, moves, cold, fresh, stolen := symbols[:2], symbols[2:3], symbols[3], symbols[4], symbols[5]
	accepted := map[feed.Symbol][]accept.Outcome{}
	publish := func(symbols ...feed.Symbol) {
		t.Helper()
		var quotes []feed.Quote
		for range 70 { // more than one call for each symbol
			for _, s := range symbols {
				quotes = append(quotes, feed.Quote{Symbol: s, Bid: fmt.Sprintf("1.%04d", len(accepted[s])+len(quotes)), Ask: "2"})
			}
		}
		outcomes, err := p.Publish(t.Context(), quotes)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range outcomes {
			s := quotes[i].Symbol
			if n := len(accepted[s]); n > 0 && o.Epoch == accepted[s][n-1].Epoch && o.Seq != accepted[s][n-1].Seq+1 {
				t.Fatalf("%s: %+v follows %+v", s, o, accepted[s][n-1])
			}
			accepted[s] = append(accepted[s], o)
		}
	}
	publish(stays[0], stays[1], moves[0], cold, stolen)
	slot := cluster.SlotOf(keys.Seq(symbols[0]))
	from := cluster.Owner(slot)
	to := (from + 1) % 3
	c.Del(t.Context(), keys.Quote(cold)) // as if it had expired
	cluster.BeginMove(slot, from, to)
	publish(stays[0], stays[1], moves[0], fresh, stolen)
	cluster.MoveKeys(slot, from, to, keys.OfSymbol(moves[0])...)
	cluster.MoveKeys(slot, from, to, keys.OfSymbol(cold)...)
	for range 3 {
		publish(symbols[:5]...)
	}

	// A symbol whose keys are on both masters waits until all are on one.
	cluster.MoveKeys(slot, from, to, keys.Seq(stolen))
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err := p.Publish(t.Context(), []feed.Quote{{Symbol: stolen, Bid: "1.5", Ask: "2"}})
		if err != nil {
			t.Errorf("%v of a symbol with keys on both masters", err)
			return
		}
		accepted[stolen] = append(accepted[stolen], out...)
	}()
	cluster.MoveKeys(slot, from, to, keys.Quote(stolen), keys.Ticks(stolen))
	<-done
	cluster.MoveSlot(slot, from, to)
	publish(symbols...)
	for _, s := range symbols {
		epochs := map[string]bool{}
		var has []accept.Outcome
		for _, e := range c.XRange(t.Context(), keys.Ticks(s), "-", "+").Val() {
			tick, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
			if err != nil {
				t.Fatal(err)
			}
			epochs[tick.Epoch] = true
			has = append(has, accept.Outcome{Epoch: tick.Epoch, Seq: tick.Seq, At: tick.At})
		}
		if !slices.Equal(has, accepted[s]) {
			t.Errorf("%s: %d quotes in the history, want the %d that were accepted, in order", s, len(has), len(accepted[s]))
		}
		if len(epochs) > 2 {
			t.Errorf("%s: %d epochs, want one for each master", s, len(epochs))
		}
	}
}
