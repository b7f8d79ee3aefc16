package accept_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

func args() accept.AcceptArgs {
	return accept.AcceptArgs{Keys: keys, QuoteTTL: time.Minute, History: 3, Candidate: "aaaa2222", Run: "run1"}
}

func mustAccept(t *testing.T, c *redis.Client, q feed.Quote, a accept.AcceptArgs) accept.Outcome {
	t.Helper()
	o, err := accept.Accept(t.Context(), c, q, a)
	if err != nil {
		t.Fatalf("Accept(%v): %v", q, err)
	}
	return o
}

func TestScriptAccepts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		ps := c.PSubscribe(ctx, keys.ChannelPattern())
		defer ps.Close()
		if _, err := ps.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		at := time.Now().UTC().Truncate(time.Second).Add(123456 * time.Microsecond)
		q := feed.Quote{Symbol: "EUR/USD", Bid: "1.08450", Ask: "1.0846", Time: at, Source: "lmax-1.a_b"}
		o := mustAccept(t, c, q, args())
		if o.Epoch != "aaaa2222" || o.Seq != 1 || o.Rejection != nil {
			t.Errorf("outcome = %+v, want number 1 of epoch aaaa2222", o)
		}
		if age := time.Since(time.UnixMicro(o.At)); age < -time.Second || age > 10*time.Second {
			t.Errorf("at = %d is %v old", o.At, age)
		}
		want := fmt.Sprintf(`{"symbol":"EUR/USD","bid":"1.08450","ask":"1.0846","ts":"%s","seq":1,"epoch":"aaaa2222","at":%d,"source":"lmax-1.a_b"}`,
			at.Format("2006-01-02T15:04:05.000000Z"), o.At)
		m, err := ps.ReceiveMessage(ctx)
		if err != nil || m.Payload != want || m.Channel != "fx:{EUR/USD}" {
			t.Errorf("published %v, %v\nwant %s", m, err, want)
		}
		if v := c.Get(ctx, "fx:{EUR/USD}:quote").Val(); v != want {
			t.Errorf("last value %s\nwant %s", v, want)
		}
		if ttl := c.PTTL(ctx, "fx:{EUR/USD}:quote").Val(); ttl <= 55*time.Second || ttl > time.Minute {
			t.Errorf("life of the last value = %v, want a minute", ttl)
		}
		if ttl := c.PTTL(ctx, "fx:{EUR/USD}:ticks").Val(); ttl < 168*time.Hour || ttl > 168*time.Hour+time.Minute {
			t.Errorf("life of the history = %v, want a week and at most a minute", ttl)
		}
		if ttl := c.PTTL(ctx, "fx:{EUR/USD}:seq").Val(); ttl != -1 {
			t.Errorf("life of the counter = %v, want none", ttl)
		}
		a, err := feed.DecodeTick([]byte(want))
		if err != nil || string(a.AppendJSON(nil)) != want {
			t.Errorf("DecodeTick of the script's message: %v, %s", err, a.AppendJSON(nil))
		}

		q.Time = time.Time{} // the time of acceptance is used
		o = mustAccept(t, c, q, args())
		m, err = ps.ReceiveMessage(ctx)
		if err != nil || o.Seq != 2 {
			t.Fatalf("second: %+v, %v", o, err)
		}
		if a, err = feed.DecodeTick([]byte(m.Payload)); err != nil || a.Time.UnixMicro() != o.At || a.At != o.At {
			t.Errorf("without a time: ts %v at %d, %v; want ts = at = %d", a.Time, a.At, err, o.At)
		}

		for range 3 {
			o = mustAccept(t, c, q, args())
		}
		ticks := c.XRange(ctx, "fx:{EUR/USD}:ticks", "-", "+").Val()
		if len(ticks) != 3 || !strings.Contains(ticks[2].Values["q"].(string), `"seq":5,`) || !strings.Contains(ticks[0].Values["q"].(string), `"seq":3,`) {
			t.Errorf("history = %v, want numbers 3 to 5", ticks)
		}
	})
}

func TestScriptJudgesTime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		q := eurusd("1.1", "1.2")
		q.Source, q.Time = "a", time.Now().Add(time.Minute)
		if o := mustAccept(t, c, q, args()); o.Rejection == nil || o.Rejection.Reason != feed.ReasonFuture {
			t.Errorf("a minute ahead: %+v, want future", o)
		}
		if n := c.Exists(t.Context(), keys.Quote("EUR/USD"), keys.Seq("EUR/USD"), keys.Ticks("EUR/USD")).Val(); n != 0 {
			t.Errorf("a rejected quote left %d keys", n)
		}
		base := time.Now().Truncate(time.Microsecond)
		steps := []struct {
			source string
			time   time.Time
			reason feed.Reason
		}{
			{"a", base.Add(4 * time.Second), ""}, // a fast clock within the tolerance
			{"a", base, feed.ReasonOld},
			{"b", base.Add(-time.Hour), ""}, // another source has its own order
			{"b", base.Add(-time.Hour - time.Microsecond), feed.ReasonOld},
			{"b", base.Add(-time.Hour), ""}, // the same time is not older
			{"a", time.Time{}, ""},          // without a time there is nothing to compare
			{"b", base.Add(-time.Hour), ""}, // and nothing is remembered
			{"a", base.Add(4 * time.Second), ""},
		}
		var seq uint64
		for i, s := range steps {
			q.Source, q.Time = s.source, s.time
			o := mustAccept(t, c, q, args())
			if s.reason == "" {
				if seq++; o.Seq != seq {
					t.Errorf("step %d: %+v, want number %d", i, o, seq)
				}
			} else if o.Rejection == nil || o.Rejection.Reason != s.reason {
				t.Errorf("step %d: %+v, want %s", i, o, s.reason)
			}
		}
		// Remembered for the life of the last value only.
		short := args()
		short.QuoteTTL = 50 * time.Millisecond
		q.Source, q.Time = "b", base.Add(-2*time.Hour)
		eventually(t, "an old time is forgotten", func() bool { return mustAccept(t, c, q, short).Seq > 0 })
	})
}

func TestScriptRemembers16Sources(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		now := time.Now()
		q := eurusd("1", "1")
		for i := range 16 {
			q.Source, q.Time = fmt.Sprintf("s%d", i), now
			mustAccept(t, c, q, args())
		}
		q.Source = "s0" // now s1 is the least recent
		mustAccept(t, c, q, args())
		q.Source = "new"
		mustAccept(t, c, q, args())
		fields := c.HGetAll(t.Context(), keys.Seq("EUR/USD")).Val()
		if len(fields) != 4+16 || fields["s:s1"] != "" || fields["s:s0"] == "" || fields["s:new"] == "" {
			t.Errorf("fields = %v, want 16 sources without s1", fields)
		}
	})
}

func TestScriptEpochs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx, q := t.Context(), eurusd("1", "2")
		step := func(what, wantEpoch string, wantSeq uint64, change func(*accept.AcceptArgs)) {
			t.Helper()
			a := args()
			a.Candidate = "bbbb2222"
			change(&a)
			if o := mustAccept(t, c, q, a); o.Epoch != wantEpoch || o.Seq != wantSeq {
				t.Errorf("%s: %+v, want number %d of %s", what, o, wantSeq, wantEpoch)
			}
		}
		step("first", "aaaa", 1, func(a *accept.AcceptArgs) { a.Candidate = "aaaa" })
		step("second", "aaaa", 2, func(a *accept.AcceptArgs) {})
		step("caller knows less", "aaaa", 3, func(a *accept.AcceptArgs) { a.KnownEpoch, a.KnownSeq = "aaaa", 1 })
		step("caller knows another epoch", "aaaa", 4, func(a *accept.AcceptArgs) { a.KnownEpoch, a.KnownSeq = "zzzz", 99 })
		step("counter went back", "cccc", 1, func(a *accept.AcceptArgs) { a.KnownEpoch, a.KnownSeq, a.Candidate = "aaaa", 5, "cccc" })
		step("another server", "dddd", 1, func(a *accept.AcceptArgs) { a.Run, a.Candidate = "run2", "dddd" })
		c.Del(ctx, keys.Seq("EUR/USD"))
		step("counter lost", "eeee", 1, func(a *accept.AcceptArgs) { a.Candidate = "eeee" })
		c.HSet(ctx, keys.Seq("EUR/USD"), "seq", "nonsense")
		step("counter damaged", "ffff", 1, func(a *accept.AcceptArgs) { a.Candidate = "ffff" })
		c.HSet(ctx, keys.Seq("EUR/USD"), "seq", "9007199254740990")
		step("counter at its end", "ffff", 9007199254740991, func(a *accept.AcceptArgs) {})
		if v := c.Get(ctx, keys.Quote("EUR/USD")).Val(); !strings.Contains(v, `"seq":9007199254740991,`) {
			t.Errorf("a large number is printed wrongly: %s", v)
		}
		step("counter over its end", "gggg", 1, func(a *accept.AcceptArgs) { a.Candidate = "gggg" })
	})
}

func TestScriptRefusesWrongType(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		all := []string{keys.Quote("EUR/USD"), keys.Seq("EUR/USD"), keys.Ticks("EUR/USD")}
		for _, key := range all {
			c.Del(ctx, all...)
			c.SAdd(ctx, key, "x")
			_, err := accept.Accept(ctx, c, eurusd("1", "2"), args())
			if err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("with a set at %s: %v, want an error naming it", key, err)
			}
			if n := c.Exists(ctx, all...).Val(); n != 1 {
				t.Errorf("with a set at %s: %d keys afterwards, want 1", key, n)
			}
		}
	})
}

func TestScriptRefusesBadArguments(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		ctx := t.Context()
		header := []string{"EUR/USD", "0", "-", "0", "1"}
		record := []string{"1.1", "1.2", "-", "0-0-0T0:0:0.0Z", "0", "inbox", "23", "1"}
		const noGate = "0 0 0 0 604800000000"
		symbol, quote := strings.Join(header, " "), strings.Join(record, " ")
		lines := func(all ...string) string { return strings.Join(all, "\n") + "\n" }
		good := []any{60000, 1000, "aaaa", "run", "main 5000", "PUBLISH", noGate, "", "", lines(symbol, quote)}
		names := []string{keys.Quote("EUR/USD"), keys.Seq("EUR/USD"), keys.Ticks("EUR/USD")}
		bad := map[int][]any{
			0: {"", 0, -1, "nan", "inf", "0x10", "1e3"}, 1: {"", 0, -1, "1.5", "0x10"}, 2: {"", `a"`}, 3: {"", strings.Repeat("r", 65)},
			4: {"main", "main x", strings.Repeat("a 1 ", 17)},
			5: {"", "publish", "DEL"},
			6: {"", "1 2 3", "2% 0 0 0 1", noGate + " 1", "-1 0 0 0 1"},
			9: {
				"", "\n", symbol, symbol + "\n", symbol + "\n" + quote, lines(symbol, quote) + "\n", lines(symbol, quote, quote), lines(quote, symbol),
				lines("EUR/USD", quote), lines(symbol+" 1", quote), lines(" "+symbol, quote),
				lines(symbol, ""), lines(symbol, "1.1 1.2"), lines(symbol, quote+" 1"), lines(symbol, " "+quote), lines("", symbol, quote),
			},
		}
		replace := func(fields []string, by map[int][]string) {
			for i, values := range by {
				for _, v := range values {
					one := slices.Clone(fields)
					one[i] = v
					if text := strings.Join(one, " "); len(fields) == len(header) {
						bad[9] = append(bad[9], lines(text, quote))
					} else {
						bad[9] = append(bad[9], lines(symbol, text))
					}
				}
			}
		}
		replace(header, map[int][]string{
			0: {"", "EURUSD", `EU"/USD`, "EUR/USD/X", strings.Repeat("A", 21) + "/B"}, 1: {"", "2%", "-1", "1.5"}, 2: {"", `a"`, strings.Repeat("a", 33)},
			3: {"", "x", "-1", "nan", "99999999999999999"}, 4: {"", "0", "2", "-1", "x", "1.5"},
		})
		replace(record, map[int][]string{
			0: {"", "1.", ".1", "-1", "1e5", `1"`, "1.2.3", strings.Repeat("1", 65)}, 1: {"x", "1,2", "-", "1."},
			2: {"", "x", "1.", "-1", "--", `,"a":"1`, `","a":"`, `","a":1`, `","A":"1`, `","a":"1","b":"-`, `","a":"` + strings.Repeat("1", 512)},
			3: {"", "2026-11-22T10:15:00Z", "2026-11-22T10:15:00.123456+00:00"}, 4: {"", "x", "-1", "1.5", "1e300", strings.Repeat("9", 300)},
			5: {"", "A", `a"b`, strings.Repeat("a", 33)}, 6: {"", "--1", "1.5", "x", strings.Repeat("1", 80)}, 7: {"", "x", "100", "-1"},
		})
		// refused reports whether the arguments of the last symbol, or all, were refused.
		refused := func(keys []string, list []any) bool {
			replies, err := accept.PublishScript(ctx, c, keys, list...)
			if err != nil {
				return strings.Contains(err.Error(), "FXARGS")
			}
			text, _ := replies[len(replies)-1].(string)
			return strings.HasPrefix(text, "FXARGS")
		}
		for i, values := range bad {
			for _, v := range values {
				list := append([]any(nil), good...)
				list[i] = v
				if !refused(names, list) {
					t.Errorf("argument %d = %q was taken", i+1, v)
				}
			}
		}
		for n := range len(good) {
			if !refused(names, good[:n]) {
				t.Errorf("%d arguments were taken", n)
			}
		}
		if n := c.Exists(ctx, names...).Val(); n != 0 {
			t.Errorf("refused calls left %d keys", n)
		}
		if replies, err := accept.PublishScript(ctx, c, names, good...); err != nil || len(replies) != 1 || refused(names, good) {
			t.Errorf("good arguments: %v, %v", replies, err)
		}

		// A fault of the second of three symbols does not concern the others, unless the end of its
		// arguments is unknown. A symbol may be named twice.
		other := []string{keys.Quote("GBP/USD"), keys.Seq("GBP/USD"), keys.Ticks("GBP/USD")}
		for _, tc := range []struct {
			name   string
			second string
			taken  string // of the three
		}{
			{"good", lines("GBP/USD 0 - 0 2", quote, quote), "yyy"},
			{"bad quote", lines("GBP/USD 0 - 0 3", quote, "1.1 x - 0-0-0T0:0:0.0Z 0 inbox 23 1", quote), "yny"},
			{"bad number", lines("GBP/USD 0 - 99999999999999999 1", quote), "yny"},
			{"no quotes", lines("GBP/USD 0 - 0 0"), "yny"},
			{"not to be read", lines("GBP/USD 0 - x 1", quote), "ynn"},
			{"too few quotes", lines("GBP/USD 0 - 0 2", quote), "ynn"},
			{"far too few quotes", lines("GBP/USD 0 - 0 9", quote), "ynn"},
			{"too many quotes", lines("GBP/USD 0 - 0 1", quote, quote), "yyn"},
		} {
			c.Del(ctx, other...)
			list := append(slices.Clone(good[:9]), lines(symbol, quote)+tc.second+lines(symbol, quote))
			replies, err := accept.PublishScript(ctx, c, slices.Concat(names, other, names), list...)
			got := ""
			for _, reply := range replies {
				if text, ok := reply.(string); ok && strings.HasPrefix(text, "FXARGS") {
					got += "n"
				} else {
					got += "y"
				}
			}
			if err != nil || got != tc.taken {
				t.Errorf("%s in the middle: %s, %v, want %s", tc.name, got, err, tc.taken)
			}
			if n := c.Exists(ctx, other...).Val(); n != 0 && tc.taken[1] == 'n' {
				t.Errorf("%s: the refused symbol left %d keys", tc.name, n)
			}
		}
		seq := c.HGet(ctx, keys.Seq("EUR/USD"), "seq").Val()
		if n := c.XLen(ctx, keys.Ticks("EUR/USD")).Val(); seq != fmt.Sprint(n) {
			t.Errorf("number %s after %d quotes", seq, n)
		}
	})
}

func TestScriptOutOfMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory-policy", "noeviction")
	c, ctx := s.Client(), t.Context()
	first := mustAccept(t, c, eurusd("1", "2"), args())
	if err := c.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	before := c.Get(ctx, keys.Quote("EUR/USD")).Val()
	for _, symbol := range []feed.Symbol{"EUR/USD", "GBP/USD"} {
		_, err := accept.Accept(ctx, c, feed.Quote{Symbol: symbol, Bid: "1", Ask: "2"}, args())
		if err == nil || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("%s on a full server: %v, want OOM", symbol, err)
		}
	}
	if v := c.Get(ctx, keys.Quote("EUR/USD")).Val(); v != before {
		t.Errorf("a refused quote changed the last value to %s", v)
	}
	if n := c.XLen(ctx, keys.Ticks("EUR/USD")).Val(); n != 1 {
		t.Errorf("a refused quote changed the history to %d", n)
	}
	if n := c.Exists(ctx, keys.Quote("GBP/USD"), keys.Seq("GBP/USD"), keys.Ticks("GBP/USD")).Val(); n != 0 {
		t.Errorf("a refused quote left %d keys", n)
	}
	c.ConfigSet(ctx, "maxmemory", "0")
	if o := mustAccept(t, c, eurusd("1", "2"), args()); o.Seq != first.Seq+1 || o.Epoch != first.Epoch {
		t.Errorf("with memory again: %+v, want the number after %+v", o, first)
	}
}

func TestScriptNeedsAllRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, ctx := s.Client(), context.Background()
	if _, err := accept.Accept(ctx, admin, eurusd("1", "2"), args()); err != nil { // loads the script
		t.Fatal(err)
	}
	admin.Del(ctx, keys.Quote("EUR/USD"), keys.Seq("EUR/USD"), keys.Ticks("EUR/USD"))
	for _, rights := range []string{"-publish", "-set", "-xadd", "-pexpire", "-hset", "-hdel", "resetchannels"} {
		if err := admin.Do(ctx, "ACL", "SETUSER", "u", "reset", "on", ">pw", "+@all", "~*", "&*").Err(); err != nil {
			t.Fatal(err)
		}
		admin.Do(ctx, "ACL", "SETUSER", "u", rights)
		c := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "u", Password: "pw", DisableIdentity: true})
		_, err := accept.Accept(ctx, c, eurusd("1", "2"), args())
		if err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("user with %s: %v, want NOPERM", rights, err)
		}
		c.Close()
		if n := admin.Exists(ctx, keys.Quote("EUR/USD"), keys.Seq("EUR/USD"), keys.Ticks("EUR/USD")).Val(); n != 0 {
			t.Errorf("user with %s: %d keys written", rights, n)
		}
	}
}

// TestScriptNeedsRightsOfTheMoment takes rights away between two quotes. The second is refused
// whole if it needs the right that is missing, and accepted if it does not.
func TestScriptNeedsRightsOfTheMoment(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin, ctx := s.Client(), t.Context()
	if err := admin.Do(ctx, "ACL", "SETUSER", "u", "on", ">pw", "+@all", "~*", "&*").Err(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "u", Password: "pw", DisableIdentity: true})
	defer c.Close()
	a := gated()
	state := func(k feed.Keys) string {
		return stateOf(admin, k, "EUR/USD") + fmt.Sprint(admin.HGetAll(ctx, k.Seq("EUR/USD")).Val())
	}
	for i, tc := range []struct {
		right        string
		afterOutlier bool // whose count the next quote ends
		refused      bool
	}{
		{"publish", false, true}, {"set", false, true}, {"xadd", false, true}, {"hset", false, true}, {"strlen", false, true}, {"hmget", false, true},
		{"hdel", false, false}, {"pexpire", false, false}, {"hdel", true, true}, {"publish", true, true},
	} {
		a.Keys = feed.Keys{Prefix: fmt.Sprintf("m%d:", i)}
		mustAccept(t, c, at("EUR/USD", "1.1", "a"), a)
		if tc.afterOutlier {
			if o := mustAccept(t, c, at("EUR/USD", "2", "a"), a); verdict(o) != "outlier" {
				t.Fatalf("%s, want outlier", verdict(o))
			}
		}
		before := state(a.Keys)
		admin.Do(ctx, "ACL", "SETUSER", "u", "-"+tc.right)
		_, err := accept.Accept(ctx, c, at("EUR/USD", "1.1", "a"), a)
		if refused := err != nil; refused != tc.refused || refused && state(a.Keys) != before {
			t.Errorf("without %s, after an outlier %v: %v, want refused %v without a trace", tc.right, tc.afterOutlier, err, tc.refused)
		}
		admin.Do(ctx, "ACL", "SETUSER", "u", "+"+tc.right)
	}
}

// TestScriptDate compares the dates that the script computes with Go's over many years, by a
// script that contains only that part.
func TestScriptDate(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	source := accept.PublishSource
	begin, end := strings.Index(source, "  local seconds ="), strings.Index(source, "  return text\nend\nlocal today")
	if begin < 0 || end < begin {
		t.Fatal("the date part of the script was not found")
	}
	script := "local clock, format = {ARGV[1], ARGV[2]}, string.format\n" + source[begin:end] + "\nreturn text"
	for at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2200; at = at.Add(37*24*time.Hour + 7919*time.Second + 7*time.Microsecond) {
		got, err := c.Eval(t.Context(), script, nil, at.Unix(), at.Nanosecond()/1000).Text()
		if want := at.Format("2006-01-02T15:04:05.000000Z"); err != nil || got != want {
			t.Fatalf("date = %q, %v, want %q", got, err, want)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		for _, prefix := range []string{"fx:", "", "a*b?[c]\\:"} {
			k := feed.Keys{Prefix: prefix}
			ps := c.PSubscribe(t.Context(), k.ChannelPattern())
			defer ps.Close()
			if _, err := ps.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, other := range []string{"aXbYc\\:{EUR/USD}", k.Quote("EUR/USD"), k.Symbols()} {
				c.Publish(t.Context(), other, "other")
			}
			c.Publish(t.Context(), k.Channel("EUR/USD"), "own")
			m, err := ps.ReceiveMessage(t.Context())
			if err != nil || m.Payload != "own" {
				t.Errorf("prefix %q: received %v, %v, want its own message only", prefix, m, err)
			}
		}
	})
	for prefix, ok := range map[string]bool{"fx:": true, "": true, "a{b": false, "a b": false, "ä": false, strings.Repeat("x", 65): false} {
		if err := (feed.Keys{Prefix: prefix}).Check(); (err == nil) != ok {
			t.Errorf("Check of prefix %q = %v", prefix, err)
		}
	}
	now := time.Now()
	if e := feed.NewEpoch(now); !regexp.MustCompile(`^0[0-9a-z]{8}[a-z2-7]{4}$`).MatchString(e) || feed.EpochBegan(e) != now.UnixMilli() {
		t.Errorf("epoch %q began at %d, want %d", e, feed.EpochBegan(e), now.UnixMilli())
	}
	for _, e := range []string{"", "abcdefgh", "222222222abcd", "0mfx1k2j3abc", "0mfx1k2j3ABCD", "0mfx1k2j_abcd"} {
		if ms := feed.EpochBegan(e); ms != 0 && e != "0mfx1k2j3ABCD" {
			t.Errorf("epoch %q began at %d, want 0: its time is not known", e, ms)
		}
	}
}
