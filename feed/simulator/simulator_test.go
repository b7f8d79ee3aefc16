package simulator_test

import (
	"context"
	"encoding/csv"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/simulator"
)

func rat(t interface{ Fatalf(string, ...any) }, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("price %q is no number", s)
	}
	return r
}

type side struct{ bid, ask, mid, spread *big.Rat }

// direct returns the quote of base/quote, inverted if the market quotes quote/base.
func direct(board map[feed.Symbol]side, base, quote string) (side, bool) {
	if q, ok := board[feed.Symbol(base+"/"+quote)]; ok {
		return q, true
	}
	q, ok := board[feed.Symbol(quote+"/"+base)]
	if !ok {
		return side{}, false
	}
	return side{bid: new(big.Rat).Inv(q.ask), ask: new(big.Rat).Inv(q.bid), mid: new(big.Rat).Inv(q.mid)}, true
}

var codes = []string{"EUR", "USD", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD"}

// checkTriangles checks every triangle that contains symbol: a round trip makes no profit, and the
// middle is within the spread of the product of its legs. Of the three pairs, the one with the
// widest spread is the cross of the other two.
func checkTriangles(t interface{ Fatalf(string, ...any) }, board map[feed.Symbol]side, symbol feed.Symbol) {
	a, b := symbol.Base(), symbol.Quote()
	q := board[symbol]
	for _, c := range codes {
		if c == a || c == b {
			continue
		}
		first, ok1 := direct(board, a, c)
		second, ok2 := direct(board, c, b)
		if !ok1 || !ok2 {
			continue
		}
		if earned := new(big.Rat).Mul(first.bid, second.bid); earned.Cmp(q.ask) > 0 {
			t.Fatalf("%s: selling through %s earns: bids make %s, ask is %s", symbol, c, earned.FloatString(8), q.ask.FloatString(8))
		}
		if cost := new(big.Rat).Mul(first.ask, second.ask); cost.Cmp(q.bid) < 0 {
			t.Fatalf("%s: buying through %s earns: asks make %s, bid is %s", symbol, c, cost.FloatString(8), q.bid.FloatString(8))
		}
		if c != "USD" { // the legs of a cross are its two dollar pairs
			continue
		}
		off := new(big.Rat).Sub(q.mid, new(big.Rat).Mul(first.mid, second.mid))
		if off.Abs(off).Cmp(q.spread) > 0 {
			t.Fatalf("%s: middle %s is %s off the product of its legs, more than the spread %s",
				symbol, q.mid.FloatString(7), off.FloatString(7), q.spread.FloatString(7))
		}
	}
}

func TestNoTriangularArbitrage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := simulator.New(simulator.Config{
			Seed:  rapid.Uint64().Draw(t, "seed"),
			Rate:  rapid.SampledFrom([]float64{0.01, 1, 100, 20_000}).Draw(t, "rate"),
			Start: time.Date(2026, 4, 13, rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, time.UTC),
		})
		board := map[feed.Symbol]side{}
		for i := range 200 {
			q, wait := s.Next()
			if err := (*feed.Instruments)(nil).Check(q); err != nil {
				t.Fatalf("tick %d: %+v: %v", i, q, err)
			}
			if wait < 0 || i < 28 && wait != 0 {
				t.Fatalf("tick %d: wait %v", i, wait)
			}
			bid, ask := rat(t, q.Bid), rat(t, q.Ask)
			mid := new(big.Rat).Add(bid, ask)
			mid.Quo(mid, big.NewRat(2, 1))
			old, known := board[q.Symbol]
			if known && old.bid.Cmp(bid) == 0 && old.ask.Cmp(ask) == 0 {
				t.Fatalf("tick %d of %s changes nothing", i, q.Symbol)
			}
			board[q.Symbol] = side{bid, ask, mid, new(big.Rat).Sub(ask, bid)}
			if i < 28 && known {
				t.Fatalf("%s twice before all symbols had their first quote", q.Symbol)
			}
			checkTriangles(t, board, q.Symbol)
		}
	})
}

func TestQuotesLookReal(t *testing.T) {
	const n = 80_000
	s := simulator.New(simulator.Config{Seed: 7, Rate: 100})
	count := map[feed.Symbol]int{}
	spreads := map[feed.Symbol]int64{}
	last := map[feed.Symbol]feed.Quote{}
	var both, one int
	var total time.Duration
	var seconds []int // ticks of each second
	for range n {
		q, wait := s.Next()
		total += wait
		for len(seconds) <= int(total/time.Second) {
			seconds = append(seconds, 0)
		}
		seconds[total/time.Second]++
		scale := big.NewRat(100_000, 1)
		digits := 5
		if q.Symbol.Quote() == "JPY" {
			scale, digits = big.NewRat(1000, 1), 3
		}
		if len(q.Bid) < digits+2 || q.Bid[len(q.Bid)-digits-1] != '.' || q.Ask[len(q.Ask)-digits-1] != '.' {
			t.Fatalf("%s %s %s: not %d digits", q.Symbol, q.Bid, q.Ask, digits)
		}
		spread := new(big.Rat).Sub(rat(t, q.Ask), rat(t, q.Bid))
		spread.Mul(spread, scale)
		ticks := spread.Num().Int64()
		if usual := simulator.UsualSpread(string(q.Symbol)); ticks < 1 || ticks > 4*usual+1 {
			t.Fatalf("%s: spread of %d ticks, usual is %d", q.Symbol, ticks, usual)
		}
		spreads[q.Symbol] += ticks
		if old, ok := last[q.Symbol]; ok {
			if old.Bid != q.Bid && old.Ask != q.Ask {
				both++
			} else {
				one++
			}
		}
		last[q.Symbol] = q
		count[q.Symbol]++
	}
	if len(count) != 28 {
		t.Fatalf("%d symbols, want 28", len(count))
	}
	if rate := n / total.Seconds(); rate < 90 || rate > 110 {
		t.Errorf("%.1f ticks per second, want about 100", rate)
	}
	if count["EUR/USD"] < 5*count["NZD/CHF"] {
		t.Errorf("EUR/USD ticked %d times, NZD/CHF %d: majors must tick more", count["EUR/USD"], count["NZD/CHF"])
	}
	if one < n/10 || both < n/10 {
		t.Errorf("%d ticks changed one side, %d both: want plenty of each", one, both)
	}
	slices.Sort(seconds)
	if low, high := seconds[len(seconds)/20], seconds[len(seconds)*19/20]; high < 4*low {
		t.Errorf("from %d to %d ticks in a second: want pauses and bursts", low, high)
	}
	if mean := float64(spreads["EUR/USD"]) / float64(count["EUR/USD"]); mean < 1.2 || mean > 5 {
		t.Errorf("EUR/USD has a mean spread of %.1f ticks", mean)
	}
	t.Logf("%.1f ticks/s, EUR/USD %s, %d ticks", n/total.Seconds(), last["EUR/USD"].Bid, count["EUR/USD"])
}

func TestSeedRepeats(t *testing.T) {
	a, b := simulator.New(simulator.Config{Seed: 3}), simulator.New(simulator.Config{Seed: 3})
	other := simulator.New(simulator.Config{Seed: 4})
	differs := false
	for i := range 5000 {
		qa, wa := a.Next()
		qb, wb := b.Next()
		qo, _ := other.Next()
		if qa != qb || wa != wb {
			t.Fatalf("tick %d: %v %v and %v %v", i, qa, wa, qb, wb)
		}
		differs = differs || qa.Bid != qo.Bid
	}
	if !differs {
		t.Error("another seed gives the same quotes")
	}
}

// TestSequenceIsStable checks that a seed gives the same quotes across versions and machines.
func TestSequenceIsStable(t *testing.T) {
	const want = "AUD/CAD 0.97385 0.97393"
	s := simulator.New(simulator.Config{Seed: 1})
	var q feed.Quote
	for range 1000 {
		q, _ = s.Next()
	}
	if got := string(q.Symbol) + " " + q.Bid + " " + q.Ask; got != want {
		t.Errorf("quote 1000 of seed 1 is %q, want %q", got, want)
	}
}

func TestLevelsStayNearTheirStart(t *testing.T) {
	s := simulator.New(simulator.Config{Seed: 11, Rate: 0.02}) // months of simulated time
	low, high := big.NewRat(98, 100), big.NewRat(139, 100)     // 1.1684 a sixth up and down
	for range 30_000 {
		q, _ := s.Next()
		if q.Symbol == "EUR/USD" {
			if bid := rat(t, q.Bid); bid.Cmp(low) < 0 || bid.Cmp(high) > 0 {
				t.Fatalf("EUR/USD has walked to %s", q.Bid)
			}
		}
	}
}

func TestStartIsTheReferenceRates(t *testing.T) {
	dir := os.Getenv("FXCAST_DATA")
	if dir == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("FXCAST_DATA is not set")
		}
		t.Skip("FXCAST_DATA is not set: no reference rates to compare with")
	}
	f, err := os.Open(filepath.Join(dir, "ecb_eurofxref-hist.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	head, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	var row []string
	for len(row) == 0 || row[0] != "2026-04-13" {
		if row, err = r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	rates := map[string]*big.Rat{"EUR": big.NewRat(1, 1)}
	for _, c := range codes[1:] {
		rates[c] = rat(t, row[slices.Index(head, c)])
	}
	s := simulator.New(simulator.Config{Seed: 5})
	for range 28 {
		q, _ := s.Next()
		want := new(big.Rat).Quo(rates[q.Symbol.Quote()], rates[q.Symbol.Base()])
		if rat(t, q.Bid).Cmp(want) > 0 || rat(t, q.Ask).Cmp(want) < 0 {
			t.Errorf("%s starts at %s/%s, the reference rate is %s", q.Symbol, q.Bid, q.Ask, want.FloatString(6))
		}
	}
}

func TestSymbolsRestrict(t *testing.T) {
	only := []feed.Symbol{"EUR/USD", "GBP/JPY"}
	s := simulator.New(simulator.Config{Symbols: only})
	seen := map[feed.Symbol]int{}
	for range 1000 {
		q, _ := s.Next()
		seen[q.Symbol]++
	}
	if len(seen) != 2 || seen["EUR/USD"] == 0 || seen["GBP/JPY"] == 0 {
		t.Errorf("quotes of %v, want of %v", seen, only)
	}
	if n := len(simulator.Symbols()); n != 28 {
		t.Errorf("%d symbols, want 28", n)
	}
}

func TestRunPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		n, first := 0, 0
		err := simulator.New(simulator.Config{Seed: 2, Rate: 200}).Run(ctx, func(_ context.Context, quotes []feed.Quote) error {
			if n == 0 {
				first = len(quotes)
			}
			n += len(quotes)
			for _, q := range quotes {
				if !q.Time.IsZero() || q.Source != "simulator" {
					t.Errorf("quote %+v: want no time and source simulator", q)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if first != 28 {
			t.Errorf("the first batch has %d quotes, want the 28 symbols", first)
		}
		if rate := float64(n) / 300; rate < 160 || rate > 240 {
			t.Errorf("%.1f ticks per second, want about 200", rate)
		}
	})
}

func TestRunDoesNotCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second)
		defer cancel()
		n := 0
		var after int
		err := simulator.New(simulator.Config{Seed: 2, Rate: 100}).Run(ctx, func(_ context.Context, quotes []feed.Quote) error {
			if n == 0 {
				time.Sleep(time.Minute) // a publisher that hangs
			} else if after == 0 {
				after = len(quotes)
			}
			n += len(quotes)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if after > 10 {
			t.Errorf("%d quotes at once after a pause of a minute", after)
		}
		if n > 3000 {
			t.Errorf("%d quotes in 10 s of publishing: the pause was made up for", n)
		}
	})
}

func TestRunEndsWithPublish(t *testing.T) {
	broken := errors.New("broken")
	err := simulator.New(simulator.Config{}).Run(t.Context(), func(context.Context, []feed.Quote) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("Run returned %v, want publish's error", err)
	}
}

func BenchmarkNext(b *testing.B) {
	s := simulator.New(simulator.Config{Seed: 1, Rate: 1000})
	b.ReportAllocs()
	for b.Loop() {
		s.Next()
	}
}
