package receive_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/protocol"
)

// candleSink records what a CandleStream passes on.
type candleSink struct {
	t testing.TB

	mu      sync.Mutex
	wants   map[string]bool // symbol and interval, or symbol and "day"
	candles map[string][]protocol.Candle
	days    map[string][]protocol.Day
	times   map[string][]time.Time
	dropped []string // symbols
}

func newCandleSink(t testing.TB) *candleSink {
	return &candleSink{t: t, wants: map[string]bool{}, candles: map[string][]protocol.Candle{}, days: map[string][]protocol.Day{}, times: map[string][]time.Time{}}
}

func (k *candleSink) Candle(symbol, interval string, c protocol.Candle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := symbol + " " + interval
	k.candles[name] = append(k.candles[name], c)
	k.times[name] = append(k.times[name], time.Now())
}

func (k *candleSink) Day(symbol string, d protocol.Day) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.days[symbol] = append(k.days[symbol], d)
	k.times[symbol+" day"] = append(k.times[symbol+" day"], time.Now())
}

func (k *candleSink) DropCandles(symbol string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped = append(k.dropped, symbol)
}

func (k *candleSink) WantsCandles(symbol, interval string) bool {
	return k.wanted(symbol + " " + interval)
}
func (k *candleSink) WantsDay(symbol string) bool { return k.wanted(symbol + " day") }

func (k *candleSink) wanted(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wants[name]
}

func (k *candleSink) want(c *receive.CandleStream, wanted bool, symbol string, names ...string) {
	k.mu.Lock()
	for _, name := range names {
		k.wants[symbol+" "+name] = wanted
	}
	k.mu.Unlock()
	c.InterestChanged(symbol)
}

func (k *candleSink) of(name string) []protocol.Candle {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.candles[name])
}

func (k *candleSink) dayOf(symbol string) (d protocol.Day) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.days[symbol]); n > 0 {
		d = k.days[symbol][n-1]
	}
	return d
}

// spaced checks that no two messages but closed candles came within a time.
func (k *candleSink) spaced(name string, least time.Duration) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	last := time.Time{}
	for i, at := range k.times[name] {
		if c := k.candles[name]; len(c) > 0 && !c[i].Open {
			continue
		}
		if at.Sub(last) < least-20*time.Millisecond { // the Sink may have been called late the time before
			k.t.Errorf("%s: message %d came %v after the one before", name, i, at.Sub(last))
		}
		last = at
	}
}

func startCandles(t testing.TB, client redis.UniversalClient, setting string, change ...func(*receive.CandleStream)) (*receive.CandleStream, *candleSink) {
	t.Helper()
	sink := newCandleSink(t)
	c := receive.NewCandleStream(receive.CandleStreamConfig{Candles: receive.NewCandles(client, keys, nil, keptCandles(t, setting)), Sink: sink})
	for _, f := range change {
		f(c)
	}
	start(t, c.Run)
	return c, sink
}

func lastCandle(candles []protocol.Candle) (c protocol.Candle) {
	if n := len(candles); n > 0 {
		c = candles[n-1]
	}
	return c
}

// shownCandle waits until the newest candle is the wanted one.
func shownCandle(t *testing.T, k *candleSink, name string, want protocol.Candle) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s: %+v", name, want), func() bool { return lastCandle(k.of(name)) == want })
}

// A candle is read when it is first wanted, follows the ticks, and is read again after a jump and a
// new epoch.
func TestCandleStreamFollows(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		const setting = "1m:72h,1h:60d,1d:5y"
		kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
		now, err := client.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		begin := now.Add(2 * time.Hour).Truncate(4 * time.Hour).Add(4 * time.Hour) // a candle that does not end here
		var ticks []feed.Tick
		tick := func(after time.Duration, bid string) feed.Tick {
			n := uint64(len(ticks) + 1)
			t := feed.Tick{Symbol: "EUR/USD", Bid: bid, Ask: "2" + bid[1:], Epoch: "e", Seq: n, At: begin.Add(after).UnixMicro()}
			ticks = append(ticks, t)
			return t
		}
		running := func(i feed.Interval) protocol.Candle {
			all := foldTicks(ticks, i, h)
			return all[len(all)-1].Candle
		}
		tick(time.Second, "1.10")
		tick(2*time.Second, "1.20")
		storeCandles(t, client, "EUR/USD", ticks, kept, h)
		c, sink := startCandles(t, client, setting)
		sink.want(c, true, "EUR/USD", "1m", "5m", "4h", "day")
		for _, i := range []feed.Interval{feed.Minute, feed.FiveMinutes, feed.FourHours} {
			shownCandle(t, sink, "EUR/USD "+i.String(), running(i))
		}
		c.Add(ticks[1]) // which the read had already
		c.Add(tick(3*time.Second, "1.200"))
		c.Add(tick(59*time.Second, "1.05"))
		shownCandle(t, sink, "EUR/USD 1m", running(feed.Minute))
		first := running(feed.Minute)
		c.Add(tick(60*time.Second, "1.07"))
		for _, i := range []feed.Interval{feed.Minute, feed.FiveMinutes, feed.FourHours} {
			shownCandle(t, sink, "EUR/USD "+i.String(), running(i))
		}
		first.Open = false
		if all := sink.of("EUR/USD 1m"); len(all) < 2 || all[len(all)-2] != first {
			t.Errorf("before the next minute came %+v, want %+v", all, first)
		}
		tick(61*time.Second, "1.30") // this node misses it
		tick(130*time.Second, "1.31")
		after := tick(131*time.Second, "1.32")
		storeCandles(t, client, "EUR/USD", ticks, kept, h)
		c.Add(after)
		for _, i := range []feed.Interval{feed.Minute, feed.FiveMinutes, feed.FourHours} {
			shownCandle(t, sink, "EUR/USD "+i.String(), running(i))
		}
		closed := foldTicks(ticks, feed.Minute, h)[1].Candle
		closed.Open = false
		if n := slices.Index(sink.of("EUR/USD 1m"), closed); n < 0 {
			t.Errorf("the minute that closed meanwhile did not come: %+v", sink.of("EUR/USD 1m"))
		}
		eventually(t, "day figures", func() bool { return sink.dayOf("EUR/USD").High == "1.32" })
		ticks = nil // Redis lost the counter
		tick(200*time.Second, "1.40")
		ticks[0].Epoch = "f"
		storeCandles(t, client, "EUR/USD", ticks, kept, h)
		c.Add(ticks[0])
		shownCandle(t, sink, "EUR/USD 4h", running(feed.FourHours))
		sink.want(c, false, "EUR/USD", "1m", "5m", "4h")
		sink.want(c, true, "EUR/USD", "1h")
		shownCandle(t, sink, "EUR/USD 1h", running(feed.Hour))
		n := len(sink.of("EUR/USD 4h"))
		tick(201*time.Second, "1.41")
		ticks[1].Epoch = "f"
		c.Add(ticks[1])
		shownCandle(t, sink, "EUR/USD 1h", running(feed.Hour))
		if len(sink.of("EUR/USD 4h")) != n {
			t.Error("candles came that nobody wanted")
		}
		sink.spaced("EUR/USD 1m", 250*time.Millisecond)
		sink.spaced("EUR/USD day", time.Second)
	})
}

// A symbol that an operator has removed has no candle, neither from what is kept here nor from a read
// that began before, until its next tick.
func TestRemovedSymbolHasNoCandle(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		const setting = "1m:72h,1h:60d,1d:5y"
		kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
		now, err := client.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		at := now.Add(12 * time.Hour).Truncate(4 * time.Hour) // no candle ends here
		tick := func(epoch, bid string) []feed.Tick {
			return []feed.Tick{{Symbol: "EUR/USD", Bid: bid, Ask: "2", Epoch: epoch, Seq: 1, At: at.UnixMicro()}}
		}
		storeCandles(t, client, "EUR/USD", tick("e", "1.1"), kept, h)
		sink := newCandleSink(t)
		c := receive.NewCandleStream(receive.CandleStreamConfig{Candles: receive.NewCandles(client, keys, nil, kept), Sink: sink})
		b := receive.NewBoard(receive.BoardConfig{Sink: newSink(), Candles: c})
		b.Remove("EUR/USD", "e", 1) // which nobody follows
		start(t, c.Run)
		sink.want(c, true, "EUR/USD", "1m", "day")
		old := foldTicks(tick("e", "1.1"), feed.Minute, h)[0].Candle
		shownCandle(t, sink, "EUR/USD 1m", old)
		eventually(t, "day figures", func() bool { return sink.dayOf("EUR/USD").Open == "1.1" })
		if err := client.Del(t.Context(), keys.OfSymbol("EUR/USD")...).Err(); err != nil {
			t.Fatal(err)
		}
		b.Remove("EUR/USD", "e", at.UnixMicro()+1)
		eventually(t, "a drop", func() bool {
			sink.mu.Lock()
			defer sink.mu.Unlock()
			return slices.Equal(sink.dropped, []string{"EUR/USD"})
		})
		n := len(sink.of("EUR/USD 1m"))
		sink.want(c, true, "EUR/USD", "1m", "1h", "day") // another client
		eventually(t, "a read", func() bool { return c.Sure("EUR/USD", feed.Minute) && c.Sure("EUR/USD", feed.Hour) })
		if all := sink.of("EUR/USD 1m"); len(all) != n || len(sink.of("EUR/USD 1h")) > 0 {
			t.Errorf("after the removal came %+v and %+v", all[n:], sink.of("EUR/USD 1h"))
		}
		storeCandles(t, client, "EUR/USD", tick("f", "1.5"), kept, h)
		c.Add(tick("f", "1.5")[0])
		shownCandle(t, sink, "EUR/USD 1m", foldTicks(tick("f", "1.5"), feed.Minute, h)[0].Candle)
		eventually(t, "day figures", func() bool { return sink.dayOf("EUR/USD").Low == "1.5" })
	})
}

// A candle closes after its end by Redis's clock though no tick follows, exactly once, as it is
// stored.
func TestCandleClosesWithoutTick(t *testing.T) {
	const setting = "1m:72h,1h:60d,1d:5y"
	kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	end := time.Date(2026, 11, 25, 10, 16, 0, 0, time.UTC)
	server.SetTime(end.Add(-time.Millisecond)) // where it stays
	c, sink := startCandles(t, client, setting)
	tick := func(seq uint64, bid string, at time.Time) feed.Tick {
		return feed.Tick{Symbol: "EUR/USD", Bid: bid, Ask: "2", Epoch: "e", Seq: seq, At: at.UnixMicro()}
	}
	ticks := []feed.Tick{tick(1, "1.1", end.Add(-time.Second))}
	storeCandles(t, client, "EUR/USD", ticks, kept, h)
	sink.want(c, true, "EUR/USD", "1m")
	want := foldTicks(ticks, feed.Minute, h)[0].Candle
	shownCandle(t, sink, "EUR/USD 1m", want)
	ticks = append(ticks, tick(2, "1.3", end.Add(-time.Second)))
	storeCandles(t, client, "EUR/USD", ticks, kept, h) // this node does not receive the last tick
	reads := func() int { return server.CommandCount() }
	before := reads()
	eventually(t, "a read after the end by this machine's clock", func() bool { return reads() > before })
	for _, c := range sink.of("EUR/USD 1m") {
		if !c.Open {
			t.Fatalf("closed before its end: %+v", c)
		}
	}
	server.SetTime(end)
	want = foldTicks(ticks, feed.Minute, h)[0].Candle
	want.Open = false
	shownCandle(t, sink, "EUR/USD 1m", want)
	ticks = append(ticks, tick(3, "1.4", end.Add(time.Second)))
	storeCandles(t, client, "EUR/USD", ticks, kept, h)
	c.Add(ticks[2])
	shownCandle(t, sink, "EUR/USD 1m", foldTicks(ticks, feed.Minute, h)[1].Candle)
	closed := slices.DeleteFunc(sink.of("EUR/USD 1m"), func(c protocol.Candle) bool { return c.Open })
	if len(closed) != 1 {
		t.Errorf("closed candles: %+v", closed)
	}
}

// Whatever a node misses, and whenever it reads, the candles it passes on in the end are those that
// are stored, each closed one once and in order.
func TestCandleStreamProperty(t *testing.T) {
	onBoth(t, func(t *testing.T, client *redis.Client) {
		const setting = "1m:72h,1h:60d,1d:5y"
		kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
		for seed := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, 1))
			client.Del(t.Context(), append(client.Keys(t.Context(), "*").Val(), "x")...)
			c, sink := startCandles(t, client, setting)
			now, err := client.Time(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			// No candle ends while the test runs, but by a tick. Since all ticks may come before the
			// stream reads once, no more may end than it passes on together (maxClosedCandles).
			at := now.Add(48 * time.Hour)
			var ticks, delayed []feed.Tick
			for n := range 300 {
				ticks = append(ticks, feed.Tick{Symbol: "EUR/USD", Bid: fmt.Sprintf("1.%02d", random.IntN(99)), Ask: "2.0", Epoch: "e", Seq: uint64(n + 1), At: at.UnixMicro()})
				pause := 20 * time.Second
				if random.IntN(10) == 0 { // so that some minutes have no tick
					pause = 3 * time.Minute
				}
				at = at.Add(time.Duration(random.Int64N(int64(pause))))
				storeCandles(t, client, "EUR/USD", ticks, kept, h)
				if n == 10 {
					sink.want(c, true, "EUR/USD", "1m", "15m", "day")
					eventually(t, "the first candle", func() bool { return sink.dayOf("EUR/USD").Open != "" })
				}
				if random.IntN(20) == 0 && n < 299 {
					continue // the node misses it
				}
				if delayed = append(delayed, ticks[n]); random.IntN(3) == 0 || n == 299 {
					for _, tick := range delayed {
						c.Add(tick)
					}
					delayed = nil
				}
			}
			for _, i := range []feed.Interval{feed.Minute, feed.QuarterHour} {
				all := foldTicks(ticks, i, h)
				shownCandle(t, sink, "EUR/USD "+i.String(), all[len(all)-1].Candle)
				var closed []protocol.Candle
				for _, got := range sink.of("EUR/USD " + i.String()) {
					if !got.Open {
						closed = append(closed, got)
					}
				}
				from := slices.IndexFunc(all, func(c feed.Candle) bool { return c.Start.Equal(closed[0].Start) })
				if from < 0 || len(all)-1-from != len(closed) {
					t.Fatalf("seed %d: %d closed candles of %s from %d on, want %d", seed, len(closed), i, from, len(all)-1-from)
				}
				for n, got := range closed {
					want := all[from+n].Candle
					want.Open = false
					if got != want {
						t.Fatalf("seed %d: candle %d of %s\ngot  %+v\nwant %+v", seed, n, i, got, want)
					}
				}
			}
			today := foldTicks(ticks, feed.Day, h)
			want := today[len(today)-1].Bid
			eventually(t, "the figures of the day", func() bool {
				d := sink.dayOf("EUR/USD")
				return d.Open == want.Open && d.High == want.High && d.Low == want.Low && d.Since.Equal(today[len(today)-1].Start)
			})
		}
	})
}

// A node reads again until Redis answers, and goes on with what is then true.
func TestCandleStreamWithoutRedis(t *testing.T) {
	server := redistest.Start(t)
	const setting = "1m:72h,1h:60d,1d:5y"
	kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
	proxy := redistest.StartProxy(t, server.Addr())
	client := redis.NewClient(&redis.Options{Addr: proxy.Addr(), MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	c, sink := startCandles(t, client, setting)
	now := time.Now().Add(24 * time.Hour)
	ticks := []feed.Tick{{Symbol: "EUR/USD", Bid: "1.1", Ask: "1.2", Epoch: "e", Seq: 1, At: now.UnixMicro()}}
	storeCandles(t, client, "EUR/USD", ticks, kept, h)
	proxy.Cut()
	sink.want(c, true, "EUR/USD", "1m")
	c.Add(ticks[0])
	ticks = append(ticks, feed.Tick{Symbol: "EUR/USD", Bid: "1.3", Ask: "1.4", Epoch: "e", Seq: 2, At: now.UnixMicro()})
	c.Add(ticks[1])
	proxy.Restore()
	storeCandles(t, server.Client(), "EUR/USD", ticks, kept, h)
	shownCandle(t, sink, "EUR/USD 1m", foldTicks(ticks, feed.Minute, h)[0].Candle)
}

// heldPipelines holds up the pipelines of a client until it is released.
type heldPipelines struct {
	redis.Hook
	began, release chan struct{}
}

func (h heldPipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h heldPipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h heldPipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		select {
		case h.began <- struct{}{}:
		default:
		}
		<-h.release
		return next(ctx, commands)
	}
}

// An interval that nobody wants any more when its read ends is left alone: the ticks that were held
// for the read are gone.
func TestCandlesEndWhileTheyAreRead(t *testing.T) {
	client := redistest.Start(t).Client()
	const setting = "1m:72h,1h:60d,1d:5y"
	kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
	hook := heldPipelines{began: make(chan struct{}, 1), release: make(chan struct{})}
	ticks := []feed.Tick{{Symbol: "EUR/USD", Bid: "1.1", Ask: "1.2", Epoch: "e", Seq: 1, At: time.Now().Add(24 * time.Hour).UnixMicro()}}
	storeCandles(t, client, "EUR/USD", ticks, kept, h)
	client.AddHook(hook)
	c, sink := startCandles(t, client, setting, func(c *receive.CandleStream) { c.SetLinger(0) })
	sink.want(c, true, "EUR/USD", "1m")
	<-hook.began
	for range 3 { // which the read under way has not
		next := ticks[len(ticks)-1]
		next.Seq++
		ticks = append(ticks, next)
		c.Add(next)
	}
	sink.want(c, true, "EUR/USD", "5m")
	eventually(t, "a read of the other interval", c.Asked)
	sink.want(c, false, "EUR/USD", "5m")
	eventually(t, "its end", func() bool { return !c.Follows("EUR/USD", feed.FiveMinutes) })
	close(hook.release)
	shownCandle(t, sink, "EUR/USD 1m", foldTicks(ticks, feed.Minute, h)[0].Candle)
	storeCandles(t, client, "EUR/USD", ticks, kept, h)
	sink.want(c, true, "EUR/USD", "5m")
	shownCandle(t, sink, "EUR/USD 5m", foldTicks(ticks, feed.FiveMinutes, h)[0].Candle)
}

// Clients that come and go have candles read once.
func TestCandlesAreKeptForAWhile(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	const setting = "1m:72h,1h:60d,1d:5y"
	kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
	tick := feed.Tick{Symbol: "EUR/USD", Bid: "1.1", Ask: "1.2", Epoch: "e", Seq: 1, At: time.Now().Add(24 * time.Hour).UnixMicro()}
	ticks := []feed.Tick{tick}
	storeCandles(t, client, "EUR/USD", ticks, kept, h)
	c, sink := startCandles(t, client, setting)
	var reads int
	for n := range 10 {
		sink.want(c, true, "EUR/USD", "1m")
		shownCandle(t, sink, "EUR/USD 1m", foldTicks(ticks, feed.Minute, h)[0].Candle)
		if n == 0 {
			reads = server.CommandCount()
		}
		sink.want(c, false, "EUR/USD", "1m")
		eventually(t, "its end", func() bool { return !c.Wanted("EUR/USD", feed.Minute) })
		tick.Seq++
		ticks = append(ticks, tick)
		c.Add(tick)
	}
	if more := server.CommandCount() - reads; more != 0 {
		t.Errorf("%d commands after the first read", more)
	}
}

// A client that comes back receives nothing of a candle that ended while nobody wanted it, whether
// or not this node has received all ticks meanwhile.
func TestCandleEndsWhileNobodyWantsIt(t *testing.T) {
	for name, missed := range map[string]uint64{"all ticks": 0, "a tick is missed": 1} {
		t.Run(name, func(t *testing.T) {
			const setting = "1m:72h,1h:60d,1d:5y"
			kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
			server := miniredis.RunT(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})
			t.Cleanup(func() { client.Close() })
			end := time.Date(2026, 11, 25, 10, 16, 0, 0, time.UTC)
			server.SetTime(end.Add(-time.Millisecond))
			ticks := []feed.Tick{{Symbol: "EUR/USD", Bid: "1.1", Ask: "2", Epoch: "e", Seq: 1, At: end.Add(-time.Second).UnixMicro()}}
			storeCandles(t, client, "EUR/USD", ticks, kept, h)
			c, sink := startCandles(t, client, setting)
			sink.want(c, true, "EUR/USD", "1m")
			shownCandle(t, sink, "EUR/USD 1m", foldTicks(ticks, feed.Minute, h)[0].Candle)
			sink.want(c, false, "EUR/USD", "1m")
			eventually(t, "its end", func() bool { return !c.Wanted("EUR/USD", feed.Minute) })
			server.SetTime(end.Add(20 * time.Second))
			for range missed {
				ticks = append(ticks, feed.Tick{Symbol: "EUR/USD", Bid: "1.2", Ask: "2", Epoch: "e", Seq: 2, At: end.Add(-time.Second).UnixMicro()})
				c.Add(feed.Tick{Symbol: "EUR/USD", Bid: "1.3", Ask: "2", Epoch: "e", Seq: 3, At: end.Add(time.Second).UnixMicro()})
				ticks = append(ticks, feed.Tick{Symbol: "EUR/USD", Bid: "1.3", Ask: "2", Epoch: "e", Seq: 3, At: end.Add(time.Second).UnixMicro()})
			}
			storeCandles(t, client, "EUR/USD", ticks, kept, h)
			before := len(sink.of("EUR/USD 1m"))
			sink.want(c, true, "EUR/USD", "1m")
			eventually(t, "its return", func() bool { return c.Wanted("EUR/USD", feed.Minute) })
			next := feed.Tick{Symbol: "EUR/USD", Bid: "1.4", Ask: "2", Epoch: "e", Seq: ticks[len(ticks)-1].Seq + 1, At: end.Add(2 * time.Second).UnixMicro()}
			ticks = append(ticks, next)
			storeCandles(t, client, "EUR/USD", ticks, kept, h)
			c.Add(next)
			shownCandle(t, sink, "EUR/USD 1m", foldTicks(ticks, feed.Minute, h)[1].Candle)
			for _, got := range sink.of("EUR/USD 1m")[before:] {
				if got.Start.Before(end) {
					t.Errorf("after the client came back it received %+v", got)
				}
			}
		})
	}
}

// Without clients that want candles a tick allocates nothing for them, and with some it does not
// either.
func TestCandleStreamAllocations(t *testing.T) {
	client := redistest.Start(t).Client()
	const setting = "1m:72h,1h:60d,1d:5y"
	kept, h := keptCandles(t, setting), (*feed.Instruments)(nil).Hours("EUR/USD")
	c, sink := startCandles(t, client, setting)
	tick := feed.Tick{Symbol: "EUR/USD", Bid: "1.1", Ask: "1.2", Epoch: "e", Seq: 1, At: time.Now().Add(24 * time.Hour).UnixMicro()}
	if n := testing.AllocsPerRun(1000, func() { c.Add(tick) }); n > 0 {
		t.Errorf("%v allocations for a tick that nobody wants", n)
	}
	storeCandles(t, client, "EUR/USD", []feed.Tick{tick}, kept, h)
	sink.want(c, true, "EUR/USD", "1m", "1h", "day")
	eventually(t, "day figures", func() bool { return sink.dayOf("EUR/USD").Open != "" })
	n := testing.AllocsPerRun(1000, func() {
		tick.Seq++
		c.Add(tick)
	})
	if n > 0 {
		t.Errorf("%v allocations for a tick that is folded", n)
	}
	eventually(t, "all ticks", func() bool { return lastCandle(sink.of("EUR/USD 1m")).Ticks == tick.Seq })
}
