package receive_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
)

// node is a Board with a Receiver, both running.
type node struct {
	*sink
	board    *receive.Board
	receiver *receive.Receiver
	reg      *prometheus.Registry
	stop     func()
}

func startNode(t testing.TB, c redis.UniversalClient, channels ...string) *node {
	t.Helper()
	return startNodeWith(t, c, func(cfg *receive.ReceiverConfig) { cfg.Channels = channels })
}

func startNodeWith(t testing.TB, c redis.UniversalClient, change func(*receive.ReceiverConfig)) *node {
	t.Helper()
	return startNodeOn(t, c, receive.BoardConfig{}, change)
}

// startNodeOn starts a node whose board has lives of its own.
func startNodeOn(t testing.TB, c redis.UniversalClient, board receive.BoardConfig, change func(*receive.ReceiverConfig)) *node {
	t.Helper()
	n := &node{sink: newSink(), reg: prometheus.NewPedanticRegistry()}
	health := redislink.NewHealth()
	board.Sink, board.Registerer = n.sink, n.reg
	n.board = receive.NewBoard(board)
	cfg := receive.ReceiverConfig{
		Redis: c, Keys: keys, Node: "n-" + rand.Text(),
		Board: n.board, Sink: n.sink, Lost: health.Signal("quotes"), Registerer: n.reg,
	}
	change(&cfg)
	n.receiver = receive.NewReceiver(cfg)
	start(t, n.board.Run)
	start(t, func(ctx context.Context) error { return health.Run(ctx, n.sink.degraded) })
	n.stop = start(t, n.receiver.Run)
	eventually(t, "the first resync", func() bool { return n.has("degraded false") })
	n.forget("degraded ")
	return n
}

// at waits until the node has delivered the quote.
func (n *node) at(t testing.TB, o accept.Outcome) {
	t.Helper()
	eventually(t, fmt.Sprintf("EUR/USD is at %s %d", o.Epoch, o.Seq), func() bool {
		return n.has(fmt.Sprintf("publish EUR/USD %s %d", o.Epoch, o.Seq))
	})
}

// contiguous reports whether each number is one more than the one before.
func contiguous(seqs []uint64) bool {
	for i := range seqs {
		if seqs[i] != seqs[0]+uint64(i) {
			return false
		}
	}
	return true
}

func TestPublishAndReceive(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		early := startNode(t, c)
		first, second := startPublisher(t, c), startPublisher(t, c)
		var last accept.Outcome
		for i := range 50 {
			p := first
			if i%2 == 1 {
				p = second
			}
			last = publishOne(t, p, eurusd("1.08501", "1.08513"))
		}
		early.at(t, last)
		if seqs := early.seqs("EUR/USD", last.Epoch); !contiguous(seqs) { // from when the node knew the symbol
			t.Errorf("numbers %v, want no gap", seqs)
		}
		if n := metric(t, early.reg, "fx_feed_missed_total"); n != 0 {
			t.Errorf("%v missed without a fault", n)
		}
		late := startNode(t, c) // gets the last value only
		late.at(t, last)
		eventually(t, "it is followed", func() bool { return late.has("follow EUR/USD true") })
		check(t, "late node", late.all(), "list EUR/USD true", "status EUR/USD live", fmt.Sprintf("publish EUR/USD %s 50", last.Epoch), "follow EUR/USD true")
		q, _ := receive.NewLastQuotes(late.board, c, keys).Quotes(t.Context(), []string{"*"})
		want := fmt.Sprintf(`"bid":"1.08501","ask":"1.08513","ts":"%s","seq":50`, time.UnixMicro(last.At).UTC().Format(protocol.TimeLayout))
		if len(q) != 1 || !strings.HasSuffix(string(q[0].Body), want) {
			t.Errorf("Quotes = %+v, want a body that ends in %s", q, want)
		}
		if age := late.receiver.ProbeAge(); age > 3*time.Second {
			eventually(t, "a probe came back", func() bool { return late.receiver.ProbeAge() < 3*time.Second })
		}
	})
}

// While quotes stream, opening a subscription must not lose or duplicate a quote or count a gap,
// although the last values that are read cross with live quotes.
func TestResyncWhileStreaming(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	p := startPublisher(t, c)
	streaming, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := make(chan accept.Outcome, 1)
	go func() {
		var last accept.Outcome
		batch := slices.Repeat([]feed.Quote{eurusd("1", "2")}, 20)
		for streaming.Err() == nil {
			if o, err := p.Publish(context.Background(), batch); err == nil {
				last = o[len(o)-1]
			}
		}
		stopped <- last
	}()
	var nodes []*node
	for range 5 {
		nodes = append(nodes, startNode(t, c))
	}
	cancel()
	last := <-stopped
	for _, n := range nodes {
		n.at(t, last)
		if seqs := n.seqs("EUR/USD", last.Epoch); !contiguous(seqs) {
			t.Errorf("numbers %v, want no gap", seqs)
		}
		if missed := metric(t, n.reg, "fx_feed_missed_total"); missed != 0 {
			t.Errorf("%v missed without a fault", missed)
		}
	}
}

func TestReceiverReconnects(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	n := startNode(t, c)
	p := startPublisher(t, c)
	n.at(t, publishOne(t, p, eurusd("1", "2")))

	// The connection is cut, and quotes are published before it is open again: they are read from
	// history.
	if killed := c.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Val(); killed == 0 {
		t.Fatal("no connection was killed")
	}
	var last accept.Outcome
	for range 3 {
		last = publishOne(t, p, eurusd("1", "2"))
	}
	n.at(t, last)
	eventually(t, "a second resync", func() bool { return metric(t, n.reg, "fx_feed_resyncs_total") >= 2 })
	if missed := metric(t, n.reg, "fx_feed_missed_total"); missed != 0 {
		t.Errorf("%v missed, want none", missed)
	}
	if got := n.seqs("EUR/USD", last.Epoch); !contiguous(got) {
		t.Errorf("numbers %v, want no gap", got)
	}

	// The server dies, loses all data and comes back.
	s.Kill()
	s.Restart()
	last = publishAgain(t, p)
	n.at(t, last)
	last = publishOne(t, p, eurusd("1", "2"))
	n.at(t, last)
	if !slices.IsSorted(n.seqs("EUR/USD", last.Epoch)) {
		t.Errorf("numbers out of order: %v", n.seqs("EUR/USD", last.Epoch))
	}
	if n.has("degraded true") {
		t.Error("degraded although delivery was never gone for 3 s")
	}
}

// A symbol may be listed just after a node has read the known ones.
func TestReceiverFindsSymbolListedLate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		store(t, c, "EUR/USD", time.Hour, acceptedQuote("EUR/USD", "e", 1).AppendJSON(nil))
		n := startNode(t, c)
		c.SAdd(ctx, keys.Symbols(), "EUR/USD")
		eventually(t, "the quote", func() bool { return n.has("publish EUR/USD e 1") })
	})
}

func TestReceiverStopsWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, s.Client())
	s.Pause()
	began := time.Now()
	n.stop()
	if took := time.Since(began); took > 5*time.Second+busy {
		t.Errorf("Run took %v to end", took)
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		n := startNode(t, c, "news", "alerts", "news")
		ctx := t.Context()
		c.Publish(ctx, "other", "1")
		c.Publish(ctx, "news", `{"a": [1, "ü"]}`)
		c.Publish(ctx, "alerts", "plain \"text\"\n")
		c.Publish(ctx, "alerts", "bad \xff")
		c.Publish(ctx, "alerts", "\"bad \xff\"")
		c.Publish(ctx, "news", `"`+strings.Repeat("x", 16<<10)+`"`)
		c.Publish(ctx, "news", `"`+strings.Repeat("x", 16<<10-2)+`"`)
		c.Publish(ctx, "news", "")
		eventually(t, "the last message", func() bool { return n.has(`relay news ""`) })
		check(t, "events", n.all(), `relay news {"a": [1, "ü"]}`, `relay alerts "plain \"text\"\n"`, "relay alerts \"bad \ufffd\"",
			"relay alerts \"\\\"bad \ufffd\\\"\"", `relay news "`+strings.Repeat("x", 16<<10-2)+`"`, `relay news ""`)
		if d := metric(t, n.reg, "fx_feed_relay_too_long_total"); d != 1 {
			t.Errorf("%v counted as too long, want 1", d)
		}
	})
}

// store writes the newest entry of a symbol's history, as the accept script does.
func store(t testing.TB, c *redis.Client, s feed.Symbol, life time.Duration, tick []byte) {
	t.Helper()
	if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: keys.Ticks(s), Values: []any{"q", tick}}).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.PExpire(t.Context(), keys.Ticks(s), life).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestReceiverIgnoresForeignData(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		good := acceptedQuote("GBP/USD", "g", 1).AppendJSON(nil)
		c.SAdd(ctx, keys.Symbols(), "EUR/USD", "eurjpy", "FOO/BAR", "x{y}", "GBP/USD", "USD/JPY", "EUR/CHF")
		store(t, c, "EUR/USD", time.Hour, []byte("garbage"))
		store(t, c, "GBP/USD", time.Hour, good)
		c.HSet(ctx, keys.Ticks("USD/JPY"), "a", "b")
		store(t, c, "EUR/CHF", time.Hour, good) // another symbol's
		n := startNode(t, c)
		eventually(t, "all are followed", func() bool {
			return n.has("follow EUR/USD true") && n.has("follow GBP/USD true") && n.has("follow USD/JPY true") && n.has("follow EUR/CHF true")
		})
		c.Publish(ctx, keys.Channel("EUR/USD"), "garbage")
		c.Publish(ctx, keys.Channel("EUR/USD"), good)
		c.Publish(ctx, keys.Channel("EUR/USD"), acceptedQuote("EUR/USD", "e", 1).AppendJSON(nil))
		eventually(t, "the good quote", func() bool { return n.has("publish EUR/USD e 1") })
		var quotes []string
		for _, e := range n.all() {
			if strings.HasPrefix(e, "publish") {
				quotes = append(quotes, e)
			}
		}
		check(t, "quotes", quotes, "publish GBP/USD g 1", "publish EUR/USD e 1")
		if bad := metric(t, n.reg, "fx_feed_received_bad_total"); bad != 5 {
			t.Errorf("%v counted as bad, want 5", bad)
		}
		infos, err := receive.NewLastQuotes(n.board, c, keys).Symbols(ctx)
		if err != nil {
			t.Error(err)
		}
		var names []string
		for _, s := range infos {
			names = append(names, fmt.Sprint(s.Symbol, " live ", s.Status == feed.StatusLive))
		}
		check(t, "symbols", names, "EUR/USD live true", "GBP/USD live false")
	})
}
