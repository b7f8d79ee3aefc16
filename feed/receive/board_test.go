package receive_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
)

func acceptedQuote(symbol feed.Symbol, epoch string, seq uint64) feed.Tick {
	a := feed.Tick{
		Symbol: symbol, Bid: "1.1", Ask: "1.2", Time: time.Unix(1795342500, 0).UTC(),
		Seq: seq, Epoch: epoch, At: 1795342500000000 + int64(seq), Source: "inbox",
	}
	a.Body = a.AppendBody(nil)
	return a
}

func check(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestBoardKeepsNewest(t *testing.T) {
	s, reg := newSink(), prometheus.NewPedanticRegistry()
	b := receive.NewBoard(receive.BoardConfig{Sink: s, Registerer: reg})
	for _, q := range []struct {
		epoch string
		seq   uint64
	}{{"a", 5}, {"a", 5}, {"a", 4}, {"a", 6}, {"a", 9}, {"b", 1}, {"c", 3}} {
		b.Apply(acceptedQuote("EUR/USD", q.epoch, q.seq))
	}
	check(t, "events", s.all(), "status EUR/USD live", "publish EUR/USD a 5", "publish EUR/USD a 6",
		"publish EUR/USD a 9", "publish EUR/USD b 1", "publish EUR/USD c 3")
	// 7 and 8 of a, 1 and 2 of c. Before the first quote nothing counts as missed.
	if n := metric(t, reg, "fx_feed_missed_total"); n != 4 {
		t.Errorf("missed = %v, want 4", n)
	}
	if n := metric(t, reg, "fx_feed_outdated_total"); n != 2 {
		t.Errorf("outdated = %v, want 2", n)
	}
	if epoch, seq, at := b.Last("EUR/USD"); epoch != "c" || seq != 3 || at == 0 {
		t.Errorf("Last = %s %d %d, want c 3", epoch, seq, at)
	}
	if epoch, seq, _ := b.Last("GBP/USD"); epoch != "" || seq != 0 {
		t.Errorf("Last of an unknown symbol = %s %d", epoch, seq)
	}
}

// TestReplacedMasterGoesOn checks quotes of a master that was paused and replaced. It accepts
// quotes until it learns of its replacement, and subscribers may receive those of both masters. The
// epoch that was left does not come back, unless Redis itself returns to it later.
func TestReplacedMasterGoesOn(t *testing.T) {
	s := newSink()
	b := receive.NewBoard(receive.BoardConfig{Sink: s})
	for _, q := range []struct {
		epoch string
		seq   uint64
		at    time.Duration
	}{{"old", 581, 0}, {"new", 1, 10 * time.Millisecond}, {"old", 582, 12 * time.Millisecond}, {"new", 2, 15 * time.Millisecond},
		{"old", 583, 9 * time.Second}, {"old", 584, 11 * time.Second}, {"new", 3, 12 * time.Second}, {"old", 585, 13 * time.Second}} {
		a := acceptedQuote("EUR/USD", q.epoch, q.seq)
		a.At = 1_700_000_000_000_000 + q.at.Microseconds()
		a.Body = a.AppendBody(nil)
		b.Apply(a)
	}
	check(t, "events", s.all(), "status EUR/USD live", "publish EUR/USD old 581", "publish EUR/USD new 1", "publish EUR/USD new 2",
		"publish EUR/USD old 584", "publish EUR/USD old 585")
}

func TestBoardMerge(t *testing.T) {
	s, reg := newSink(), prometheus.NewPedanticRegistry()
	b := receive.NewBoard(receive.BoardConfig{Sink: s, Registerer: reg})
	merge := func(epoch string, seq uint64) {
		b.Merge("EUR/USD", 0, acceptedQuote("EUR/USD", epoch, seq))
	}
	b.Open("EUR/USD")
	merge("a", 5) // the first: nothing was missed
	b.Apply(acceptedQuote("EUR/USD", "a", 6))
	// A live quote of this subscription is newer than any value that was read.
	merge("a", 9)
	merge("b", 1)
	b.Open("EUR/USD")
	merge("a", 6) // subscribed again, nothing happened
	b.Open("EUR/USD")
	merge("a", 9) // 7 and 8 were missed
	b.Open("EUR/USD")
	merge("z", 2) // another epoch wins whatever its clock says; 1 was missed
	check(t, "events", s.all(), "status EUR/USD live", "publish EUR/USD a 5", "follow EUR/USD true", "publish EUR/USD a 6",
		"publish EUR/USD a 9", "publish EUR/USD z 2")
	if n := metric(t, reg, "fx_feed_missed_total"); n != 3 {
		t.Errorf("missed = %v, want 3", n)
	}
}

// Quotes that came between subscription and mark are newer than the value that was read. Only the
// newest of them is delivered, then every quote.
func TestBoardFollows(t *testing.T) {
	s := newSink()
	b := receive.NewBoard(receive.BoardConfig{Sink: s})
	b.Open("EUR/USD")
	for seq := uint64(7); seq < 10; seq++ {
		b.Apply(acceptedQuote("EUR/USD", "a", seq))
	}
	b.Merge("EUR/USD", 0, acceptedQuote("EUR/USD", "a", 8))
	b.Apply(acceptedQuote("EUR/USD", "a", 10))
	b.Leave("EUR/USD")
	b.Leave("EUR/USD")
	b.Apply(acceptedQuote("EUR/USD", "a", 11)) // still on its way
	if epoch, seq, _ := b.Last("EUR/USD"); epoch != "a" || seq != 10 {
		t.Errorf("Last = %s %d after leaving, want a 10", epoch, seq)
	}
	b.Open("EUR/USD")
	b.Apply(acceptedQuote("EUR/USD", "a", 40)) // of a session that fails
	b.Open("EUR/USD")
	b.Merge("EUR/USD", 0, acceptedQuote("EUR/USD", "a", 41)) // a stretch nobody wanted is not missed
	b.Leave("EUR/USD")
	b.Open("EUR/USD")
	b.Merge("EUR/USD", 0, feed.Tick{})
	check(t, "events", s.all(), "status EUR/USD live", "publish EUR/USD a 9", "follow EUR/USD true", "publish EUR/USD a 10",
		"follow EUR/USD false", "status EUR/USD live", "publish EUR/USD a 41", "follow EUR/USD true", "follow EUR/USD false",
		"status EUR/USD unknown", "follow EUR/USD true")
	if b.Held() != 0 {
		t.Errorf("%d quotes still held", b.Held())
	}
}

func TestBoardStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The bubble's clock begins on Saturday; go to a Monday noon in New York.
		time.Sleep(time.Until(time.Date(2000, 1, 3, 17, 0, 0, 0, time.UTC)))
		s, reg := newSink(), prometheus.NewPedanticRegistry()
		b := receive.NewBoard(receive.BoardConfig{Sink: s, QuoteTTL: time.Minute, StaleAfter: 10 * time.Second, LastKnown: time.Hour, Registerer: reg})
		lasts := receive.NewLastQuotes(b, nil, keys) // what is followed needs no Redis
		stop := start(t, b.Run)
		b.Apply(acceptedQuote("EUR/USD", "a", 1))
		time.Sleep(9 * time.Second)
		check(t, "after 9 s", s.all(), "status EUR/USD live", "publish EUR/USD a 1")
		time.Sleep(3 * time.Second)
		check(t, "after 12 s", s.all()[2:], "status EUR/USD stale")
		if q, _ := lasts.Quotes(t.Context(), []string{"EUR/*"}); len(q) != 1 || q[0].Status != feed.StatusStale || q[0].Seq != 1 || time.Since(q[0].Since) != 2*time.Second {
			t.Errorf("Quotes = %+v, want the stale one, since 2 s", q)
		}
		b.Apply(acceptedQuote("EUR/USD", "a", 2))
		check(t, "a quote", s.all()[3:], "status EUR/USD live", "publish EUR/USD a 2")
		time.Sleep(62 * time.Second)
		check(t, "after QUOTE_TTL", s.all()[5:], "status EUR/USD stale")
		if q, _ := lasts.Quotes(t.Context(), []string{"*"}); len(q) != 1 || q[0].Status != feed.StatusStale {
			t.Errorf("Quotes = %v, want the stale one after QUOTE_TTL", q)
		}
		if i, _ := lasts.Symbols(t.Context()); len(i) != 1 || i[0].Status != feed.StatusStale || i[0].Last.IsZero() || i[0].Digits != 5 || i[0].Pip != "0.0001" {
			t.Errorf("Symbols = %+v", i)
		}
		time.Sleep(time.Hour)
		check(t, "after LAST_KNOWN_TTL", s.all()[6:], "drop EUR/USD", "status EUR/USD unknown", "list EUR/USD false")
		if q, _ := lasts.Quotes(t.Context(), []string{"*"}); len(q) != 0 {
			t.Errorf("Quotes = %v, want none after LAST_KNOWN_TTL", q)
		}
		if i, _ := lasts.Symbols(t.Context()); len(i) != 0 {
			t.Errorf("Symbols = %+v, want none after LAST_KNOWN_TTL", i)
		}
		if n := metric(t, reg, "fx_feed_symbols", `"unknown"`); n != 1 {
			t.Errorf("%v unknown symbols counted, want 1", n)
		}
		b.Apply(acceptedQuote("EUR/USD", "a", 3)) // an expired value still decides which quotes are newer
		b.Apply(acceptedQuote("EUR/USD", "a", 3))
		check(t, "again", s.all()[9:], "status EUR/USD live", "publish EUR/USD a 3")

		// A value read after a restart has part of its life behind it.
		b.Open("GBP/USD")
		b.Merge("GBP/USD", 59*time.Minute, acceptedQuote("GBP/USD", "g", 7))
		check(t, "read", s.all()[11:], "status GBP/USD stale", "publish GBP/USD g 7", "follow GBP/USD true")
		time.Sleep(58 * time.Second)
		if s.has("drop GBP/USD") {
			t.Error("dropped before its life was over")
		}
		time.Sleep(3 * time.Second)
		if !s.has("drop GBP/USD") {
			t.Error("not dropped when its life was over")
		}

		stop()

		time.Sleep(time.Until(time.Date(2000, 1, 8, 12, 0, 0, 0, time.UTC))) // Saturday
		stop = start(t, b.Run)
		b.Apply(acceptedQuote("USD/JPY", "j", 1))
		time.Sleep(12 * time.Second)
		if !s.has("status USD/JPY closed") {
			t.Errorf("on a Saturday: %q, want closed", s.all())
		}
		stop()
	})
}

// Quotes, expiry and status come from two goroutines. The sink must see each symbol's events one at
// a time and in order, with the newest state last.
func TestBoardOrder(t *testing.T) {
	s := newSink()
	b := receive.NewBoard(receive.BoardConfig{Sink: s, LastKnown: time.Millisecond, StaleAfter: time.Nanosecond})
	start(t, b.Run)
	symbols := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"}
	var wg sync.WaitGroup
	for _, symbol := range symbols {
		wg.Go(func() {
			for seq := uint64(1); seq <= 2000; seq++ {
				b.Apply(acceptedQuote(symbol, "a", seq))
				if seq%500 == 0 {
					time.Sleep(15 * time.Millisecond) // let the ticker in
				}
			}
		})
	}
	wg.Wait()
	for _, symbol := range symbols {
		eventually(t, "the value is dropped", func() bool {
			last := ""
			for _, e := range s.all() {
				if slices.Contains([]string{"drop " + string(symbol), fmt.Sprintf("publish %s a 2000", symbol)}, e) {
					last = e
				}
			}
			return last == "drop "+string(symbol)
		})
		seqs := s.seqs(string(symbol), "a")
		if len(seqs) != 2000 || !slices.IsSorted(seqs) {
			t.Errorf("%s: %d quotes, want 2000 in order", symbol, len(seqs))
		}
	}
	if s.overlap {
		t.Error("two calls for one symbol at once")
	}
}

// discard is a Sink that keeps only the last body, as the hub does.
type discard struct{ body []byte }

func (d *discard) Publish(_, _ string, _ uint64, body []byte, _ int64) { d.body = body }
func (*discard) SetStatus(_, _, _ string, _ time.Time)                 {}
func (*discard) Drop(string)                                           {}
func (*discard) Follow(string, bool)                                   {}
func (*discard) List(string, bool)                                     {}
func (*discard) Relay(string, []byte)                                  {}

// hotPath returns a function that handles one new message from Redis.
func hotPath() func() {
	d := &discard{}
	b := receive.NewBoard(receive.BoardConfig{Sink: d})
	r := receive.NewReceiver(receive.ReceiverConfig{Keys: keys, Node: "n", Board: b, Sink: d})
	// Epochs alternate, so that every message is newer than the one before.
	const n = 20000
	messages := make([]string, 0, 2*n)
	for _, epoch := range []string{"k3f9a2c7", "zz72kq3a"} {
		for seq := uint64(1000001); seq <= 1000000+n; seq++ {
			messages = append(messages, string(acceptedQuote("EUR/USD", epoch, seq).AppendJSON(nil)))
		}
	}
	i := 0
	return func() {
		r.Receive("fx:{EUR/USD}", messages[i%len(messages)])
		i++
	}
}

// A message costs two allocations: its bytes, which become the body, and the
// copy that its strings share.
func TestHotPathAllocations(t *testing.T) {
	f := hotPath()
	f()
	if n := testing.AllocsPerRun(10000, f); n > 2 {
		t.Errorf("%v allocations per message, want at most 2", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	f := hotPath()
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}
