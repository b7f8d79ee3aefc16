package accept_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// One call with many quotes does what as many calls with one quote do.
func TestScriptManyAsOneByOne(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx, round := t.Context(), 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			a := args()
			a.Keys = feed.Keys{Prefix: fmt.Sprintf("r%d:", round)}
			a.History = rapid.IntRange(1, 20).Draw(rt, "history")
			if rapid.Bool().Draw(rt, "ranked") {
				a.Priorities = mainAndBackup
			}
			var sources []string
			for i := range 14 {
				sources = append(sources, fmt.Sprintf("s%d", i))
			}
			sources = append(sources, "main", "backup")
			base := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Second)
			quote := rapid.Custom(func(rt *rapid.T) feed.Quote {
				q := feed.Quote{Bid: fmt.Sprintf("1.0%d", rapid.IntRange(0, 99).Draw(rt, "bid")), Ask: "2", Source: rapid.SampledFrom(sources).Draw(rt, "source")}
				if n := rapid.IntRange(-5, 6).Draw(rt, "time"); n == 6 {
					q.Time = base.Add(time.Hour)
				} else if n > -5 {
					q.Time = base.Add(time.Duration(n) * time.Millisecond)
				}
				return q
			})
			for range rapid.IntRange(1, 2).Draw(rt, "calls") {
				quotes := rapid.SliceOfN(quote, 1, 30).Draw(rt, "quotes")
				many, single := slices.Clone(quotes), slices.Clone(quotes)
				for i := range quotes {
					many[i].Symbol, single[i].Symbol = "EUR/USD", "GBP/USD"
				}
				outcomes, err := accept.AcceptAll(ctx, c, many, a)
				if err != nil {
					rt.Fatal(err)
				}
				for i, q := range single {
					o, err := accept.Accept(ctx, c, q, a)
					if err != nil {
						rt.Fatal(err)
					}
					if o.Seq != outcomes[i].Seq || o.Epoch != outcomes[i].Epoch || (o.Rejection == nil) != (outcomes[i].Rejection == nil) ||
						o.Rejection != nil && o.Rejection.Reason != outcomes[i].Rejection.Reason {
						rt.Fatalf("quote %d: %+v (%v) among others, %+v (%v) by itself", i, outcomes[i], outcomes[i].Rejection, o, o.Rejection)
					}
				}
				if x, y := stateOf(c, a.Keys, "EUR/USD"), stateOf(c, a.Keys, "GBP/USD"); x != y {
					rt.Fatalf("many together left\n%s\none by one\n%s", x, y)
				}
			}
		})
	})
}

var volatile = regexp.MustCompile(`"symbol":"[^"]*"|"at":\d+|"ts":"[^"]*"`)

// stateOf is what Redis keeps of a symbol, without what depends on the moment.
func stateOf(c *redis.Client, k feed.Keys, s feed.Symbol) string {
	ctx := context.Background()
	var b strings.Builder
	fmt.Fprintln(&b, volatile.ReplaceAllString(c.Get(ctx, k.Quote(s)).Val(), ""))
	for _, m := range c.XRange(ctx, k.Ticks(s), "-", "+").Val() {
		fmt.Fprintln(&b, volatile.ReplaceAllString(m.Values["q"].(string), ""))
	}
	fields := c.HGetAll(ctx, k.Seq(s)).Val()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value, _, _ := strings.Cut(fields[name], " ")
		if strings.HasPrefix(name, "h:") {
			value = ""
		}
		fmt.Fprintln(&b, name, value)
	}
	return b.String()
}

// A stream has a last identifier. What got an entry before is accepted, and
// everything agrees about it.
func TestScriptStreamAtItsEnd(t *testing.T) {
	t.Parallel()
	c, ctx := redistest.Start(t).Client(), t.Context()
	mustAccept(t, c, eurusd("1", "2"), args())
	if err := c.XAdd(ctx, &redis.XAddArgs{Stream: keys.Ticks("EUR/USD"), ID: "18446744073709551615-18446744073709551613", Values: []string{"q", "x"}}).Err(); err != nil {
		t.Fatal(err)
	}
	quotes := make([]feed.Quote, 4)
	for i := range quotes {
		quotes[i] = feed.Quote{Symbol: "EUR/USD", Bid: fmt.Sprint(i + 1), Ask: "9", Time: time.Now().Add(time.Duration(i) * time.Millisecond), Source: "a"}
	}
	o, err := accept.AcceptAll(ctx, c, quotes, args())
	if err == nil || len(o) != 4 || o[0].Seq != 2 || o[1].Seq != 3 || o[2].Known() || o[3].Known() {
		t.Fatalf("outcomes %+v, %v: want numbers 2 and 3 and two failures", o, err)
	}
	if v := c.Get(ctx, keys.Quote("EUR/USD")).Val(); !strings.Contains(v, `"bid":"2",`) || !strings.Contains(v, `"seq":3,`) {
		t.Errorf("last value %s, want the second", v)
	}
	if n := c.HGet(ctx, keys.Seq("EUR/USD"), "seq").Val(); n != "3" {
		t.Errorf("counter %s, want 3", n)
	}
	// At the end: refused, nothing written.
	if _, err := accept.Accept(ctx, c, quotes[3], args()); err == nil {
		t.Error("accepted without an entry in the history")
	}
	if n := c.HGet(ctx, keys.Seq("EUR/USD"), "seq").Val(); n != "3" {
		t.Errorf("counter %s after a refusal, want 3", n)
	}

	// A publisher reports which of its quotes were accepted.
	c.Del(ctx, keys.Ticks("EUR/USD"))
	c.XAdd(ctx, &redis.XAddArgs{Stream: keys.Ticks("EUR/USD"), ID: "18446744073709551615-18446744073709551614", Values: []string{"q", "x"}})
	o, err = startPublisher(t, c).Publish(ctx, []feed.Quote{quotes[0], quotes[1], {Symbol: "GBP/USD", Bid: "1", Ask: "1"}})
	if !errors.Is(err, redislink.ErrUnavailable) || errors.Is(err, accept.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v, want one not published because it was refused", err)
	}
	if o[0].Seq == 0 || o[1].Known() || o[2].Seq != 1 {
		t.Errorf("outcomes %+v, want the first and the last accepted", o)
	}
}

// A pipeline of many sources is cut into calls the script takes.
func TestPublishManySources(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Timeout = 20 * time.Second })
		var quotes []feed.Quote
		for i := range 300 {
			q := from(fmt.Sprintf("s%d", i%50))
			q.Time = time.Now()
			quotes = append(quotes, q)
		}
		o, err := p.Publish(t.Context(), quotes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range o {
			if o[i].Seq != uint64(i+1) {
				t.Fatalf("quote %d: %+v", i, o[i])
			}
		}
		if n := c.HLen(t.Context(), keys.Seq("EUR/USD")).Val(); n != 4+16 {
			t.Errorf("%d fields, want 16 sources remembered", n)
		}
		if n := c.XLen(t.Context(), keys.Ticks("EUR/USD")).Val(); n != 300 {
			t.Errorf("history of %d, want 300", n)
		}
	})
}
