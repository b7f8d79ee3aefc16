package accept_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// candleArgs returns arguments with the kept candles and a clock, which the test sets.
func candleArgs(t testing.TB, kept string, clock time.Time) accept.AcceptArgs {
	t.Helper()
	k, err := feed.ParseKeptCandles(kept)
	if err != nil {
		t.Fatal(err)
	}
	a := args()
	a.Candles, a.Clock, a.Gate = k, clock, accept.Gate{LastKnown: 10 * 365 * 24 * time.Hour}
	return a
}

var candleNoon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// TestCandlesAreTrimmed keeps only as many candles as an interval may have, and lets the list
// expire; a minute that is over for longer than that is not stored any more.
func TestCandlesAreTrimmed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a := candleArgs(t, "1m:5m", candleNoon)
		for n := range 12 {
			a.Clock = candleNoon.Add(time.Duration(n) * time.Minute)
			mustAccept(t, c, eurusd(fmt.Sprintf("1.%d", n), "3"), a)
		}
		list := keys.Candles("EUR/USD", feed.Minute)
		all := keptCandles(t, c, "EUR/USD", feed.Minute)
		if len(all) != 6 || all[0].Bid.Open != "1.6" || all[5].Bid.Open != "1.11" || c.LLen(t.Context(), list).Val() != 5 {
			t.Errorf("%d candles, from %+v", len(all), all[0])
		}
		if ttl := c.PTTL(t.Context(), list).Val(); ttl <= 4*time.Minute || ttl > 5*time.Minute {
			t.Errorf("life of the list = %v, want 5m", ttl)
		}
		if day := keptCandles(t, c, "EUR/USD", feed.Day); len(day) != 1 || day[0].Ticks != 12 || day[0].Bid.High != "1.9" {
			t.Errorf("the day, which is not among the kept intervals: %+v", day)
		}
		if n := c.Exists(t.Context(), keys.Candles("EUR/USD", feed.Day)).Val(); n != 0 {
			t.Error("a list of days although none are kept")
		}
		c.Del(t.Context(), list) // as if it had expired
		a.Clock = a.Clock.Add(time.Hour)
		mustAccept(t, c, eurusd("2", "3"), a)
		if n := c.Exists(t.Context(), list).Val(); n != 0 {
			t.Error("a minute was stored after the end of its retention")
		}
	})
}

// TestCandlesOfAWrongClock lets the clock of Redis go back: over one boundary the minute goes on, incomplete;
// further, candles that are now in the future are dropped. No list is ever out of order.
func TestCandlesOfAWrongClock(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a := candleArgs(t, "1m:72h,1h:60d,1d:5y", candleNoon)
		accepts := func(after time.Duration, bid string) {
			t.Helper()
			a.Clock = candleNoon.Add(after)
			mustAccept(t, c, eurusd(bid, "3"), a)
		}
		accepts(0, "1")
		accepts(time.Minute, "1.1")
		accepts(2*time.Minute, "1.2")
		accepts(2*time.Minute-time.Second, "1.3")
		all := keptCandles(t, c, "EUR/USD", feed.Minute)
		if len(all) != 3 || all[2].Ticks != 2 || all[2].Complete || all[2].Bid.Close != "1.3" || !all[1].Complete {
			t.Errorf("after a step back: %+v", all)
		}
		accepts(49*time.Hour, "2") // a clock that is wrong
		accepts(49*time.Hour+time.Minute, "2.1")
		accepts(3*time.Minute, "1.4") // and right again
		accepts(4*time.Minute, "1.5")
		all = keptCandles(t, c, "EUR/USD", feed.Minute)
		if len(all) != 5 || all[3].Bid.Open != "1.4" || all[3].Complete || !all[4].Complete {
			t.Errorf("after a wrong clock: %+v", all)
		}
		for _, i := range a.Candles {
			all := keptCandles(t, c, "EUR/USD", i.Interval)
			for n := range len(all) - 1 {
				if !all[n].Start.Before(all[n+1].Start) {
					t.Errorf("%s: %v before %v", i.Interval, all[n].Start, all[n+1].Start)
				}
			}
		}
	})
}

// TestCandlesAfterAFailover continues on a server that is behind: the minute whose end may be forgotten is
// not complete, though the first quote of the new epoch comes in another minute. Nor is that one.
func TestCandlesAfterAFailover(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		for n, later := range []time.Duration{20 * time.Second, time.Minute, 7 * time.Minute} {
			symbol := []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY"}[n]
			a := candleArgs(t, "1m:72h,1h:60d,1d:5y", candleNoon)
			accepts := func(after time.Duration) {
				t.Helper()
				a.Clock = candleNoon.Add(after)
				mustAccept(t, c, feed.Quote{Symbol: symbol, Bid: "1", Ask: "3"}, a)
			}
			accepts(-time.Minute) // begins an epoch
			accepts(0)
			accepts(time.Minute) // the last one that the server knows
			a.Candidate, a.Run, a.KnownEpoch, a.KnownSeq = "bbbb3333", "run2", "aaaa2222", 9
			accepts(time.Minute + later)
			a.KnownEpoch, a.KnownSeq = "bbbb3333", 1
			last := time.Minute + later.Truncate(time.Minute) + time.Minute
			accepts(last)
			all := keptCandles(t, c, symbol, feed.Minute)
			for i, one := range all {
				if want := i == 1 || i == len(all)-1; one.Complete != want {
					t.Errorf("%v later, minute %v: complete %t, want %t", later, one.Start, one.Complete, want)
				}
			}
			if hours := keptCandles(t, c, symbol, feed.Hour); len(all) != 4+min(1, int(later/time.Minute)) || hours[0].Complete {
				t.Errorf("%v later: minutes %+v, hours %+v", later, all, hours)
			}
		}
	})
}

// TestCandlesInTrouble refuses a quote that would close a candle and cannot: it leaves no trace, is
// accepted later, and nothing is counted twice. Other symbols of the call are accepted.
func TestCandlesInTrouble(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, ctx := s.Client(), t.Context()
	if err := admin.Do(ctx, "ACL", "SETUSER", "u", "on", ">pw", "+@all", "~*", "&*").Err(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "u", Password: "pw", DisableIdentity: true})
	defer c.Close()
	a := candleArgs(t, "1m:72h,1h:60d", candleNoon)
	minutes, hours := keys.Candles("EUR/USD", feed.Minute), keys.Candles("EUR/USD", feed.Hour)
	right := func(name string) (spoil, mend func()) {
		return func() { admin.Do(ctx, "ACL", "SETUSER", "u", "-"+name) }, func() { admin.Do(ctx, "ACL", "SETUSER", "u", "+"+name) }
	}
	type trouble struct {
		code        string
		spoil, mend func()
	}
	var troubles []trouble
	for name, code := range map[string]string{"rpush": "NOPERM", "ltrim": "NOPERM", "pexpire": "NOPERM", "llen": "ERR"} {
		spoil, mend := right(name)
		troubles = append(troubles, trouble{code, spoil, mend})
	}
	troubles = append(troubles,
		trouble{"WRONGTYPE", func() { admin.Rename(ctx, minutes, "kept"); admin.Set(ctx, minutes, "x", 0) }, func() { admin.Rename(ctx, "kept", minutes) }},
		trouble{"WRONGTYPE", func() { admin.Rename(ctx, hours, "kept"); admin.Set(ctx, hours, "x", 0) }, func() { admin.Rename(ctx, "kept", hours) }},
		trouble{"OOM", func() { admin.ConfigSet(ctx, "maxmemory", "1") }, func() { admin.ConfigSet(ctx, "maxmemory", "0") }})
	quotes := func(bid string) [][]feed.Quote {
		return [][]feed.Quote{{eurusd(bid, "3")}, {{Symbol: "GBP/USD", Bid: bid, Ask: "3"}}}
	}
	state := func() string {
		return fmt.Sprint(stateOf(admin, keys, "EUR/USD"), admin.HGetAll(ctx, keys.Seq("EUR/USD")).Val(),
			admin.LRange(ctx, minutes, 0, -1).Val(), admin.LRange(ctx, hours, 0, -1).Val())
	}
	for n := range 3 { // so that both lists exist
		a.Clock = candleNoon.Add(time.Duration(n) * time.Hour)
		accept.AcceptSymbols(ctx, c, quotes("1"), a)
	}
	for i, one := range troubles {
		a.Clock = candleNoon.Add(time.Duration(i+3) * time.Hour)
		before := state()
		one.spoil()
		_, errs := accept.AcceptSymbols(ctx, c, quotes("2"), a)
		spoiled := state()
		one.mend()
		if errs[0] == nil || redislink.Code(errs[0]) != one.code {
			t.Errorf("%d: %v, want %s", i, errs[0], one.code)
		}
		if one.code != "WRONGTYPE" && spoiled != before || state() != before {
			t.Errorf("%d: the refused quote left a trace:\n%s\n%s", i, before, state())
		}
		if one.code == "WRONGTYPE" && errs[1] != nil {
			t.Errorf("%d: the other symbol: %v", i, errs[1])
		}
		outcomes, errs := accept.AcceptSymbols(ctx, c, quotes("2"), a)
		if errs[0] != nil || outcomes[0][0].Seq != uint64(i+4) {
			t.Fatalf("%d: afterwards %+v, %v", i, outcomes[0], errs[0])
		}
	}
	all := keptCandles(t, admin, "EUR/USD", feed.Hour)
	if len(all) != 3+len(troubles) || len(keptCandles(t, admin, "EUR/USD", feed.Minute)) != len(all) {
		t.Errorf("%d hours, want one for each quote", len(all))
	}
	for _, h := range all[1:] {
		if h.Ticks != 1 || !h.Complete {
			t.Errorf("%+v, want one tick, complete", h)
		}
	}
}

// TestCandlesWhileASlotMoves closes no candle on a server that lacks the list, which may come later.
func TestCandlesWhileASlotMoves(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a := candleArgs(t, "1m:72h", candleNoon)
		mustAccept(t, c, eurusd("1", "3"), a)
		a.Clock, a.Asking = candleNoon.Add(time.Minute), true
		before := stateOf(c, keys, "EUR/USD")
		if _, err := accept.Accept(t.Context(), c, eurusd("2", "3"), a); !redislink.MayRetry(err) {
			t.Errorf("without the list: %v, want one that may be retried", err)
		}
		if stateOf(c, keys, "EUR/USD") != before {
			t.Error("the refused quote left a trace")
		}
		a.Asking = false
		mustAccept(t, c, eurusd("2", "3"), a)
		a.Clock, a.Asking = candleNoon.Add(2*time.Minute), true
		mustAccept(t, c, eurusd("3", "3"), a)
		if all := keptCandles(t, c, "EUR/USD", feed.Minute); len(all) != 3 || !all[2].Complete || all[2].Bid.Open != "3" {
			t.Errorf("afterwards: %+v", all)
		}
	})
}

// TestCandlesFitInMemory fills all lists of the default CANDLES with prices that move like real ones.
func TestCandlesFitInMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("several thousand calls")
	}
	c := redistest.Start(t).Client()
	r := rand.New(rand.NewPCG(1, 2))
	a := candleArgs(t, "1m:72h,1h:60d,1d:5y", candleNoon.AddDate(-5, 0, -10))
	price := 108500.0
	step := func(length time.Duration, moves float64) {
		var quotes []feed.Quote
		for range 3 {
			price = min(max(price+r.NormFloat64()*moves, 90000), 130000)
			quotes = append(quotes, eurusd(fmt.Sprintf("1.%05d", int(price)-90000), fmt.Sprintf("1.%05d", int(price)-90000+3+r.IntN(12))))
		}
		if _, err := accept.AcceptAll(t.Context(), c, quotes, a); err != nil {
			t.Fatal(err)
		}
		a.Clock = a.Clock.Add(length)
	}
	for a.Clock.Before(candleNoon.Add(-60 * 24 * time.Hour)) {
		step(24*time.Hour, 150)
	}
	for a.Clock.Before(candleNoon.Add(-72 * time.Hour)) {
		step(time.Hour, 30)
	}
	for a.Clock.Before(candleNoon) {
		step(time.Minute, 5)
	}
	total := int64(0)
	for _, k := range a.Candles {
		key := keys.Candles("EUR/USD", k.Interval)
		n, size := c.LLen(t.Context(), key).Val(), c.MemoryUsage(t.Context(), key, 0).Val()
		total += size
		t.Logf("%s: %d candles, %d bytes", k.Interval, n, size)
		if want := int64(k.For / k.Interval.Length()); n < want*99/100 || n > want {
			t.Errorf("%s: %d candles, want %d", k.Interval, n, want)
		}
	}
	if total > 250_000 {
		t.Errorf("%d bytes, want at most 250 KB", total)
	}
	t.Logf("%d bytes, and %d of the counter", total, c.MemoryUsage(t.Context(), keys.Seq("EUR/USD")).Val())
}
