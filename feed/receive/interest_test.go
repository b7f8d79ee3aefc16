package receive_test

import (
	"fmt"
	"slices"
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

// wishes is the set of symbols that the clients of a node want.
type wishes struct {
	mu   sync.Mutex // guards set
	set  map[string]bool
	told func(symbol string)
}

func (w *wishes) wanted(symbol string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set[symbol] || w.set["*"]
}

func (w *wishes) want(symbol string, wanted bool) {
	w.mu.Lock()
	w.set[symbol] = wanted
	w.mu.Unlock()
	w.told(symbol)
}

func startWishing(t testing.TB, c redis.UniversalClient, linger time.Duration) (*node, *wishes) {
	t.Helper()
	w := &wishes{set: map[string]bool{}}
	n := startNodeWith(t, c, func(cfg *receive.ReceiverConfig) { cfg.Wanted, cfg.Linger = w.wanted, linger })
	w.told = n.receiver.InterestChanged
	return n, w
}

// quoteChannels returns the channels of quotes that have a subscriber.
func quoteChannels(t testing.TB, c *redis.Client) []string {
	t.Helper()
	channels, err := c.PubSubChannels(t.Context(), "fx:{*}").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(channels)
	return channels
}

func TestInterest(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p := startPublisher(t, c)
		for _, s := range []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"} {
			publishOne(t, p, feed.Quote{Symbol: s, Bid: "1", Ask: "2"})
		}
		n, w := startWishing(t, c, time.Millisecond)
		eventually(t, "all symbols are told", func() bool {
			return n.has("list EUR/USD true") && n.has("list GBP/USD true") && n.has("list USD/JPY true")
		})
		if got := quoteChannels(t, c); len(got) != 0 {
			t.Errorf("subscribed to %v and nobody wants anything", got)
		}
		w.want("EUR/USD", true)
		w.want("AUD/NZD", true)  // nobody has published it
		w.want("GBP/*", true)    // no symbol, no harm
		w.want("fx:{CHF}", true) // nor this
		eventually(t, "both are followed", func() bool { return n.has("follow EUR/USD true") && n.has("follow AUD/NZD true") })
		check(t, "channels", quoteChannels(t, c), "fx:{AUD/NZD}", "fx:{EUR/USD}")
		publishOne(t, p, eurusd("1", "2"))
		o := publishOne(t, p, eurusd("1", "2"))
		n.at(t, o)

		// What is not followed is read from Redis.
		lasts := receive.NewLastQuotes(n.board, c, keys)
		quotes, err := lasts.Quotes(t.Context(), []string{"*"})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, q := range quotes {
			names = append(names, fmt.Sprint(q.Symbol, q.Seq, q.Status))
		}
		check(t, "quotes", names, "EUR/USD3live", "GBP/USD1live", "USD/JPY1live")
		if quotes, err = lasts.Quotes(t.Context(), []string{"GBP/*", "CHF/JPY"}); err != nil || len(quotes) != 1 || quotes[0].Symbol != "GBP/USD" {
			t.Errorf("quotes of GBP/* = %v, %v", quotes, err)
		}
		infos, err := lasts.Symbols(t.Context())
		if err != nil || len(infos) != 3 || infos[1].Last.IsZero() || infos[1].Status != feed.StatusLive {
			t.Errorf("symbols = %v, %v", infos, err)
		}

		w.want("EUR/USD", false)
		w.want("AUD/NZD", false)
		eventually(t, "given up", func() bool { return n.has("follow EUR/USD false") && len(quoteChannels(t, c)) == 0 })
		if epoch, seq, _ := n.board.Last("EUR/USD"); epoch != o.Epoch || seq != o.Seq {
			t.Errorf("Last = %s %d of a symbol given up, want %s %d", epoch, seq, o.Epoch, o.Seq)
		}
		if n := metric(t, n.reg, "fx_feed_missed_total"); n != 0 {
			t.Errorf("%v missed", n)
		}
	})
}

// A symbol that was never published before soon reaches clients that want every symbol.
func TestNewSymbol(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		n, w := startWishing(t, c, 0)
		w.want("*", true)
		p := startPublisher(t, c)
		for _, s := range []string{"EUR/USD", "XAU/EUR", "USD/CNY"} {
			publishOne(t, p, feed.Quote{Symbol: feed.Symbol(s), Bid: "1", Ask: "2"})
			published := time.Now()
			// As the hub does for a new symbol that a wildcard matches.
			eventually(t, "the sink lists the symbol", func() bool { return n.has("list " + s + " true") })
			n.receiver.InterestChanged(s)
			eventually(t, "it is followed", func() bool { return n.has("follow " + s + " true") })
			if took := time.Since(published); took > time.Second+busy {
				t.Errorf("%s took %v", s, took)
			}
		}
	})
}

// A client that wants every symbol receives a new one from its first quote on, including quotes
// accepted before this node knew the symbol.
func TestNewSymbolFromItsFirstQuote(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		n, w := startWishing(t, c, 0)
		w.want("*", true)
		p := startPublisher(t, c)
		publishOne(t, p, feed.Quote{Symbol: "USD/JPY", Bid: "1", Ask: "2"})
		eventually(t, "symbols are looked for", func() bool { return n.has("list USD/JPY true") })
		var want []uint64
		var last accept.Outcome
		publish := func() {
			last = publishOne(t, p, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "2"})
			want = append(want, last.Seq)
		}
		eventually(t, "it is followed", func() bool {
			publish()
			if n.has("list EUR/USD true") { // as the hub does
				n.receiver.InterestChanged("EUR/USD")
			}
			return n.follows("EUR/USD")
		})
		publish()
		eventually(t, "the last is told", func() bool { return n.has(fmt.Sprintf("publish EUR/USD %s %d", last.Epoch, last.Seq)) })
		var got []uint64
		for _, e := range n.all() {
			var epoch string
			var seq uint64
			if k, _ := fmt.Sscanf(e, "publish EUR/USD %s %d", &epoch, &seq); k == 2 {
				got = append(got, seq)
			}
		}
		if len(want) < 3 || !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if n := metric(t, n.reg, "fx_feed_missed_total"); n != 0 {
			t.Errorf("%v missed", n)
		}
	})
}

// TestInterestChurn switches interest on and off while quotes stream. Each stretch is without gap
// and begins with the newest value.
func TestInterestChurn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	symbols := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"}
	made := startProducer(t, c, symbols...)
	made.more(t, 1, symbols...)
	n, w := startWishing(t, c, time.Millisecond)
	for round := range 8 {
		for i, symbol := range symbols {
			w.want(string(symbol), (round+i)%3 != 0)
		}
		for i, symbol := range symbols {
			eventually(t, "the wishes are met", func() bool {
				return n.follows(symbol) == ((round+i)%3 != 0)
			})
		}
		if round%3 == 2 {
			c.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
		}
		made.more(t, 10, symbols...)
	}
	for _, symbol := range symbols {
		w.want(string(symbol), true)
	}
	for _, symbol := range symbols {
		eventually(t, "all are followed", func() bool { return n.follows(symbol) })
	}
	made.more(t, 10, symbols...)
	made.stop()
	for _, symbol := range symbols {
		n.complete(t, made, symbol)
		n.stretches(t, symbol)
	}
	n.nothingMissed(t)
}

// follows reports the last call of Follow.
func (n *node) follows(s feed.Symbol) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range slices.Backward(n.events) {
		if yes, ok := strings.CutPrefix(e, "follow "+string(s)+" "); ok {
			return yes == "true"
		}
	}
	return false
}

// stretches checks the quotes of each period in which s was followed: the newest value first, then
// Follow, then every quote, and none in between periods.
func (n *node) stretches(t testing.TB, s feed.Symbol) {
	t.Helper()
	follow, leave := fmt.Sprintf("follow %s true", s), fmt.Sprintf("follow %s false", s)
	var got []accept.Outcome // a failover begins a new epoch, with number 1
	following := false
	for _, e := range n.all() {
		var epoch string
		var seq uint64
		switch k, _ := fmt.Sscanf(e, "publish "+string(s)+" %s %d", &epoch, &seq); {
		case e == follow:
			if len(got) != 1 {
				t.Errorf("%s: %d values before it is followed, want the newest", s, len(got))
			}
			following = true
		case e == leave:
			for i := 1; i < len(got); i++ {
				if before, o := got[i-1], got[i]; o.Epoch == before.Epoch && o.Seq != before.Seq+1 || o.Epoch != before.Epoch && o.Seq != 1 {
					t.Errorf("%s: %s %d follows %s %d", s, o.Epoch, o.Seq, before.Epoch, before.Seq)
				}
			}
			following, got = false, nil
		case k == 2:
			if !following && len(got) > 0 {
				t.Errorf("%s: quote %d while it is not followed", s, seq)
			}
			got = append(got, accept.Outcome{Epoch: epoch, Seq: seq})
		}
	}
}

// Subscribing to many symbols at once takes few round trips.
func TestInterestInBatches(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	symbols := manySymbols(600)
	n, w := startWishing(t, c, time.Millisecond)
	for _, symbol := range symbols {
		w.want(string(symbol), true)
	}
	eventually(t, "all are followed", func() bool {
		return !slices.ContainsFunc(symbols, func(s feed.Symbol) bool { return !n.has(fmt.Sprintf("follow %s true", s)) })
	})
	stats := c.Info(t.Context(), "commandstats").Val()
	for line := range strings.Lines(stats) {
		var calls int
		if _, err := fmt.Sscanf(line, "cmdstat_subscribe:calls=%d,", &calls); err == nil && calls > 10 {
			t.Errorf("%d SUBSCRIBE for %d symbols", calls, len(symbols))
		}
	}
	for _, symbol := range symbols[10:] {
		w.want(string(symbol), false)
	}
	eventually(t, "10 channels are left", func() bool { return len(quoteChannels(t, c)) == 10 })
}

// Listed symbols with longer codes are followed like any other. Symbols that this node does not
// know are left out.
func TestListedSymbols(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: `{"BTC/USDT":{"digits":2,"hours":"always","aliases":["XBT"]},"US30/USD":{}}`})
		if err != nil {
			t.Fatal(err)
		}
		more, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: `{"BTC/USDT":{},"US30/USD":{},"ETH/USD":{}}`})
		if err != nil {
			t.Fatal(err)
		}
		p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Instruments = more })
		for _, s := range []feed.Symbol{"BTC/USDT", "ETH/USD"} {
			publishOne(t, p, feed.Quote{Symbol: s, Bid: "65000.12", Ask: "65000.13"})
		}
		sink := newSink()
		board := receive.NewBoard(receive.BoardConfig{Sink: sink, Instruments: table})
		n := startNodeWith(t, c, func(cfg *receive.ReceiverConfig) { cfg.Board, cfg.Sink = board, sink })
		eventually(t, "the listed symbol is followed", func() bool { return sink.has("follow BTC/USDT true") })
		n.receiver.InterestChanged("US30/USD")
		n.receiver.InterestChanged("ETH/USD")
		eventually(t, "a listed symbol without a quote is followed", func() bool { return sink.has("follow US30/USD true") })
		publishOne(t, p, feed.Quote{Symbol: "BTC/USDT", Bid: "65000.14", Ask: "65000.15"})
		publishOne(t, p, feed.Quote{Symbol: "US30/USD", Bid: "44000", Ask: "44001"})
		eventually(t, "quotes come", func() bool {
			quotes := board.Quotes([]string{"BTC/*", "*/USD"})
			return len(quotes) == 2 && quotes[0].Bid == "65000.14" && quotes[1].Symbol == "US30/USD"
		})
		if sink.has("follow ETH/USD true") {
			t.Error("a symbol that is not known here is followed")
		}
		infos, err := receive.NewLastQuotes(board, c, keys).Symbols(t.Context())
		if err != nil || len(infos) != 2 || infos[0].Digits != 2 || infos[0].Pip != "0.1" || !infos[0].Hours.Open(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)) ||
			!slices.Equal(infos[0].Aliases, []string{"XBT"}) || infos[1].Digits != 5 {
			t.Errorf("%+v, %v", infos, err)
		}
	})
}
