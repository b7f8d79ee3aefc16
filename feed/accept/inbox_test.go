package accept_test

import (
	"context"
	"errors"
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

const inboxChannel = "forex_updates"

// runningInbox is a running Inbox with the parts it needs.
type runningInbox struct {
	*accept.Inbox
	node     string
	rejected *accept.RejectedLog
	reg      *prometheus.Registry
	stop     func()
}

func startInbox(t testing.TB, c redis.UniversalClient, node string, change ...func(*accept.InboxConfig)) *runningInbox {
	t.Helper()
	in := &runningInbox{node: node, reg: prometheus.NewPedanticRegistry()}
	in.rejected = accept.NewRejectedLog(accept.RejectedConfig{Redis: c, Keys: keys, Registerer: in.reg})
	cfg := accept.InboxConfig{Redis: c, Keys: keys, Channel: inboxChannel, Input: feed.InputOptions{Base: "EUR"}, Node: node, Rejected: in.rejected, Registerer: in.reg}
	for _, f := range change {
		f(&cfg)
	}
	if cfg.Publisher == nil {
		cfg.Publisher = startPublisher(t, c)
	}
	in.Inbox = accept.NewInbox(cfg)
	in.stop = start(t, in.Run)
	return in
}

func (in *runningInbox) awaitLead(t testing.TB) {
	t.Helper()
	eventually(t, "the node leads", func() bool { return in.Leader() == in.node })
}

func send(t testing.TB, c *redis.Client, messages ...string) {
	t.Helper()
	pipe := c.Pipeline()
	for _, m := range messages {
		pipe.Publish(t.Context(), inboxChannel, m)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func counter(t testing.TB, c *redis.Client, s feed.Symbol) string {
	return c.HGet(context.Background(), keys.Seq(s), "seq").Val()
}

func TestInbox(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		in := startInbox(t, c, "n1")
		in.awaitLead(t)
		send(t, c, `{"currency":"USD","price":1.0850}`, `{"pair":"eurusd","bid":"1.1","ask":"1.2","timestamp":"2026-01-01T00:00:00"}`,
			`garbage`, `{"symbol":"EUR/USD","bid":2,"ask":1}`, `{"symbol":"EUR/USD","bid":"1","ask":"1","ts":"2199-01-01T00:00:00Z","source":"lmax"}`,
			`{"symbol":"EUR/USD","bid":"1","ask":"1","source":"lmax"}`)
		eventually(t, "three quotes accepted, three rejected", func() bool {
			return counter(t, c, "EUR/USD") == "3" && metric(t, in.reg, "fx_feed_rejected_total") == 3
		})
		v := c.Get(t.Context(), keys.Quote("EUR/USD")).Val()
		if !strings.Contains(v, `"source":"lmax"`) {
			t.Errorf("last value %s, want the source given", v)
		}
		first := c.XRange(t.Context(), keys.Ticks("EUR/USD"), "-", "+").Val()[0].Values["q"].(string)
		if !strings.Contains(first, `"bid":"1.0850","ask":"1.0850"`) || !strings.Contains(first, `"source":"inbox"`) {
			t.Errorf("first quote %s, want the price as written and source inbox", first)
		}
		for _, reason := range []feed.Reason{feed.ReasonBadJSON, feed.ReasonCrossed, feed.ReasonFuture} {
			if n := metric(t, in.reg, "fx_feed_rejected_total", `"`+string(reason)+`"`); n != 1 {
				t.Errorf("%v rejected as %s, want 1", n, reason)
			}
		}
		entries, err := in.rejected.Last(t.Context(), 10)
		if err != nil || len(entries) != 3 || entries[0].Reason != feed.ReasonFuture || entries[0].Source != "lmax" ||
			entries[0].Via != accept.ViaInbox || !strings.Contains(entries[0].Input, "2199") || entries[2].Input != "garbage" {
			t.Errorf("rejected = %+v, %v", entries, err)
		}
		if n := metric(t, in.reg, "fx_feed_inbox_unzoned_total"); n != 1 {
			t.Errorf("%v times without zone counted, want 1", n)
		}
		if leader := in.Leader(); leader != "n1" {
			t.Errorf("the leader is %q", leader)
		}
	})
}

// The inbox accepts every form that POST accepts: arrays, NDJSON, byte order marks, names in any
// case. A broken item does not affect the others.
func TestInboxForms(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: `{"BTC/USDT":{"aliases":["XBT"]},"US30/USD":{}}`, Suffixes: []string{".m"}})
		if err != nil {
			t.Fatal(err)
		}
		in := startInbox(t, c, "n1", func(cfg *accept.InboxConfig) {
			cfg.Input = feed.InputOptions{Base: "EUR", Instruments: table}
			cfg.Publisher = startPublisher(t, c, func(p *accept.PublisherConfig) { p.Instruments = table })
		})
		in.awaitLead(t)
		big := make([]string, 300)
		for i := range big {
			big[i] = fmt.Sprintf(`{"symbol":"GBP/USD","price":"1.%04d","note":"%s"}`, i+1, strings.Repeat("x", 300))
		}
		send(t, c,
			"\ufeff"+`{"Symbol":"EUR.USD","BID":1.0850E0,"Ask":"1.08600000000000000000000000"}`,
			`[{"symbol":"EURUSD.m","price":1.2},17,{"symbol":"C:EURUSD","price":1.3,"ts":""}]`,
			`{"symbol":"EURUSD","price":1.4,"bid_size":-1}`+"\r\n\r\n"+`{broken`+"\n"+`{"symbol":"OANDA:EUR_USD","price":1.5,"ts":"2026-01-01T00:00:00"}`,
			"\xff\xfe"+"{\x00\"\x00s\x00y\x00m\x00b\x00o\x00l\x00\"\x00:\x00\"\x00E\x00U\x00R\x00U\x00S\x00D\x00\"\x00,\x00\"\x00p\x00r\x00i\x00c\x00e\x00\"\x00:\x001\x00.\x006\x00}\x00",
			`{"instrument":"XBT","bid":"65000.12","ask":"65000.13","source":"Kraken Spot","Bid_Size":0.50,"ask_size":1.2e3}`, `{"symbol":"us30usd","price":44000}`,
			"["+strings.Join(big, ",")+"]",
			"\xff\xfe\x00\x00{\x00\x00\x00", "["+strings.Repeat("1,", feed.MaxInputItems)+"1]", strings.Repeat(" ", feed.MaxInputBody)+"{}", "",
			`{"symbol":"EURUSD","price":1.7}`)
		eventually(t, "all good quotes are accepted", func() bool {
			return counter(t, c, "EUR/USD") == "7" && counter(t, c, "BTC/USDT") == "1" && counter(t, c, "US30/USD") == "1" && counter(t, c, "GBP/USD") == "300"
		})
		for reason, want := range map[feed.Reason]float64{feed.ReasonBadJSON: 4, feed.ReasonTooLong: 2} {
			if n := metric(t, in.reg, "fx_feed_rejected_total", `"`+string(reason)+`"`); n != want {
				t.Errorf("%v rejected as %s, want %v", n, reason, want)
			}
		}
		for name, want := range map[string]float64{"fx_feed_untimed_total": 309, "fx_feed_inbox_unzoned_total": 1, "fx_feed_bad_sizes_total": 1} {
			if n := metric(t, in.reg, name); n != want {
				t.Errorf("%s is %v, want %v", name, n, want)
			}
		}
		first := c.XRange(t.Context(), keys.Ticks("EUR/USD"), "-", "+").Val()[0].Values["q"].(string)
		if !strings.Contains(first, `"bid":"1.0850","ask":"1.08600000000000000000000000"`) {
			t.Errorf("first quote %s", first)
		}
		if v := c.Get(t.Context(), keys.Quote("BTC/USDT")).Val(); !strings.Contains(v, `"bid":"65000.12","ask":"65000.13","bid_size":"0.50","ask_size":"1200","ts":`) || !strings.Contains(v, `"source":"kraken_spot"`) {
			t.Errorf("last value %s", v)
		}
	})
}

func TestInboxHandover(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		first := startInbox(t, c, "n1")
		first.awaitLead(t)
		second := startInbox(t, c, "n2")
		eventually(t, "n2 sees n1 lead", func() bool { return second.Leader() == "n1" })
		if second.Leader() == "n2" {
			t.Error("two leaders")
		}
		send(t, c, `{"symbol":"EUR/USD","price":"1"}`)
		eventually(t, "one quote", func() bool { return counter(t, c, "EUR/USD") == "1" })
		first.stop()
		if v := c.Get(t.Context(), keys.InboxLeader()).Val(); strings.HasPrefix(v, "n1#") {
			t.Errorf("%s stopped in order, and its lease is left to expire", v)
		}
		second.awaitLead(t)
		send(t, c, `{"symbol":"EUR/USD","price":"1"}`)
		eventually(t, "the next quote", func() bool { return counter(t, c, "EUR/USD") == "2" })
	})
}

func TestInboxTakeover(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		first := startInbox(t, c, "n1")
		first.awaitLead(t)
		second := startInbox(t, c, "n2")
		first.AbandonLead()
		first.stop()
		began := time.Now()
		second.awaitLead(t)
		if took := time.Since(began); took > 20*time.Second { // less than 5 s, but for a busy machine
			t.Errorf("takeover took %v, want less than 5 s", took)
		}
	})
}

// A leader whose key vanishes, or is taken by another program, stops reading the inbox.
func TestInboxLosesLead(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	in := startInbox(t, c, "n1")
	in.awaitLead(t)
	c.Set(t.Context(), keys.InboxLeader(), "n9#other", time.Minute)
	eventually(t, "given up", func() bool { return in.Leader() != "n1" })
	eventually(t, "the other is seen", func() bool { return in.Leader() == "n9" })
	if v := c.Get(t.Context(), keys.InboxLeader()).Val(); v != "n9#other" {
		t.Errorf("the key of the other leader was touched: %q", v)
	}
	c.PExpire(t.Context(), keys.InboxLeader(), time.Millisecond)
	in.awaitLead(t)
	c.Del(t.Context(), keys.InboxLeader())
	eventually(t, "the loss is noticed", func() bool { return metric(t, in.reg, "fx_feed_inbox_lost_lease_total") == 2 })
	in.awaitLead(t)
	send(t, c, `{"symbol":"EUR/USD","price":"1"}`)
	eventually(t, "one quote", func() bool { return counter(t, c, "EUR/USD") == "1" })
}

func TestInboxSurvivesConnectionLoss(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	in := startInbox(t, c, "n1")
	in.awaitLead(t)
	c.ClientKillByFilter(t.Context(), "TYPE", "pubsub")
	eventually(t, "the loss is noticed", func() bool { return metric(t, in.reg, "fx_feed_inbox_lost_lease_total") == 1 })
	in.awaitLead(t)
	s.Kill()
	eventually(t, "no leader is known", func() bool { return in.Leader() == "" })
	s.Restart()
	in.awaitLead(t)
	send(t, c, `{"symbol":"EUR/USD","price":"1"}`)
	eventually(t, "one quote", func() bool { return counter(t, c, "EUR/USD") == "1" })
}

// A leader whose test messages do not come back gives way to another node, although producers'
// messages still arrive: it may be connected to a master that was replaced.
func TestInboxLosesProbes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, ctx := s.Client(), t.Context()
	if err := admin.Do(ctx, "ACL", "SETUSER", "n1", "on", ">pw", "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "n1", Password: "pw", DisableIdentity: true})
	t.Cleanup(func() { c.Close() })
	first := startInbox(t, c, "n1", func(cfg *accept.InboxConfig) { cfg.Publisher = startPublisher(t, admin) })
	first.awaitLead(t)
	second := startInbox(t, admin, "n2")
	start(t, func(ctx context.Context) error {
		for redislink.Sleep(ctx, 20*time.Millisecond) {
			if err := admin.Publish(ctx, inboxChannel, `{"symbol":"EUR/USD","price":"1"}`).Err(); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	if err := admin.Do(ctx, "ACL", "SETUSER", "n1", "-publish").Err(); err != nil {
		t.Fatal(err)
	}
	second.awaitLead(t)
	before := counter(t, admin, "EUR/USD")
	eventually(t, "the new leader publishes", func() bool { return counter(t, admin, "EUR/USD") != before })
	second.stop()
	// The first node is alone now. It does not lead before it is proven.
	eventually(t, "no leader", func() bool { return first.Leader() == "" })
	if err := admin.Do(ctx, "ACL", "SETUSER", "n1", "+publish").Err(); err != nil {
		t.Fatal(err)
	}
	first.awaitLead(t)
}

func TestInboxFlood(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	in := startInbox(t, c, "n1")
	in.awaitLead(t)
	garbage := make([]string, 2000)
	for i := range garbage {
		garbage[i] = strings.Repeat("{garbage\xff", i%50)
	}
	for range 10 {
		send(t, c, garbage...)
		send(t, c, `{"symbol":"EUR/USD","price":"1"}`)
	}
	eventually(t, "the quotes amid the garbage", func() bool { return counter(t, c, "EUR/USD") == "10" })
	if n := metric(t, in.reg, "fx_feed_rejected_total"); n != 20000 {
		t.Errorf("%v rejected, want 20000", n)
	}
	if in.Leader() != "n1" {
		t.Error("the flood cost the lead")
	}
}

// stuck is a publisher that blocks.
type stuck struct {
	mu               sync.Mutex
	quotes           []feed.Quote
	entered, release chan struct{}
}

func (s *stuck) Accept(ctx context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]accept.Outcome, len(quotes))
	for i := range quotes {
		s.quotes = append(s.quotes, quotes[i])
		out[i] = accept.Outcome{Epoch: "e", Seq: 1}
	}
	return out, nil
}

func (s *stuck) Publish(ctx context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	return s.Accept(ctx, quotes)
}

func (s *stuck) Check(feed.Quote) *feed.Rejection { return nil }

func TestInboxDropsOldestWhenFull(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	p := &stuck{entered: make(chan struct{}, 1), release: make(chan struct{})}
	in := startInbox(t, c, "n1", func(cfg *accept.InboxConfig) { cfg.Publisher = p })
	in.awaitLead(t)
	send(t, c, `{"symbol":"EUR/USD","price":"1"}`)
	<-p.entered // the first is on its way, the rest must queue
	const queue, extra = 16384, 100
	batch := make([]string, 0, 512)
	for i := range queue + extra {
		batch = append(batch, fmt.Sprintf(`{"symbol":"EUR/USD","price":"%d"}`, i+2))
		if len(batch) == cap(batch) || i == queue+extra-1 {
			send(t, c, batch...)
			batch = batch[:0]
		}
	}
	eventually(t, "the oldest are dropped", func() bool {
		return metric(t, in.reg, "fx_feed_rejected_total", `"overflow"`) == extra
	})
	close(p.release)
	in.stop() // publishes the rest in order
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.quotes) != 1+queue || p.quotes[0].Bid != "1" || p.quotes[1].Bid != fmt.Sprint(extra+2) || p.quotes[queue].Bid != fmt.Sprint(queue+extra+1) {
		t.Errorf("%d quotes published, the second is %s, the last %s; want 16385 without the oldest of the queue",
			len(p.quotes), p.quotes[1].Bid, p.quotes[len(p.quotes)-1].Bid)
	}
	if _, err := c.Get(t.Context(), keys.InboxLeader()).Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("the leader after an orderly stop: %v, want none", err)
	}
}

// stuckPublisher accepts nothing of one symbol until it is released.
type stuckPublisher struct {
	*accept.Publisher
	stuck   feed.Symbol
	release chan struct{}
}

func (p *stuckPublisher) Accept(ctx context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	if slices.ContainsFunc(quotes, func(q feed.Quote) bool { return q.Symbol == p.stuck }) {
		<-p.release
	}
	return p.Publisher.Accept(ctx, quotes)
}

// In a cluster, quotes that a master does not take hold up only the quotes of the same master.
func TestInboxOfACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	symbols := onEachMaster(cluster)
	c := cluster.Client()
	p := &stuckPublisher{startPublisher(t, c), symbols[2], make(chan struct{})}
	in := startInbox(t, c, "n1", func(cfg *accept.InboxConfig) { cfg.Publisher = p })
	in.awaitLead(t)
	message := func(bid int, symbols ...feed.Symbol) string {
		var quotes []string
		for _, s := range symbols {
			quotes = append(quotes, fmt.Sprintf(`{"symbol":"%s","bid":"%d","ask":"9000"}`, s, bid))
		}
		return "[" + strings.Join(quotes, ",") + "]"
	}
	sender := redis.NewClient(&redis.Options{Addr: cluster.Addrs()[0], DisableIdentity: true}) // messages of one node stay in order
	defer sender.Close()
	const messages = 50
	for i := range messages {
		if err := sender.Publish(t.Context(), inboxChannel, message(i+1, symbols[2], symbols[0], symbols[1], symbols[2])).Err(); err != nil {
			t.Fatal(err)
		}
	}
	taken := func(s feed.Symbol) int64 { return c.XLen(t.Context(), keys.Ticks(s)).Val() }
	eventually(t, "the quotes of the others are accepted", func() bool {
		return taken(symbols[0]) == messages && taken(symbols[1]) == messages
	})
	if n := taken(symbols[2]); n != 0 {
		t.Errorf("%d quotes of the held symbol accepted", n)
	}
	close(p.release)
	eventually(t, "the quotes that were held up are accepted", func() bool { return taken(symbols[2]) == 2*messages })
	for _, s := range symbols {
		last := 0
		for _, e := range c.XRange(t.Context(), keys.Ticks(s), "-", "+").Val() {
			tick, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
			bid, _ := strconv.Atoi(tick.Bid)
			if err != nil || bid < last {
				t.Fatalf("%s: %s after %d, %v: not in order", s, tick.Bid, last, err)
			}
			last = bid
		}
	}
	if n := metric(t, in.reg, "fx_feed_inbox_lost_total"); n != 0 {
		t.Errorf("%v quotes lost", n)
	}
}
