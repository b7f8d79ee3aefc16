package node

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/feed/simulator"
	"github.com/fxcast/fxcast/protocol"
)

const (
	feedWatchEvery = 15 * time.Second
	feedWatchWait  = 5 * time.Second
)

// feedWatch looks at the last quotes of all symbols in Redis. A node follows only the symbols that its
// clients want, so without clients nothing else on it notices that the feed has stopped.
type feedWatch struct {
	quotes   func(ctx context.Context, patterns []string) ([]receive.LastQuote, error)
	interval time.Duration
	log      *slog.Logger

	mu     sync.Mutex // guards the fields below
	newest time.Time  // acceptance of the newest tick; zero = none known
	rate   float64    // accepted ticks per second between the last two looks; NaN = not known
	last   map[feed.Symbol]protocol.Position
	looked time.Time
	ours   bool // a current quote is the simulator's
}

// newFeedWatch returns a feedWatch of quotes, which is LastQuotes.Quotes.
func newFeedWatch(quotes func(context.Context, []string) ([]receive.LastQuote, error), reg prometheus.Registerer, logger *slog.Logger) *feedWatch {
	w := &feedWatch{quotes: quotes, interval: feedWatchEvery, log: logger, rate: math.NaN()}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_feed_newest_tick_age_seconds",
		Help: "Age of the newest quote that any node or producer had accepted, of all symbols, with or without clients; NaN if none is known. Above a minute while the market is open: producers are down.",
	}, w.age), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fx_feed_ticks_per_second",
		Help: "Quotes accepted per second by all nodes and producers, over the last 15 s; NaN if not known. 0 while the market is open: producers are down.",
	}, func() float64 {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.rate
	}))
	return w
}

func (w *feedWatch) age() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest.IsZero() {
		return math.NaN()
	}
	return max(0, time.Since(w.newest).Seconds())
}

// simulated reports whether quotes of the simulator were live at the last look.
func (w *feedWatch) simulated() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ours
}

// Run looks every 15 s until ctx ends; it returns nil.
func (w *feedWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reads all last quotes. While Redis cannot be read the age grows, and the rate is not known.
func (w *feedWatch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, feedWatchWait)
	defer cancel()
	quotes, err := w.quotes(ctx, []string{"*"})
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.log.Debug("feed watch: the last quotes cannot be read", "err", err)
		w.rate, w.looked = math.NaN(), time.Time{}
		return
	}
	accepted, before := uint64(0), w.last
	w.ours = false
	w.last, w.newest = make(map[feed.Symbol]protocol.Position, len(quotes)), time.Time{}
	for _, q := range quotes {
		w.ours = w.ours || q.Source == simulator.DefaultSource && q.Status == feed.StatusLive
		w.last[q.Symbol] = protocol.Position{Epoch: q.Epoch, Seq: q.Seq}
		if at := time.UnixMicro(q.At); at.After(w.newest) {
			w.newest = at
		}
		switch was, seen := before[q.Symbol]; {
		case was.Epoch == q.Epoch:
			accepted += max(q.Seq, was.Seq) - was.Seq
		case seen, feed.EpochBegan(q.Epoch) >= w.looked.UnixMilli(): // the sequence began since the last look
			accepted += q.Seq
		} // else this node has just learned of the symbol, and its earlier quotes do not count
	}
	if w.looked.IsZero() {
		w.rate = math.NaN()
	} else {
		w.rate = float64(accepted) / now.Sub(w.looked).Seconds()
	}
	w.looked = now
}
