package feed_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

func tickAt(seq uint64, bid, ask string, at time.Time) feed.Tick {
	return feed.Tick{Symbol: "EUR/USD", Bid: bid, Ask: ask, Epoch: "e", Seq: seq, At: at.UnixMicro()}
}

func TestCandleKeepsEarlierDigits(t *testing.T) {
	start := utc(t, "2026-11-25T10:15:00Z")
	c := feed.CandleOf(start, tickAt(7, "1.10", "1.2", start))
	for i, bid := range []string{"1.1", "1.100", "1.0950", "1.095", "9.99", "10", "10.0", "1.1"} {
		c.Add(tickAt(uint64(8+i), bid, "1.20", start))
	}
	want := protocol.Candle{
		Start: start, Bid: protocol.OHLC{Open: "1.10", High: "10", Low: "1.0950", Close: "1.1"},
		Ask: protocol.OHLC{Open: "1.2", High: "1.2", Low: "1.2", Close: "1.20"}, Ticks: 9, Complete: true, Open: true,
	}
	if c.Candle != want || c.First.Seq != 7 || c.Last.Seq != 15 {
		t.Errorf("got %+v\nwant %+v with ticks 7 to 15", c, want)
	}
}

func TestCandleIsIncomplete(t *testing.T) {
	start := utc(t, "2026-11-25T10:15:00Z")
	first := tickAt(7, "1", "1", start)
	for name, next := range map[string]feed.Tick{
		"jump": {Bid: "1", Ask: "1", Epoch: "e", Seq: 9}, "again": {Bid: "1", Ask: "1", Epoch: "e", Seq: 7},
		"epoch": {Bid: "1", Ask: "1", Epoch: "f", Seq: 8}, "new epoch": {Bid: "1", Ask: "1", Epoch: "f", Seq: 1},
	} {
		c := feed.CandleOf(start, first)
		c.Add(next)
		if c.Complete {
			t.Errorf("%s: the candle is complete", name)
		}
		for n := range uint64(3) {
			c.Add(feed.Tick{Bid: "1", Ask: "1", Epoch: next.Epoch, Seq: next.Seq + 1 + n})
		}
		if c.Complete || c.Ticks != 5 {
			t.Errorf("%s: later the candle is complete, or has %d ticks", name, c.Ticks)
		}
	}
	stored := feed.Candle{Candle: protocol.Candle{Start: start, Bid: protocol.OHLC{Open: "1", High: "1", Low: "1", Close: "1"}, Ticks: 3, Complete: true}}
	stored.Fold(feed.CandleOf(start, first)) // without positions nothing shows that a tick is missing
	if !stored.Complete || stored.Last.Seq != 7 {
		t.Errorf("got %+v", stored)
	}
}

// plainFold is another fold of the same ticks, over rational numbers.
func plainFold(ticks []feed.Tick, start time.Time) protocol.Candle {
	side := func(price func(feed.Tick) string) protocol.OHLC {
		rat := func(i int) *big.Rat { r, _ := new(big.Rat).SetString(price(ticks[i])); return r }
		high, low := 0, 0
		for i := range ticks {
			if rat(i).Cmp(rat(high)) > 0 {
				high = i
			}
			if rat(i).Cmp(rat(low)) < 0 {
				low = i
			}
		}
		return protocol.OHLC{Open: price(ticks[0]), High: price(ticks[high]), Low: price(ticks[low]), Close: price(ticks[len(ticks)-1])}
	}
	complete := true
	for i := range ticks[1:] {
		complete = complete && ticks[i+1].Seq == ticks[i].Seq+1 && ticks[i+1].Epoch == ticks[i].Epoch
	}
	return protocol.Candle{
		Start: start, Bid: side(func(t feed.Tick) string { return t.Bid }), Ask: side(func(t feed.Tick) string { return t.Ask }),
		Ticks: uint64(len(ticks)), Complete: complete, Open: true,
	}
}

// priceFrom returns one of few prices, in one of several ways to write it.
func priceFrom(random *rand.Rand) string {
	text := fmt.Sprintf("%d.%02d", 8+random.IntN(4), random.IntN(4)*5)
	return text + "000"[:random.IntN(4)]
}

// Ticks in any parts fold to the same candle, which is that of another fold.
func TestCandleInAnyParts(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	start := utc(t, "2026-11-25T10:15:00Z")
	for range 3000 {
		ticks := make([]feed.Tick, 1+random.IntN(30))
		seq, epoch := uint64(1+random.IntN(5)), "e"
		for i := range ticks {
			ticks[i] = feed.Tick{Bid: priceFrom(random), Ask: priceFrom(random), Epoch: epoch, Seq: seq}
			seq++
			if random.IntN(40) == 0 {
				seq++
			}
			if random.IntN(40) == 0 {
				epoch, seq = epoch+"e", 1
			}
		}
		want := plainFold(ticks, start)
		one := feed.CandleOf(start, ticks[0])
		for _, tick := range ticks[1:] {
			one.Add(tick)
		}
		var fold func(ticks []feed.Tick) feed.Candle
		fold = func(ticks []feed.Tick) feed.Candle {
			if len(ticks) == 1 {
				return feed.CandleOf(start, ticks[0])
			}
			cut := 1 + random.IntN(len(ticks)-1)
			c := fold(ticks[:cut])
			c.Fold(fold(ticks[cut:]))
			return c
		}
		parts := fold(ticks)
		if one.Candle != want || parts != one {
			t.Fatalf("one by one %+v\nin parts   %+v\nwant       %+v", one, parts, want)
		}
	}
}

// Folding ticks into minutes, these into a longer interval, and that into a longer one still gives
// the same as folding the ticks into the longest at once. The ticks are spread over weekends, and
// over days of 23 and 25 hours.
func TestCandlesOfCandles(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	const own = `{"open":"Mon 09:15","close":"Fri 15:30","zone":"Asia/Kolkata"}`
	for _, begin := range []string{"2026-03-05T10:00:00Z", "2026-10-29T10:00:00Z", "2026-12-23T10:00:00Z"} {
		for _, hours := range []string{`"fx"`, `"always"`, own} {
			h := hoursOf(t, hours)
			var ticks []feed.Tick
			at := utc(t, begin)
			end := at.AddDate(0, 0, 6)
			for seq := uint64(1); at.Before(end); seq++ {
				ticks = append(ticks, tickAt(seq, priceFrom(random), priceFrom(random), at))
				at = at.Add(time.Duration(random.Int64N(int64(20 * time.Minute))))
				if random.IntN(100) == 0 {
					at = at.Add(time.Duration(random.Int64N(int64(8 * time.Hour))))
				}
			}
			for _, i := range feed.Intervals {
				want := candlesByHand(ticks, i, h)
				for _, through := range [][]feed.Interval{
					{i}, {feed.Minute, i}, {feed.Minute, feed.FiveMinutes, feed.QuarterHour, i}, {feed.Minute, feed.Hour, i},
				} {
					kept := feed.KeptCandles{{Interval: feed.Minute}, {Interval: through[len(through)/2]}}
					if source, _ := kept.Source(i, h); len(through) > 1 && source.Interval != through[len(through)/2] || !slices.IsSorted(through) {
						continue // candles of i do not consist of these
					}
					var got []feed.Candle
					for _, tick := range ticks {
						start, _ := through[0].Around(h, time.UnixMicro(tick.At))
						if n := len(got); n > 0 && got[n-1].Start == start {
							got[n-1].Add(tick)
						} else {
							got = append(got, feed.CandleOf(start, tick))
						}
					}
					for _, next := range through[1:] {
						got = feed.FoldCandles(got, next, h, utc(t, "2020-01-01T00:00:00Z"))
					}
					if len(got) != len(want) {
						t.Fatalf("%s by %v with %s: %d candles, want %d", i, through, hours, len(got), len(want))
					}
					for n := range got {
						if got[n].Candle != want[n] {
							t.Fatalf("%s by %v with %s:\ngot  %+v\nwant %+v", i, through, hours, got[n].Candle, want[n])
						}
					}
				}
			}
		}
	}
}

func candlesByHand(ticks []feed.Tick, i feed.Interval, h *feed.Hours) []protocol.Candle {
	var all []protocol.Candle
	for from := 0; from < len(ticks); {
		start, end := i.Around(h, time.UnixMicro(ticks[from].At))
		to := from
		for to < len(ticks) && ticks[to].At < end.UnixMicro() {
			to++
		}
		all = append(all, plainFold(ticks[from:to], start))
		from = to
	}
	return all
}

func TestFoldedCandleIsOpen(t *testing.T) {
	start := utc(t, "2026-11-25T10:15:00Z")
	minutes := []feed.Candle{feed.CandleOf(start, tickAt(1, "1", "1", start)), feed.CandleOf(start.Add(time.Minute), tickAt(2, "2", "2", start))}
	minutes[0].Open, minutes[1].Open = false, false
	for now, open := range map[string]bool{"2026-11-25T10:19:59.999999Z": true, "2026-11-25T10:20:00Z": false} {
		got := feed.FoldCandles(minutes, feed.FiveMinutes, bare.Hours("EUR/USD"), utc(t, now))
		if len(got) != 1 || got[0].Open != open || got[0].Ticks != 2 || !got[0].Start.Equal(start) {
			t.Errorf("at %s: %+v", now, got)
		}
	}
	if got := feed.FoldCandles(nil, feed.Hour, bare.Hours("EUR/USD"), start); len(got) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestDayFigures(t *testing.T) {
	today := feed.Candle{Candle: protocol.Candle{Start: utc(t, "2026-11-24T22:00:00Z"), Bid: protocol.OHLC{Open: "2", High: "4", Low: "1", Close: "3"}}}
	want := protocol.Day{Since: today.Start, Open: "2", High: "4", Low: "1", PreviousClose: "2.10"}
	if got := feed.DayOf(today, "2.10"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
