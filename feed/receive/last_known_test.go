package receive_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// startShortLived starts a node and a publisher whose quotes are current for 400 ms and known for
// known.
func startShortLived(t *testing.T, c redis.UniversalClient, known time.Duration) (*node, *accept.Publisher) {
	t.Helper()
	p := startPublisher(t, c, func(cfg *accept.PublisherConfig) {
		cfg.QuoteTTL, cfg.HistoryTicks, cfg.Gate = 400*time.Millisecond, -1, accept.Gate{LastKnown: known}
	})
	return startShortLivedNode(t, c, known), p
}

func startShortLivedNode(t *testing.T, c redis.UniversalClient, known time.Duration) *node {
	t.Helper()
	return startNodeOn(t, c, receive.BoardConfig{QuoteTTL: 400 * time.Millisecond, LastKnown: known}, func(*receive.ReceiverConfig) {})
}

// After QUOTE_TTL the last price stays known, also to a node that starts later, but never as live,
// even with a longer STALE_AFTER and without history.
func TestLastKnownOutlivesQuote(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		n, p := startShortLived(t, c, time.Hour)
		publishOne(t, p, eurusd("1", "2"))
		o := publishOne(t, p, eurusd("1.1", "1.2"))
		n.at(t, o)
		eventually(t, "the quote expires", func() bool { return c.Exists(t.Context(), keys.Quote("EUR/USD")).Val() == 0 })
		if length := c.XLen(t.Context(), keys.Ticks("EUR/USD")).Val(); length != 1 {
			t.Errorf("%d entries of history, want the newest", length)
		}
		late := startShortLivedNode(t, c, time.Hour)
		late.at(t, o)
		if late.has("status EUR/USD live") {
			t.Errorf("a late node delivers %q", late.all())
		}
		unfollowed := receive.NewLastQuotes(receive.NewBoard(receive.BoardConfig{Sink: newSink(), QuoteTTL: 400 * time.Millisecond, LastKnown: time.Hour}), c, keys)
		for name, lasts := range map[string]*receive.LastQuotes{
			"early": receive.NewLastQuotes(n.board, c, keys), "late": receive.NewLastQuotes(late.board, c, keys), "unfollowed": unfollowed,
		} {
			eventually(t, name+" has the price, not live", func() bool {
				q, err := lasts.Quotes(t.Context(), []string{"EUR/USD"})
				return err == nil && len(q) == 1 && q[0].Seq == 2 && (q[0].Status == feed.StatusStale || q[0].Status == feed.StatusClosed)
			})
		}
		if n.has("drop EUR/USD") || late.has("drop EUR/USD") {
			t.Error("dropped while it is known")
		}
	})
}

// After LAST_KNOWN_TTL nothing is known, and the symbol leaves the list. The counter goes on.
func TestSymbolLeavesTheList(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		n, p := startShortLived(t, c, 1200*time.Millisecond)
		publishOne(t, p, feed.Quote{Symbol: "GBP/USD", Bid: "1", Ask: "2"})
		o := publishOne(t, p, eurusd("1.1", "1.2"))
		n.at(t, o)
		stop := start(t, func(ctx context.Context) error {
			for redislink.Sleep(ctx, 100*time.Millisecond) {
				if _, err := p.Publish(ctx, []feed.Quote{{Symbol: "GBP/USD", Bid: "1", Ask: "2"}}); err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
		eventually(t, "it leaves", func() bool {
			return n.has("drop EUR/USD") && n.has("status EUR/USD unknown") && n.has("list EUR/USD false") && !c.SIsMember(t.Context(), keys.Symbols(), "EUR/USD").Val()
		})
		lasts := receive.NewLastQuotes(n.board, c, keys)
		if infos, err := lasts.Symbols(t.Context()); err != nil || len(infos) != 1 || infos[0].Symbol != "GBP/USD" {
			t.Errorf("symbols = %+v, %v; want GBP/USD", infos, err)
		}
		if n.has("list GBP/USD false") {
			t.Error("a symbol with quotes left the list")
		}
		stop()
		next := publishOne(t, p, eurusd("1.1", "1.2"))
		if next.Epoch != o.Epoch || next.Seq != o.Seq+1 {
			t.Errorf("the next quote is %+v, want the number after %+v", next, o)
		}
		n.at(t, next)
		eventually(t, "it is listed again", func() bool { return c.SIsMember(t.Context(), keys.Symbols(), "EUR/USD").Val() })
	})
}

// A value that Redis no longer has when a connection is opened again is not known any more.
func TestLostValueIsUnknown(t *testing.T) {
	s := newSink()
	b := receive.NewBoard(receive.BoardConfig{Sink: s})
	b.Open("EUR/USD")
	b.Merge("EUR/USD", 0, acceptedQuote("EUR/USD", "a", 5))
	b.Open("EUR/USD")
	b.Apply(acceptedQuote("EUR/USD", "a", 6))
	b.Merge("EUR/USD", 0, feed.Tick{}) // read before the tick was accepted
	b.Open("EUR/USD")
	b.Merge("EUR/USD", 0, feed.Tick{})
	b.Open("EUR/USD")
	b.Merge("EUR/USD", 0, feed.Tick{})
	b.Apply(acceptedQuote("EUR/USD", "b", 1))
	check(t, "events", s.all(), "status EUR/USD live", "publish EUR/USD a 5", "follow EUR/USD true", "publish EUR/USD a 6",
		"drop EUR/USD", "status EUR/USD unknown", "list EUR/USD false", "status EUR/USD live", "publish EUR/USD b 1")
}

// A removed symbol is forgotten in whatever state it is, and what was on its way stays outdated.
func TestBoardRemove(t *testing.T) {
	tick := func(epoch string, seq uint64, at int64) feed.Tick {
		a := acceptedQuote("EUR/USD", epoch, seq)
		a.At = at
		return a
	}
	for name, c := range map[string]struct {
		steps func(b *receive.Board)
		known bool
		want  []string
	}{
		"followed": {func(b *receive.Board) {
			b.Open("EUR/USD")
			b.Merge("EUR/USD", 0, tick("a", 5, 100))
		}, true, []string{"status EUR/USD live", "publish EUR/USD a 5", "follow EUR/USD true", "drop EUR/USD", "status EUR/USD unknown", "list EUR/USD false"}},
		"a newer epoch came first": {func(b *receive.Board) {
			b.Open("EUR/USD")
			b.Merge("EUR/USD", 0, tick("a", 5, 100))
			b.Apply(tick("b", 1, 300))
		}, false, []string{"status EUR/USD live", "publish EUR/USD a 5", "follow EUR/USD true", "publish EUR/USD b 1"}},
		"an older epoch is shown": {func(b *receive.Board) {
			b.Open("EUR/USD")
			b.Merge("EUR/USD", 0, tick("o", 5, 50))
		}, true, []string{"status EUR/USD live", "publish EUR/USD o 5", "follow EUR/USD true", "drop EUR/USD", "status EUR/USD unknown", "list EUR/USD false"}},
		"not known":  {func(*receive.Board) {}, false, nil},
		"being read": {func(b *receive.Board) { b.Open("EUR/USD") }, false, []string{"list EUR/USD false"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink()
			b := receive.NewBoard(receive.BoardConfig{Sink: s})
			c.steps(b)
			if known := b.Remove("EUR/USD", "a", 200); known != c.known {
				t.Errorf("Remove = %v, want %v", known, c.known)
			}
			check(t, "events", s.all(), c.want...)
			if name != "being read" {
				return
			}
			b.Apply(tick("a", 6, 150))               // on its way
			b.Merge("EUR/USD", 0, tick("a", 5, 100)) // read before
			b.Apply(tick("a", 7, 199))               // late
			b.Apply(tick("b", 1, 201))               // the new epoch
			check(t, "events after it", s.all()[1:], "status EUR/USD unknown", "follow EUR/USD true", "status EUR/USD live", "publish EUR/USD b 1")
		})
	}
}

// Symbols that are not known any more are forgotten by a node: its memory is bounded.
func TestBoardForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := receive.NewBoard(receive.BoardConfig{Sink: newSink(), LastKnown: time.Minute})
		stop := start(t, b.Run)
		symbols := manySymbols(200)
		b.List(symbols...)
		for _, s := range symbols {
			b.Open(s)
			b.Merge(s, 0, acceptedQuote(s, "a", 1))
		}
		time.Sleep(2 * time.Minute)
		b.List()
		for _, s := range symbols {
			b.Leave(s)
		}
		time.Sleep(20 * time.Second)
		if n := len(b.Names()); n != 0 {
			t.Errorf("%d symbols are remembered, want none", n)
		}
		stop()
	})
}

// The age of a stored value comes from the lives of the keys, and the greater one counts.
func TestStoredAge(t *testing.T) {
	const quoteTTL, known = time.Minute, time.Hour
	for _, c := range []struct{ life, current, age, left time.Duration }{
		{known, quoteTTL, 0, known},
		{known - 20*time.Second, quoteTTL - 20*time.Second, 20 * time.Second, known - 20*time.Second},
		{known - 10*time.Minute, -2, 10 * time.Minute, known - 10*time.Minute},
		{known - 10*time.Second, -2, quoteTTL, known - 10*time.Second}, // evicted
		{24 * time.Hour, -2, quoteTTL, known},                          // LAST_KNOWN_TTL was longer
		{known, 10 * time.Second, 50 * time.Second, known},
	} {
		if age, left := receive.StoredAge(quoteTTL, known, c.life, c.current); age != c.age || left != c.left {
			t.Errorf("life %v, current %v: age %v, %v left; want %v and %v", c.life, c.current, age, left, c.age, c.left)
		}
	}
}

// brokenPipelines lets a connection break before the last answer of a pipeline.
type brokenPipelines struct{ redis.Hook }

func (brokenPipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (brokenPipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (brokenPipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		if err == nil {
			err = io.ErrUnexpectedEOF
			commands[len(commands)-1].SetErr(err)
		}
		return err
	}
}

// A connection that breaks between the answers about a symbol is an error, and does not mean that
// the symbol has no last price.
func TestHalfAnAnswerIsNoLastValue(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client()
	publishOne(t, startPublisher(t, client), eurusd("1", "2"))
	board := receive.NewBoard(receive.BoardConfig{Sink: newSink()})
	client.AddHook(brokenPipelines{})
	quotes, err := receive.NewLastQuotes(board, client, keys).Quotes(t.Context(), []string{"EUR/USD"})
	if !errors.Is(err, redislink.ErrUnavailable) || len(quotes) > 0 {
		t.Errorf("%v, %v; want that Redis is not available", quotes, err)
	}
}

// A Redis that refuses the password of this node has the last prices all the same.
func TestWrongPasswordIsNoLastValue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	publishOne(t, startPublisher(t, server.Client()), eurusd("1", "2"))
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "fxcast", Password: "outdated"})
	t.Cleanup(func() { client.Close() })
	board := receive.NewBoard(receive.BoardConfig{Sink: newSink()})
	quotes, err := receive.NewLastQuotes(board, client, keys).Quotes(t.Context(), []string{"EUR/USD"})
	if !errors.Is(err, redislink.ErrUnavailable) || len(quotes) > 0 {
		t.Errorf("%v, %v; want that Redis is not available", quotes, err)
	}
}
