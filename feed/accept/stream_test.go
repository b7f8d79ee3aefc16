package accept_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

const streamName = "forex_stream"

func withStream(cfg *accept.InboxConfig) { cfg.Stream = streamName }

// addEntry adds an entry with an id, "*" = the next one.
func addEntry(t testing.TB, c redis.UniversalClient, id string, fields ...any) string {
	t.Helper()
	id, err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: streamName, ID: id, Values: fields}).Result()
	if err != nil {
		t.Fatalf("XADD: %v", err)
	}
	return id
}

func tick(symbol string, bid int) string {
	return fmt.Sprintf(`{"symbol":"%s","bid":"1.%06d","ask":"2"}`, symbol, bid)
}

// ticksOf returns the accepted quotes of a symbol, oldest first.
func ticksOf(t testing.TB, c redis.UniversalClient, s feed.Symbol) (ticks []feed.Tick) {
	t.Helper()
	entries, err := c.XRange(context.Background(), keys.Ticks(s), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		one, err := feed.DecodeTick([]byte(e.Values["q"].(string)))
		if err != nil {
			t.Fatal(err)
		}
		ticks = append(ticks, one)
	}
	return ticks
}

func bids(ticks []feed.Tick) (all []string) {
	for _, one := range ticks {
		all = append(all, one.Bid)
	}
	return all
}

func awaitBids(t testing.TB, c redis.UniversalClient, s feed.Symbol, want ...string) {
	t.Helper()
	for have := -1; have < len(want); { // a minute for each further one
		eventually(t, fmt.Sprintf("%s is accepted at %v, %d so far", s, want, have), func() bool {
			now := len(ticksOf(t, c, s))
			more := now > have
			have = now
			return more || now >= len(want)
		})
	}
	if got := bids(ticksOf(t, c, s)); !slices.Equal(got, want) {
		t.Errorf("%s: accepted %v, want %v", s, got, want)
	}
}

// storedPlace returns the id up to which all entries are settled.
func storedPlace(c redis.UniversalClient) string {
	return c.HGet(context.Background(), keys.StreamPlace(streamName), "id").Val()
}

func awaitPlace(t testing.TB, c redis.UniversalClient, id string) {
	t.Helper()
	eventually(t, "all entries are settled up to "+id, func() bool { return storedPlace(c) == id })
}

// TestStream adds entries of every form, before and while a node runs.
func TestStream(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		made := time.Now().Add(-time.Minute).UnixMilli()
		addEntry(t, c, fmt.Sprintf("%d-0", made), "data", tick("EURUSD", 1))
		addEntry(t, c, fmt.Sprintf("%d-1", made), "Symbol", "eur-usd", "bid", "1.000002", "ask", "2", "bid_size", "7", "note", "x")
		addEntry(t, c, "*", "data", "["+tick("EUR/USD", 3)+","+tick("GBP/USD", 1)+","+tick("EUR/USD", 4)+"]", "trace", "ignored")
		in := startInbox(t, c, "n1", withStream)
		awaitBids(t, c, "EUR/USD", "1.000001", "1.000002", "1.000003", "1.000004")
		awaitBids(t, c, "GBP/USD", "1.000001")
		first := ticksOf(t, c, "EUR/USD")[0]
		if first.Time.UnixMilli() != made {
			t.Errorf("without a time: %v, want that of the id, %v", first.Time, time.UnixMilli(made))
		}
		if size := ticksOf(t, c, "EUR/USD")[1].BidSize; size != "7" {
			t.Errorf("bid size %q, want 7", size)
		}
		at := time.Now().Add(-time.Second).UTC().Truncate(time.Microsecond)
		last := addEntry(t, c, "*", "data", fmt.Sprintf(`{"symbol":"EUR/USD","bid":"1.000005","ask":"2","ts":"%s","source":"lmax"}`, at.Format(time.RFC3339Nano))+"\n"+tick("EUR/USD", 6))
		awaitBids(t, c, "EUR/USD", "1.000001", "1.000002", "1.000003", "1.000004", "1.000005", "1.000006")
		if got := ticksOf(t, c, "EUR/USD")[4]; !got.Time.Equal(at) || got.Source != "lmax" {
			t.Errorf("%+v, want its own time %v and source", got, at)
		}
		awaitPlace(t, c, last)
		if n := metric(t, in.reg, "fx_feed_stream_entries_total"); n != 4 {
			t.Errorf("%v entries counted, want 4", n)
		}
		eventually(t, "nothing waits", func() bool {
			return metric(t, in.reg, "fx_feed_stream_lag_entries") == 0 && metric(t, in.reg, "fx_feed_stream_lag_seconds") == 0
		})
		if n := metric(t, in.reg, "fx_feed_untimed_total"); n != 6 {
			t.Errorf("%v quotes without a time counted, want 6", n)
		}

		// A successor repeats nothing, even if the stored place is lost.
		in.stop()
		c.Del(t.Context(), keys.StreamPlace(streamName))
		again := startInbox(t, c, "n2", withStream)
		awaitPlace(t, c, last)
		addEntry(t, c, "*", "data", tick("EUR/USD", 7))
		awaitBids(t, c, "EUR/USD", "1.000001", "1.000002", "1.000003", "1.000004", "1.000005", "1.000006", "1.000007")
		if n := metric(t, again.reg, "fx_feed_stream_repeated_total"); n != 7 {
			t.Errorf("%v repeated, want 7", n)
		}
		for i, one := range ticksOf(t, c, "EUR/USD") {
			if one.Seq != uint64(i+1) {
				t.Errorf("number %d is the %d.", one.Seq, i+1)
			}
		}
	})
}

// TestPoisonedEntries has entries that are no quotes between good ones. Each is refused once and
// named.
func TestPoisonedEntries(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		good := 0
		for _, fields := range [][]any{
			{"data", "garbage"}, {"data", ""}, {"data", "\xff\xfe\x00"}, {"data", strings.Repeat("x", 10<<20)}, {"data", "[" + strings.Repeat("1,", 20_000) + "1]"},
			{"foo", "bar"}, {"symbol", "EUR/USD"}, {"symbol", "EUR/USD", "bid", "2", "ask", "1"}, {"symbol", "EUR/USD", "bid", "1", "BID", "1", "ask", "2"}, {"data", `{"symbol":"EUR/USD","bid":"1","ask":"2","ts":"2199-01-01T00:00:00Z"}`},
			{"symbol", strings.Repeat("y", 2<<20)},
		} {
			addEntry(t, c, "*", fields...)
			good++
			addEntry(t, c, "*", "data", tick("EUR/USD", good))
		}
		in := startInbox(t, c, "n1", withStream)
		var want []string
		for i := range good {
			want = append(want, fmt.Sprintf("1.%06d", i+1))
		}
		awaitBids(t, c, "EUR/USD", want...)
		eventually(t, "every poisoned entry is refused", func() bool { return metric(t, in.reg, "fx_feed_rejected_total") == float64(good) })
		entries, err := in.rejected.Last(t.Context(), 100)
		if err != nil || len(entries) != good {
			t.Fatalf("%d rejected, %v; want %d", len(entries), err, good)
		}
		var reasons []feed.Reason
		for _, e := range entries {
			if reasons = append(reasons, e.Reason); e.Via != accept.ViaStream {
				t.Errorf("%+v, want via stream", e)
			}
		}
		slices.Sort(reasons)
		if want := []feed.Reason{"bad_json", "bad_json", "bad_json", "bad_json", "crossed", "future", "missing_price", "missing_symbol", "too_long", "too_long", "too_long"}; !slices.Equal(reasons, want) {
			t.Errorf("rejected as %v, want %v", reasons, want)
		}
		if !slices.ContainsFunc(entries, func(e accept.RejectedQuote) bool {
			return strings.HasPrefix(e.Input, "xxxx") && strings.Contains(e.Message, "10485764 bytes")
		}) {
			t.Errorf("%+v, want one of 10 MB", entries)
		}
		in.stop()
		c.Del(t.Context(), keys.StreamPlace(streamName))
		again := startInbox(t, c, "n2", withStream)
		last := c.XRevRangeN(t.Context(), streamName, "+", "-", 1).Val()[0].ID
		awaitPlace(t, c, last)
		if n := metric(t, again.reg, "fx_feed_rejected_total", `"future"`); n != 0 {
			t.Errorf("a refused quote was judged again")
		}
	})
}

// TestStreamMadeAgain deletes the stream and makes it again with smaller ids, while a node reads it
// and while none does.
func TestStreamMadeAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		in := startInbox(t, c, "n1", withStream)
		addEntry(t, c, "50-1", "data", tick("EUR/USD", 1))
		awaitBids(t, c, "EUR/USD", "1.000001")
		awaitPlace(t, c, "50-1")
		c.Del(t.Context(), streamName)
		addEntry(t, c, "7-1", "data", tick("EUR/USD", 2))
		awaitBids(t, c, "EUR/USD", "1.000001", "1.000002")
		awaitPlace(t, c, "7-1")
		in.stop()
		c.Del(t.Context(), streamName)
		addEntry(t, c, "5-0", "data", tick("EUR/USD", 3))
		startInbox(t, c, "n2", withStream)
		awaitBids(t, c, "EUR/USD", "1.000001", "1.000002", "1.000003")
	})
}

// TestStreamOfTheWrongKind has a string where the stream should be. The lag shows it, and nothing
// else is held up.
func TestStreamOfTheWrongKind(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		c.Set(t.Context(), streamName, "x", 0)
		in := startInbox(t, c, "n1", withStream)
		in.awaitLead(t)
		eventually(t, "the lag grows", func() bool { return metric(t, in.reg, "fx_feed_stream_lag_seconds") > 0.2 })
		send(t, c, tick("EUR/USD", 1))
		awaitBids(t, c, "EUR/USD", "1.000001")
		c.Del(t.Context(), streamName)
		addEntry(t, c, "*", "data", tick("EUR/USD", 2))
		awaitBids(t, c, "EUR/USD", "1.000001", "1.000002")
		eventually(t, "no lag is left", func() bool { return metric(t, in.reg, "fx_feed_stream_lag_seconds") == 0 })
		if n := metric(t, in.reg, "fx_feed_inbox_lost_lease_total"); n != 0 {
			t.Error("it cost the lead")
		}
	})
}

// TestStreamTrimmed has producers trim entries that no node has read, and others that were read.
func TestStreamTrimmed(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	in := startInbox(t, c, "n1", withStream)
	for i := range 5 {
		addEntry(t, c, "*", "data", tick("EUR/USD", i))
	}
	eventually(t, "all are accepted", func() bool { return len(ticksOf(t, c, "EUR/USD")) == 5 })
	c.XTrimMaxLen(t.Context(), streamName, 1)
	addEntry(t, c, "*", "data", tick("EUR/USD", 5))
	eventually(t, "it is accepted", func() bool { return len(ticksOf(t, c, "EUR/USD")) == 6 })
	if n := metric(t, in.reg, "fx_feed_stream_trimmed_total"); n != 0 {
		t.Errorf("%v counted as trimmed although they were read", n)
	}
	in.stop()
	for i := range 100 {
		addEntry(t, c, "*", "data", tick("EUR/USD", 6+i))
	}
	c.XTrimMaxLen(t.Context(), streamName, 10)
	in = startInbox(t, c, "n2", withStream)
	eventually(t, "the rest is accepted", func() bool { return len(ticksOf(t, c, "EUR/USD")) == 16 })
	eventually(t, "the others are counted", func() bool { return metric(t, in.reg, "fx_feed_stream_trimmed_total") == 90 })
}

// TestStreamReplicated pauses the only replica: entries are accepted, but the stored place stays
// until a replica has them.
func TestStreamReplicated(t *testing.T) {
	t.Parallel()
	master, replica := startReplica(t)
	c := master.Client()
	in := startInbox(t, c, "n1", withStream, func(cfg *accept.InboxConfig) { cfg.Publisher = startPublisher(t, c, replicated) })
	first := addEntry(t, c, "*", "data", tick("EUR/USD", 1))
	awaitPlace(t, c, first)
	replica.Pause()
	addEntry(t, c, "*", "data", tick("EUR/USD", 2))
	awaitBids(t, c, "EUR/USD", "1.000001", "1.000002")
	last := addEntry(t, c, "*", "data", tick("EUR/USD", 3))
	awaitBids(t, c, "EUR/USD", "1.000001", "1.000002", "1.000003")
	if at := storedPlace(c); at != first {
		t.Errorf("settled up to %s although no replica has it, want %s", at, first)
	}
	replica.Resume()
	awaitPlace(t, c, last)
	if n := metric(t, in.reg, "fx_feed_rejected_total"); n != 0 {
		t.Errorf("%v rejected", n)
	}
	awaitBids(t, c, "EUR/USD", "1.000001", "1.000002", "1.000003")
}

// shaky is a publisher that often fails before or after it has published.
type shaky struct {
	*accept.Publisher
	random func(n int) int
}

func (p *shaky) Publish(ctx context.Context, quotes []feed.Quote) ([]accept.Outcome, error) {
	failed := errors.New("shaky")
	switch p.random(6) {
	case 0: // nothing was sent
		return make([]accept.Outcome, len(quotes)), failed
	case 1: // no answer came back
		_, _ = p.Publisher.Publish(ctx, quotes)
		return make([]accept.Outcome, len(quotes)), failed
	case 2: // of every second quote
		out, err := p.Publisher.Publish(ctx, quotes)
		for i := range out {
			if i%2 == 0 {
				out[i] = accept.Outcome{}
			}
		}
		return out, cmp.Or(err, failed)
	case 3: // some quotes were not sent, others were
		var some []feed.Quote
		for _, q := range quotes {
			if p.random(2) == 0 {
				some = append(some, q)
			}
		}
		_, _ = p.Publisher.Publish(ctx, some)
		return make([]accept.Outcome, len(quotes)), failed
	}
	return p.Publisher.Publish(ctx, quotes)
}

// TestStreamInTrouble has publishers that fail at any point, leaders that end as if killed, and two
// readers at a time. Each quote is accepted once and in order.
func TestStreamInTrouble(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		var mu sync.Mutex
		source := rand.New(rand.NewPCG(seed, 0))
		random := func(n int) int { mu.Lock(); defer mu.Unlock(); return source.IntN(n) }
		symbols := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"}
		sent := map[feed.Symbol][]string{}
		publisher := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.HistoryTicks = 100_000 })
		leaders := 6
		if testing.Short() {
			leaders = 2
		}
		for n := range leaders {
			in := startInbox(t, c, fmt.Sprintf("n%d", n), withStream, func(cfg *accept.InboxConfig) { cfg.Publisher = &shaky{publisher, random} })
			in.awaitLead(t)
			total := func() (n int) {
				for _, s := range symbols {
					n += int(c.XLen(t.Context(), keys.Ticks(s)).Val())
				}
				return n
			}
			before := total()
			for range 60 {
				var items []string
				for range 1 + random(8) {
					s := symbols[random(len(symbols))]
					bid := fmt.Sprintf("1.%06d", len(sent[s])+1)
					sent[s] = append(sent[s], bid)
					items = append(items, fmt.Sprintf(`{"symbol":"%s","bid":"%s","ask":"2"}`, s, bid))
				}
				addEntry(t, c, "*", "data", "["+strings.Join(items, ",")+"]")
			}
			eventually(t, "something is accepted", func() bool { return total() > before })
			in.AbandonLead()
			in.stop()
			c.Del(t.Context(), keys.InboxLeader()) // as its expiry does
			if random(2) == 0 {
				c.HSet(t.Context(), keys.StreamPlace(streamName), "id", "0-0") // as a stale leader does
			}
		}
		in := startInbox(t, c, "last", withStream, func(cfg *accept.InboxConfig) { cfg.Publisher = publisher })
		for _, s := range symbols {
			awaitBids(t, c, s, sent[s]...)
		}
		for _, s := range symbols {
			for i, one := range ticksOf(t, c, s) {
				if one.Seq != uint64(i+1) {
					t.Fatalf("%s: number %d is the %d.", s, one.Seq, i+1)
				}
			}
		}
		if n := metric(t, in.reg, "fx_feed_rejected_total"); n != 0 {
			t.Errorf("%v rejected", n)
		}
	})
}
