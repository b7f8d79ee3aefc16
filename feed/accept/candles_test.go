package accept_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/protocol"
)

// candleModel folds the accepted quotes of one symbol as docs/protocol.md defines, over decimals.
type candleModel struct {
	hours   *feed.Hours
	candles map[feed.Interval][]protocol.Candle // the last one is running
	last    protocol.Position
}

func rat(t testing.TB, price string) *big.Rat {
	r, ok := new(big.Rat).SetString(price)
	if !ok {
		t.Fatalf("price %q", price)
	}
	return r
}

// accepted folds a quote. follows is false if quotes before it are missing.
func (m *candleModel) accepted(t testing.TB, q feed.Quote, at time.Time, follows bool) {
	for i, all := range m.candles {
		start, _ := i.Around(m.hours, at)
		n := len(all)
		if n > 0 && !follows {
			all[n-1].Complete = false // the missing ticks may have been in this one
		}
		if n == 0 || all[n-1].Start.Before(start) {
			one := func(p string) protocol.OHLC { return protocol.OHLC{Open: p, High: p, Low: p, Close: p} }
			all = append(all, protocol.Candle{Start: start, Bid: one(q.Bid), Ask: one(q.Ask), Complete: follows})
			n++
		}
		c := &all[n-1]
		c.Ticks++
		c.Complete = c.Complete && follows
		for _, side := range []struct {
			p     *protocol.OHLC
			price string
		}{{&c.Bid, q.Bid}, {&c.Ask, q.Ask}} {
			if rat(t, side.price).Cmp(rat(t, side.p.High)) > 0 {
				side.p.High = side.price
			}
			if rat(t, side.price).Cmp(rat(t, side.p.Low)) < 0 {
				side.p.Low = side.price
			}
			side.p.Close = side.price
		}
		m.candles[i] = all
	}
}

// lost forgets the running candles, as Redis does with the counter.
func (m *candleModel) lost() {
	for i, all := range m.candles {
		if n := len(all); n > 0 {
			m.candles[i] = all[:n-1]
		}
	}
}

// kept is what Redis holds of candles of one symbol: the closed ones and the running one.
func keptCandles(t testing.TB, c redis.UniversalClient, s feed.Symbol, i feed.Interval) []protocol.Candle {
	t.Helper()
	var all []protocol.Candle
	for _, element := range c.LRange(t.Context(), keys.Candles(s, i), 0, -1).Val() {
		candle, err := feed.DecodeCandle(element)
		if err != nil {
			t.Fatalf("%s %s: %q: %v", s, i, element, err)
		}
		all = append(all, candle.Candle)
	}
	minute, err := feed.ParseMinute(c.HGet(t.Context(), keys.Seq(s), "1m").Val())
	if err != nil {
		t.Fatalf("%s: the running minute: %v", s, err)
	}
	if i != feed.Minute {
		field := c.HGet(t.Context(), keys.Seq(s), i.String()).Val()
		part, err := feed.ParsePart(field)
		if err != nil {
			t.Fatalf("%s: the running %s %q: %v", s, i, field, err)
		}
		minute = part.With(minute)
	}
	minute.Open = false
	return append(all, minute.Candle)
}

func sameCandles(t testing.TB, what string, got, want []protocol.Candle) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for n := range max(len(got), len(want)) {
		if n >= len(got) || n >= len(want) || got[n] != want[n] {
			t.Fatalf("%s: %d candles, want %d; they differ from the %dth:\n%+v\nwant\n%+v", what, len(got), len(want), n+1,
				got[min(n, len(got)):min(n+2, len(got))], want[min(n, len(want)):min(n+2, len(want))])
		}
	}
}

// randomPrices returns prices around 1 with up to 34 digits, many of which are equal but for
// zeros at their end or have the same nearest double.
func randomPrices(r *rand.Rand, long bool) (bid, ask string) {
	price := func(whole string) string {
		digits := fmt.Sprintf("%05d", r.IntN(40))
		if long {
			digits += strings.Repeat("0", 12+r.IntN(8)) + fmt.Sprint(r.IntN(5))
		}
		digits = digits[:max(len(digits)-r.IntN(3), 0)] + strings.Repeat("0", r.IntN(3))
		if digits == "" {
			return whole
		}
		return whole + "." + digits
	}
	return price("1"), price("2")
}

// TestCandles accepts random quotes at random times, with lost counters, lost quotes and new epochs,
// and compares all candles with an independent fold of what was accepted.
func TestCandles(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: `{"BTC/USD":{"hours":"always"},"USD/INR":{"hours":{"open":"Mon 09:15","close":"Fri 15:30","zone":"Asia/Kolkata"}}}`})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := feed.ParseKeptCandles("1m:30d,5m:100d,1h:5y,4h:10y,1d:10y")
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(4) {
			c.FlushAll(t.Context())
			r := rand.New(rand.NewPCG(seed, 17))
			a := args()
			a.Candles, a.Instruments, a.QuoteTTL, a.Gate = kept, table, time.Hour, accept.Gate{LastKnown: 10 * 365 * 24 * time.Hour}
			a.Clock = time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
			symbols := []feed.Symbol{"EUR/USD", "BTC/USD", "USD/INR"}
			models := map[feed.Symbol]*candleModel{}
			for _, s := range symbols {
				models[s] = &candleModel{hours: table.Hours(s), candles: map[feed.Interval][]protocol.Candle{}}
				for _, k := range kept {
					models[s].candles[k.Interval] = nil
				}
			}
			fresh := map[feed.Symbol]bool{}
			for step := range 300 {
				switch r.IntN(4) {
				case 0:
					a.Clock = a.Clock.Add(time.Duration(r.Int64N(int64(20 * time.Second))))
				case 1:
					a.Clock = a.Clock.Add(time.Duration(r.Int64N(int64(10 * time.Minute))))
				case 2:
					a.Clock = a.Clock.Add(time.Duration(r.Int64N(int64(3 * time.Hour))))
				}
				if r.IntN(60) == 0 {
					a.Clock = a.Clock.Add(time.Duration(r.Int64N(int64(90 * time.Hour))))
				}
				a.Clock = a.Clock.Truncate(time.Microsecond)
				s := symbols[r.IntN(len(symbols))]
				switch r.IntN(40) {
				case 0: // quotes that an older version accepted
					if c.Exists(t.Context(), keys.Seq(s)).Val() > 0 {
						c.HIncrBy(t.Context(), keys.Seq(s), "seq", 1+r.Int64N(3))
					}
				case 1:
					if c.Del(t.Context(), keys.Seq(s)).Val() > 0 {
						models[s].lost()
						fresh[s] = true
					}
				case 2:
					a.Run = fmt.Sprintf("run%d", step)
				}
				var batch [][]feed.Quote
				for _, s := range symbols[:1+r.IntN(3)] {
					var quotes []feed.Quote
					for range 1 + r.IntN(4) {
						q := feed.Quote{Symbol: s, Source: fmt.Sprint("s", r.IntN(2))}
						q.Bid, q.Ask = randomPrices(r, seed%2 == 1)
						if r.IntN(8) == 0 {
							q.Time = a.Clock.Add(time.Minute) // future: refused
						}
						quotes = append(quotes, q)
					}
					batch = append(batch, quotes)
				}
				a.Candidate = fmt.Sprintf("e%d", step)
				outcomes, errs := accept.AcceptSymbols(t.Context(), c, batch, a)
				for n, quotes := range batch {
					if errs[n] != nil {
						t.Fatal(errs[n])
					}
					m := models[quotes[0].Symbol]
					for k, o := range outcomes[n] {
						if o.Seq == 0 {
							continue
						}
						follows := m.last.Epoch == o.Epoch && m.last.Seq+1 == o.Seq
						if fresh[quotes[0].Symbol] { // what came before is no candle any more
							follows, fresh[quotes[0].Symbol] = false, false
							firstOfLost(t, m, quotes[k], time.UnixMicro(o.At))
						} else {
							m.accepted(t, quotes[k], time.UnixMicro(o.At), follows)
						}
						m.last = protocol.Position{Epoch: o.Epoch, Seq: o.Seq}
					}
				}
			}
			for _, s := range symbols {
				if models[s].last.Seq == 0 {
					continue
				}
				for _, k := range kept {
					sameCandles(t, fmt.Sprintf("seed %d, %s %s", seed, s, k.Interval), keptCandles(t, c, s, k.Interval), models[s].candles[k.Interval])
				}
			}
		}
	})
}

// The day of a symbol is its own although the name of another symbol of the call ends with its name.
func TestDayOfASimilarSymbol(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: `{"WBTC/USD":{"hours":"always"},"BTC/USD":{}}`})
		if err != nil {
			t.Fatal(err)
		}
		a := args()
		a.Instruments, a.Clock = table, time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		if a.Candles, err = feed.ParseKeptCandles("1m:72h,1d:5y"); err != nil {
			t.Fatal(err)
		}
		symbols := []feed.Symbol{"EUR/USD", "WBTC/USD", "BTC/USD"}
		var batch [][]feed.Quote
		for _, s := range symbols {
			batch = append(batch, []feed.Quote{{Symbol: s, Bid: "1", Ask: "2"}})
		}
		outcomes, errs := accept.AcceptSymbols(t.Context(), c, batch, a)
		for i, s := range symbols {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			part, err := feed.ParsePart(c.HGet(t.Context(), keys.Seq(s), "1d").Val())
			if err != nil {
				t.Fatal(err)
			}
			if start, end := feed.Day.Around(table.Hours(s), time.UnixMicro(outcomes[i][0].At)); !part.Candle.Start.Equal(start) || !part.End.Equal(end) {
				t.Errorf("%s: the day is %s to %s, want %s to %s", s, part.Candle.Start, part.End, start, end)
			}
		}
	})
}

// firstOfLost begins incomplete candles after the counter was lost with the running ones.
func firstOfLost(t testing.TB, m *candleModel, q feed.Quote, at time.Time) {
	fresh := &candleModel{hours: m.hours, candles: map[feed.Interval][]protocol.Candle{}}
	for i := range m.candles {
		fresh.candles[i] = nil
	}
	fresh.accepted(t, q, at, false)
	for i, all := range fresh.candles {
		m.candles[i] = append(m.candles[i], all...)
	}
}
