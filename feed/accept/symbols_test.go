package accept_test

import (
	"context"
	"errors"
	"fmt"
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

// oneEach returns a quote of each symbol.
func oneEach(symbols []feed.Symbol) (all [][]feed.Quote) {
	for _, s := range symbols {
		all = append(all, []feed.Quote{at(s, "1.1", "a")})
	}
	return all
}

// refusedIn returns the codes of the refused symbols of a call. All others must have got the number
// seq.
func refusedIn(t *testing.T, symbols []feed.Symbol, outcomes [][]accept.Outcome, errs []error, seq uint64) map[feed.Symbol]string {
	t.Helper()
	refused := map[feed.Symbol]string{}
	for i, s := range symbols {
		if errs[i] != nil {
			refused[s] = redislink.Code(errs[i])
		} else if len(outcomes[i]) != 1 || outcomes[i][0].Seq != seq {
			t.Errorf("%s: %+v, want number %d", s, outcomes[i], seq)
		}
	}
	return refused
}

// TestWrongKeyFailsItsSymbolOnly puts another kind of key in the way of one symbol of a full call,
// wherever it stands.
func TestWrongKeyFailsItsSymbolOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		for i, place := range []int{0, 31, 63, 0} {
			symbols := someSymbols(64)
			if i == 3 {
				symbols = symbols[:1] // alone
			}
			s := symbols[place]
			for n, wrong := range []func(feed.Keys) string{
				func(k feed.Keys) string { return k.Quote(s) }, func(k feed.Keys) string { return k.Seq(s) }, func(k feed.Keys) string { return k.Ticks(s) },
			} {
				a := gated()
				a.Keys = feed.Keys{Prefix: fmt.Sprintf("w%d%d:", i, n)}
				key := wrong(a.Keys)
				c.SAdd(ctx, key, "x")
				for round := range uint64(2) {
					outcomes, errs := accept.AcceptSymbols(ctx, c, oneEach(symbols), a)
					refused := refusedIn(t, symbols, outcomes, errs, round+1)
					if len(refused) != 1 || refused[s] != "WRONGTYPE" || !strings.Contains(errs[place].Error(), key) {
						t.Errorf("a set at %s: refused %v, want %s with the key", key, refused, s)
					}
				}
				if n := c.Exists(ctx, a.Keys.Quote(s), a.Keys.Seq(s), a.Keys.Ticks(s)).Val(); n != 1 {
					t.Errorf("a set at %s: the refused symbol has %d keys", key, n)
				}
			}
		}
	})
}

// TestErrorFailsItsSymbolOnly takes rights away that some symbols of a call need: before their first
// write, the script finds out by an error that a command raises.
func TestErrorFailsItsSymbolOnly(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, ctx := s.Client(), t.Context()
	symbols := someSymbols(9)
	rights := func(more ...any) {
		rule := append([]any{"ACL", "SETUSER", "u", "reset", "on", ">pw", "+@all", "~*", "resetchannels"}, more...)
		if err := admin.Do(ctx, rule...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rights("&*")
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "u", Password: "pw", DisableIdentity: true})
	defer c.Close()
	a := gated()
	outcomes, errs := accept.AcceptSymbols(ctx, c, oneEach(symbols), a)
	if refused := refusedIn(t, symbols, outcomes, errs, 1); len(refused) > 0 {
		t.Fatalf("refused %v", refused)
	}

	rights("&*", "-hgetall") // needed by an outlier
	quotes := oneEach(symbols)
	for _, i := range []int{0, 4, 8} {
		quotes[i] = []feed.Quote{at(symbols[i], "1.1", "a"), at(symbols[i], "3", "a")}
	}
	_, errs = accept.AcceptSymbols(ctx, c, quotes, a)
	want := map[feed.Symbol]string{symbols[0]: "NOPERM", symbols[4]: "NOPERM", symbols[8]: "NOPERM"}
	for i, one := range symbols {
		if code := redislink.Code(errs[i]); want[one] == "" && code != "" || want[one] != "" && code == "" {
			t.Errorf("%s without HGETALL: %v, want an error %v", one, errs[i], want[one] != "")
		}
		if n := admin.XLen(ctx, keys.Ticks(one)).Val(); want[one] == "" && n != 2 || want[one] != "" && n != 1 {
			t.Errorf("%s: %d quotes accepted", one, n)
		}
	}

	channels := []any{}
	for i, one := range symbols {
		if i != 4 {
			channels = append(channels, "&"+keys.Channel(one))
		}
	}
	rights(channels...)
	for _, i := range []int{0, 8} { // as the others
		mustAccept(t, admin, at(symbols[i], "1.1", "a"), a)
	}
	outcomes, errs = accept.AcceptSymbols(ctx, c, oneEach(symbols), a)
	if refused := refusedIn(t, symbols, outcomes, errs, 3); len(refused) != 1 || refused[symbols[4]] != "NOPERM" {
		t.Errorf("refused %v, want %s, to whose channel the user may not publish", refused, symbols[4])
	}
}

// TestFullAndReadOnlyServer refuses calls of many symbols between calls that are accepted: they leave
// no trace, and no number is missing.
func TestFullAndReadOnlyServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory-policy", "noeviction")
	c, ctx := s.Client(), t.Context()
	old, added := someSymbols(64)[:32], someSymbols(64)
	accepted := func(symbols []feed.Symbol, seq uint64) {
		t.Helper()
		outcomes, errs := accept.AcceptSymbols(ctx, c, oneEach(symbols), args())
		if refused := refusedIn(t, symbols, outcomes, errs, seq); len(refused) > 0 {
			t.Errorf("refused %v", refused)
		}
	}
	accepted(old, 1)
	for n, trouble := range []struct {
		code        string
		spoil, mend func() error
	}{
		{"OOM", func() error { return c.ConfigSet(ctx, "maxmemory", "1").Err() }, func() error { return c.ConfigSet(ctx, "maxmemory", "0").Err() }},
		{"READONLY", func() error { return c.Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err() }, func() error { return c.Do(ctx, "REPLICAOF", "NO", "ONE").Err() }},
	} {
		keysBefore := c.DBSize(ctx).Val()
		if err := trouble.spoil(); err != nil {
			t.Fatal(err)
		}
		_, errs := accept.AcceptSymbols(ctx, c, oneEach(added), args())
		for i, err := range errs {
			if redislink.Code(err) != trouble.code {
				t.Errorf("%s: %v, want %s", added[i], err, trouble.code)
			}
		}
		if keysAfter := c.DBSize(ctx).Val(); keysAfter != keysBefore {
			t.Errorf("%s: %d keys, before %d", trouble.code, keysAfter, keysBefore)
		}
		if err := trouble.mend(); err != nil {
			t.Fatal(err)
		}
		accepted(old, uint64(n)+2)
	}
	accepted(added[32:], 1)
}

// TestUnknownOutcomeOfManySymbols loses the answers of calls that Redis carries out later. No quote
// has a known outcome then, and each symbol goes on without a number missing or given twice.
func TestUnknownOutcomeOfManySymbols(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, ctx := s.Client(), context.Background()
	p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Timeout = time.Second })
	symbols := someSymbols(100)
	quotes := slices.Concat(oneEach(symbols)...)
	if _, err := p.Publish(ctx, quotes); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	outcomes, err := p.Publish(ctx, quotes)
	if !errors.Is(err, redislink.ErrUnavailable) || !errors.Is(err, accept.ErrOutcomeUnknown) {
		t.Errorf("%v, want an unknown outcome", err)
	}
	for i, o := range outcomes {
		if o.Known() {
			t.Errorf("%s: %+v, want nothing known", symbols[i], o)
		}
	}
	s.Resume()
	tries := int64(3)
	eventually(t, "publishing works again", func() bool {
		outcomes, err = p.Publish(ctx, quotes)
		if errors.Is(err, accept.ErrOutcomeUnknown) {
			tries++
		}
		return err == nil
	})
	for i, o := range outcomes {
		ticks := c.XRange(ctx, keys.Ticks(symbols[i]), "-", "+").Val()
		if n := int64(len(ticks)); n < 2 || n > tries {
			t.Errorf("%s: %d quotes of %d tries", symbols[i], n, tries)
		}
		for n, tick := range ticks {
			if text := tick.Values["q"].(string); !strings.Contains(text, fmt.Sprintf(`"seq":%d,"epoch":"%s"`, n+1, o.Epoch)) {
				t.Errorf("%s: %s, want number %d of %s", symbols[i], text, n+1, o.Epoch)
			}
		}
		if stored := c.HGet(ctx, keys.Seq(symbols[i]), "seq").Val(); stored != fmt.Sprint(len(ticks)) {
			t.Errorf("%s: number %s of %d quotes", symbols[i], stored, len(ticks))
		}
	}
}

// TestSymbolsAsOneByOne compares calls of many symbols with calls of one symbol each: outcomes,
// messages, and all that is stored.
func TestSymbolsAsOneByOne(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx, round := t.Context(), 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			a := candleArgs(t, "1m:72h,1h:60d,1d:5y", candleNoon)
			a.Gate = accept.DefaultGate
			if rapid.Bool().Draw(rt, "without candles") {
				a.Candles = nil
			}
			if rapid.Bool().Draw(rt, "ranked") {
				a.Priorities = mainAndBackup
			}
			a.History = rapid.IntRange(1, 20).Draw(rt, "history")
			together, alone := a, a
			together.Keys, alone.Keys = feed.Keys{Prefix: fmt.Sprintf("t%d:", round)}, feed.Keys{Prefix: fmt.Sprintf("s%d:", round)}
			symbols := someSymbols(8)
			wrong := rapid.IntRange(-20, 7).Draw(rt, "wrong key")
			for i, s := range symbols {
				if i == wrong {
					c.Set(ctx, together.Keys.Ticks(s), "x", 0)
					c.Set(ctx, alone.Keys.Ticks(s), "x", 0)
				}
			}
			now := candleNoon
			for call := range rapid.IntRange(1, 4).Draw(rt, "calls") {
				now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, time.Hour, 25 * time.Hour, -time.Second}).Draw(rt, "later"))
				together.Clock, alone.Clock = now, now
				quote := rapid.Custom(func(rt *rapid.T) feed.Quote {
					q := feed.Quote{Source: rapid.SampledFrom([]string{"main", "backup", "c", "d"}).Draw(rt, "source")}
					q.Bid = rapid.SampledFrom([]string{"1.1", "1.10001", "1.12", "1.1234567890123456789", "1.3", "1.31", "5"}).Draw(rt, "bid")
					q.Ask = rapid.SampledFrom([]string{q.Bid, q.Bid + "1", "9"}).Draw(rt, "ask")
					if ago := rapid.IntRange(-2, 8).Draw(rt, "age"); ago >= 0 {
						q.Time = now.Add(-time.Duration(ago) * time.Second)
					} else if ago == -2 {
						q.Time = now.Add(time.Hour)
					}
					return q
				})
				var all [][]feed.Quote
				for _, s := range rapid.Permutation(symbols).Draw(rt, "symbols")[:rapid.IntRange(1, 8).Draw(rt, "number of symbols")] {
					quotes := rapid.SliceOfN(quote, 1, 6).Draw(rt, "quotes")
					for i := range quotes {
						quotes[i].Symbol = s
					}
					all = append(all, quotes)
				}
				outcomes, errs := accept.AcceptSymbols(ctx, c, all, together)
				for i, quotes := range all {
					o, err := accept.AcceptAll(ctx, c, quotes, alone)
					if fmt.Sprint(o) != fmt.Sprint(outcomes[i]) || redislink.Code(err) != redislink.Code(errs[i]) {
						rt.Fatalf("call %d, %s: %+v, %v among others, %+v, %v alone", call, quotes[0].Symbol, outcomes[i], errs[i], o, err)
					}
				}
			}
			for _, s := range symbols {
				if x, y := storedOf(c, together.Keys, s), storedOf(c, alone.Keys, s); x != y {
					rt.Fatalf("%s: together left\n%s\nalone\n%s", s, x, y)
				}
			}
		})
	})
}

// storedOf returns all that Redis keeps of a symbol.
func storedOf(c *redis.Client, k feed.Keys, s feed.Symbol) string {
	ctx := context.Background()
	var b strings.Builder
	for i, key := range k.OfSymbol(s) {
		fmt.Fprintln(&b, i, c.Get(ctx, key).Val(), c.HGetAll(ctx, key).Val(), c.LRange(ctx, key, 0, -1).Val())
		for _, m := range c.XRange(ctx, key, "-", "+").Val() {
			fmt.Fprintln(&b, m.Values)
		}
	}
	return b.String()
}
