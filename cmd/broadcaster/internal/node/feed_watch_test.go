package node

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/feed/simulator"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/web/live"
)

// TestFeedWatchWithoutClients watches a feed that no node follows.
func TestFeedWatchWithoutClients(t *testing.T) {
	client := redistest.Start(t).Client()
	logger, _ := programtest.Log()
	keys := feed.Keys{Prefix: "fx:"}
	sink := hub.New(hub.Config{Framings: live.Framings()})
	board := receive.NewBoard(receive.BoardConfig{Sink: sink, QuoteTTL: time.Minute})
	receiver := receive.NewReceiver(receive.ReceiverConfig{Redis: client, Keys: keys, Node: "n", Board: board, Sink: sink,
		Wanted: func(string) bool { return false }, Logger: logger})
	publisher := accept.NewPublisher(accept.PublisherConfig{Redis: client, Keys: keys, Logger: logger})
	parts := newParts(logger)
	defer parts.stop()
	parts.start("publisher", publisher.Run)
	parts.start("receiver", receiver.Run)
	reg := prometheus.NewRegistry()
	w := newFeedWatch(receive.NewLastQuotes(board, client, keys).Quotes, reg, logger)
	if w.look(t.Context()); !math.IsNaN(w.age()) {
		t.Errorf("an age of %g s without a quote", w.age())
	}
	publish := func(n int) {
		t.Helper()
		for range n {
			for _, s := range []feed.Symbol{"EUR/USD", "GBP/USD"} {
				if _, err := publisher.Publish(t.Context(), []feed.Quote{{Symbol: s, Bid: "1.1", Ask: "1.2", Source: "a", Time: time.Now()}}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	publish(2)
	programtest.Eventually(t, "both symbols are known, and no longer 0 a second", func() bool { w.look(t.Context()); return len(w.last) == 2 && w.rate == 0 })
	if age := w.age(); age > 30 {
		t.Errorf("the newest quote is %g s old", age)
	}
	if w.simulated() {
		t.Error("quotes of another source are called simulated")
	}
	if _, err := publisher.Publish(t.Context(), []feed.Quote{{Symbol: "USD/JPY", Bid: "150.1", Ask: "150.2", Source: simulator.DefaultSource, Time: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "the simulator's quotes are known as such", func() bool { w.look(t.Context()); return w.simulated() })
	publish(5)
	w.looked = w.looked.Add(-time.Hour)
	if w.look(t.Context()); math.Abs(w.rate-10./3600) > 1e-5 {
		t.Errorf("%g ticks a second, want 10 in an hour and a little", w.rate)
	}
	w.newest = w.newest.Add(-time.Hour)
	if age := w.age(); age < 3600 || age > 3700 {
		t.Errorf("an hour later the newest quote is %g s old", age)
	}
	w.quotes = func(context.Context, []string) ([]receive.LastQuote, error) { return nil, errors.New("no Redis") }
	if w.look(t.Context()); w.age() < 3600 || !math.IsNaN(w.rate) {
		t.Errorf("without Redis: %g s, %g a second", w.age(), w.rate)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// TestFeedWatchBeforeTheListIsKnown looks once before the node knows the symbols, as a node that has
// just started does: quotes from before that look do not count.
func TestFeedWatchBeforeTheListIsKnown(t *testing.T) {
	logger, _ := programtest.Log()
	var quotes []receive.LastQuote
	w := newFeedWatch(func(context.Context, []string) ([]receive.LastQuote, error) { return quotes, nil }, prometheus.NewRegistry(), logger)
	last := func(s feed.Symbol, epoch string, seq uint64) receive.LastQuote {
		return receive.LastQuote{Tick: feed.Tick{Symbol: s, Epoch: epoch, Seq: seq, At: time.Now().UnixMicro()}}
	}
	w.look(t.Context())
	w.looked = w.looked.Add(-time.Minute)
	old := feed.NewEpoch(time.Now().Add(-time.Hour))
	quotes = []receive.LastQuote{last("EUR/USD", old, 1_000_000), last("GBP/USD", "oldepoch", 1_000_000), last("USD/JPY", feed.NewEpoch(time.Now()), 60)}
	if w.look(t.Context()); math.Abs(w.rate-1) > 0.1 {
		t.Errorf("%g ticks a second, want 1, from the symbol that has begun since", w.rate)
	}
	w.looked = w.looked.Add(-time.Minute)
	quotes[0].Seq += 120
	if w.look(t.Context()); math.Abs(w.rate-2) > 0.1 {
		t.Errorf("%g ticks a second at the next look, want 2", w.rate)
	}
}
