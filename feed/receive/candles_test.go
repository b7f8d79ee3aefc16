package receive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/internal/feedtest"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
)

func keptCandles(t testing.TB, text string) feed.KeptCandles {
	t.Helper()
	kept, err := feed.ParseKeptCandles(text)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// candleTicks returns random ticks up to now, with pauses.
func candleTicks(random *rand.Rand, now time.Time, back, pause time.Duration) []feed.Tick {
	var ticks []feed.Tick
	at := now.Add(-back)
	for seq, last := uint64(1), false; !last; seq++ {
		if last = !at.Before(now); last {
			at = now
		}
		bid := fmt.Sprintf("1.%02d", random.IntN(90)) + "00"[:random.IntN(3)]
		ticks = append(ticks, feed.Tick{Bid: bid, Ask: "2." + bid[2:], Epoch: "e", Seq: seq, At: at.UnixMicro()})
		at = at.Add(time.Duration(random.Int64N(int64(pause))))
		if random.IntN(500) == 0 {
			at = at.Add(30 * time.Hour)
		}
	}
	return ticks
}

// foldTicks folds ticks into candles, which all are open.
func foldTicks(ticks []feed.Tick, i feed.Interval, h *feed.Hours) []feed.Candle {
	var candles []feed.Candle
	for _, tick := range ticks {
		start, _ := i.Around(h, time.UnixMicro(tick.At))
		if n := len(candles); n > 0 && candles[n-1].Start.Equal(start) {
			candles[n-1].Add(tick)
		} else {
			candles = append(candles, feed.CandleOf(start, tick))
		}
	}
	return candles
}

func pricesOf(c feed.Candle) [8]string {
	return [8]string{c.Bid.Open, c.Bid.High, c.Bid.Low, c.Bid.Close, c.Ask.Open, c.Ask.High, c.Ask.Low, c.Ask.Close}
}

// storeCandles writes the candles of ticks as the accept script would have stored them, at once and in
// place of all others of the symbol.
func storeCandles(t testing.TB, client redis.UniversalClient, s feed.Symbol, ticks []feed.Tick, kept feed.KeptCandles, h *feed.Hours) {
	t.Helper()
	minutes := func(at time.Time) int64 { return at.Unix() / 60 }
	pipe := client.TxPipeline()
	pipe.Del(t.Context(), keys.Seq(s))
	last := ticks[len(ticks)-1]
	minute, _ := feed.Minute.Around(h, time.UnixMicro(last.At))
	first := slices.IndexFunc(ticks, func(tick feed.Tick) bool { return tick.At >= minute.UnixMicro() })
	running := foldTicks(ticks[first:], feed.Minute, h)[0]
	p := pricesOf(running)
	fields := []any{"epoch", last.Epoch, "seq", last.Seq, "1m", fmt.Sprintf("%s %d %s %s %d %s %s %s %s %d 1 %s %s",
		last.Epoch, last.Seq, p[3], p[7], minutes(minute), p[1], p[2], p[5], p[6], int64(last.Seq)-int64(running.Ticks), p[0], p[4])}
	written := kept
	if kept[len(kept)-1].Interval != feed.Day {
		written = append(slices.Clone(kept), feed.Kept{Interval: feed.Day})
	}
	for _, k := range written {
		start, end := k.Interval.Around(h, minute)
		closed := foldTicks(ticks[:first], k.Interval, h)
		if k.Interval != feed.Minute {
			part := fmt.Sprintf("%d %d %%s 0 1", minutes(start), minutes(end))
			if n := len(closed); n > 0 && closed[n-1].Start.Equal(start) {
				p := pricesOf(closed[n-1])
				part = fmt.Sprintf("%d %d %%s %d 1 %s", minutes(start), minutes(end), closed[n-1].Ticks, strings.Join(p[:], " "))
				closed = closed[:n-1]
			}
			previous := "-"
			if n := len(closed); n > 0 && n%2 == 0 { // else it was not known
				previous = closed[n-1].Bid.Close
			}
			fields = append(fields, k.Interval.String(), fmt.Sprintf(part, previous))
		}
		if k.For == 0 {
			continue
		}
		pipe.Del(t.Context(), keys.Candles(s, k.Interval))
		closed = closed[max(len(closed)-int(k.For/k.Interval.Length()), 0):]
		for _, c := range closed {
			pipe.RPush(t.Context(), keys.Candles(s, k.Interval), feedtest.PackCandle(minutes(c.Start), c.Ticks, c.Complete, pricesOf(c)))
		}
	}
	pipe.HSet(t.Context(), keys.Seq(s), fields...)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The newest candles of all intervals are those of an independent fold of the ticks, whatever is
// kept, for any limit and time before. Only candles that are not kept any more are absent.
func TestNewestCandles(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		random := rand.New(rand.NewPCG(11, 12))
		for n, setting := range []string{"1m:72h,1h:60d,1d:5y", "1m:90m,15m:10d", "1m:3h,1h:30h,4h:8d,1d:1y"} {
			s := manySymbols(n + 1)[n]
			kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours(s)
			now, err := client.Time(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			ticks := candleTicks(random, now, 12*24*time.Hour, 4*time.Minute)
			storeCandles(t, client, s, ticks, kept, h)
			candles := receive.NewCandles(client, keys, nil, kept)
			for _, i := range feed.Intervals {
				all := foldTicks(ticks, i, h)
				source, _ := kept.Source(i, h)
				stored := foldTicks(ticks, source.Interval, h)
				from := time.Time{}
				if cut := len(stored) - 1 - int(source.For/source.Interval.Length()); cut >= 0 {
					from = stored[cut].Start
				}
				for _, limit := range []int{1, 2, 7, 100, 1000} {
					for _, before := range []time.Time{{}, now.Add(-time.Hour), now.Add(-40 * time.Hour), now.Add(-9 * 24 * time.Hour), now.Add(-99 * 24 * time.Hour), now.Add(time.Hour)} {
						want := slices.DeleteFunc(slices.Clone(all), func(c feed.Candle) bool {
							return !before.IsZero() && !c.Start.Before(before) || c.Start.Before(from)
						})
						want = want[max(len(want)-limit, 0):]
						got, err := candles.Newest(t.Context(), s, i, limit, before)
						if err != nil {
							t.Fatal(err)
						}
						compareCandles(t, fmt.Sprintf("%s of %s, limit %d before %v", i, setting, limit, before), got, want, i, h)
					}
				}
			}
		}
	})
}

func compareCandles(t *testing.T, what string, got, want []feed.Candle, i feed.Interval, h *feed.Hours) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d candles, want %d", what, len(got), len(want))
	}
	for n := range got {
		want := want[n].Candle
		if want.Open = got[n].Open; want.Open {
			if _, end := i.Around(h, want.Start); end.Before(time.Now().Add(-time.Minute)) || n < len(got)-1 {
				t.Fatalf("%s: the candle of %v is open", what, want.Start)
			}
		}
		if got[n].Candle != want {
			t.Fatalf("%s: candle %d\ngot  %+v\nwant %+v", what, n, got[n].Candle, want)
		}
	}
}

func TestRunningCandle(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		kept := keptCandles(t, "1m:72h,1h:60d,1d:5y")
		candles := receive.NewCandles(client, keys, nil, kept)
		now, err := client.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		start := now.Add(time.Hour).Truncate(time.Hour) // of an hour that has not ended when it is read
		h := (*feed.Instruments)(nil).Hours("EUR/USD")
		ticks := []feed.Tick{
			{Bid: "1.1", Ask: "1.2", Epoch: "e", Seq: 4, At: start.UnixMicro()},
			{Bid: "1.10", Ask: "1.20", Epoch: "e", Seq: 5, At: start.Add(time.Minute).UnixMicro()},
		}
		storeCandles(t, client, "EUR/USD", ticks, kept, h)
		read := func(i feed.Interval) feed.Candle {
			t.Helper()
			got, err := candles.Newest(t.Context(), "EUR/USD", i, 1, time.Time{})
			if err != nil || len(got) != 1 {
				t.Fatalf("got %+v, %v", got, err)
			}
			return got[0]
		}
		for _, i := range feed.Intervals {
			c := read(i)
			ticks := map[bool]uint64{true: 1, false: 2}[i == feed.Minute]
			if !c.Open || !c.Complete || c.Ticks != ticks || c.Last != (protocol.Position{Epoch: "e", Seq: 5}) || c.Bid.Close != "1.10" {
				t.Errorf("%s: %+v", i, c)
			}
		}
		client.HSet(t.Context(), keys.Seq("EUR/USD"), "seq", 6) // as a program without candles leaves it
		for _, i := range feed.Intervals {
			if c := read(i); c.Complete {
				t.Errorf("%s is complete though a tick is missing: %+v", i, c)
			}
		}
		client.HSet(t.Context(), keys.Seq("EUR/USD"), "seq", 5)
		client.HDel(t.Context(), keys.Seq("EUR/USD"), "1h") // as when 1h was not kept before
		if c := read(feed.Hour); c.Complete || !c.Start.Equal(start) || !c.Open {
			t.Errorf("of an hour that was not kept: %+v", c)
		}
		old := now.Add(-100 * time.Hour)
		client.Del(t.Context(), client.Keys(t.Context(), "*").Val()...)
		storeCandles(t, client, "EUR/USD", []feed.Tick{{Bid: "1", Ask: "2", Epoch: "e", Seq: 1, At: old.UnixMicro()}}, kept, h)
		if got, err := candles.Newest(t.Context(), "EUR/USD", feed.Minute, 1, time.Time{}); err != nil || len(got) != 0 {
			t.Errorf("a minute past its retention: %+v, %v", got, err)
		}
		if c := read(feed.Day); c.Open || c.Ticks != 1 {
			t.Errorf("the day of the same tick: %+v", c)
		}
	})
}

func TestDays(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		random := rand.New(rand.NewPCG(13, 14))
		now, err := client.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, setting := range []string{"1m:72h,1h:60d,1d:5y", "1m:72h"} {
			kept := keptCandles(t, setting)
			symbols := manySymbols(20)
			want := map[feed.Symbol]protocol.Day{}
			client.Del(t.Context(), append(client.Keys(t.Context(), "*").Val(), "x")...)
			for n, s := range symbols[:19] {
				h := (*feed.Instruments)(nil).Hours(s)
				ticks := candleTicks(random, now.Add(-time.Duration(n)*3*time.Hour), 80*time.Hour, time.Hour)
				if n == 0 {
					ticks = ticks[len(ticks)-1:]
				}
				storeCandles(t, client, s, ticks, kept, h)
				days := foldTicks(ticks, feed.Day, h)
				today, day := days[len(days)-1], ""
				if len(days) > 1 && (len(days)%2 == 1 || setting != "1m:72h") {
					day = days[len(days)-2].Bid.Close
				}
				want[s] = protocol.Day{Since: today.Start, Open: today.Bid.Open, High: today.Bid.High, Low: today.Bid.Low, PreviousClose: day}
			}
			got, err := receive.NewCandles(client, keys, nil, kept).Days(t.Context(), symbols)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d days, %v; want %d", len(got), err, len(want))
			}
			for s, day := range want {
				if got[s] != day {
					t.Errorf("%s with %s: got %+v\nwant %+v", s, setting, got[s], day)
				}
			}
		}
	})
}

func TestCandlesInACluster(t *testing.T) {
	client := redistest.StartCluster(t).Client()
	kept := keptCandles(t, "1m:72h,1h:60d,1d:5y")
	symbols := manySymbols(12)
	for _, s := range symbols {
		ticks := candleTicks(rand.New(rand.NewPCG(1, 1)), time.Now(), 10*time.Hour, 10*time.Minute)
		storeCandles(t, client, s, ticks, kept, (*feed.Instruments)(nil).Hours(s))
	}
	candles := receive.NewCandles(client, keys, nil, kept)
	if days, err := candles.Days(t.Context(), symbols); err != nil || len(days) != len(symbols) {
		t.Errorf("%d days, %v", len(days), err)
	}
	for _, s := range symbols {
		if got, err := candles.Newest(t.Context(), s, feed.FiveMinutes, 10, time.Time{}); err != nil || len(got) != 10 {
			t.Errorf("%s: %d candles, %v", s, len(got), err)
		}
	}
}

func TestCandlesWithoutRedis(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	candles := receive.NewCandles(client, keys, nil, keptCandles(t, "1m:72h"))
	if got, err := candles.Newest(t.Context(), "EUR/USD", feed.Hour, 5, time.Time{}); err != nil || len(got) != 0 {
		t.Errorf("a symbol without candles: %v, %v", got, err)
	}
	off := receive.NewCandles(client, keys, nil, nil)
	if got, err := off.Newest(t.Context(), "EUR/USD", feed.Hour, 5, time.Time{}); err != nil || len(got) != 0 {
		t.Errorf("candles off: %v, %v", got, err)
	}
	if got, err := off.Days(t.Context(), manySymbols(2)); err != nil || len(got) != 0 {
		t.Errorf("days off: %v, %v", got, err)
	}
	client.Set(t.Context(), keys.Candles("EUR/USD", feed.Minute), "x", 0)
	if _, err := candles.Newest(t.Context(), "EUR/USD", feed.Hour, 5, time.Time{}); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("a key of another type: %v", err)
	}
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := candles.Newest(ctx, "GBP/USD", feed.Hour, 5, time.Time{}); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("without Redis: %v", err)
	}
	if _, err := candles.Days(ctx, manySymbols(2)); !errors.Is(err, redislink.ErrUnavailable) {
		t.Errorf("days without Redis: %v", err)
	}
}
