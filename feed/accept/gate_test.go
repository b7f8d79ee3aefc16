package accept_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// gated returns arguments with the default gate.
func gated() accept.AcceptArgs {
	a := args()
	a.Gate = accept.DefaultGate
	return a
}

func at(symbol feed.Symbol, price, source string) feed.Quote {
	return feed.Quote{Symbol: symbol, Bid: price, Ask: price, Source: source}
}

// verdict returns the number of an accepted quote, with a + if it confirmed a gap, or the reason of
// a rejection.
func verdict(o accept.Outcome) string {
	switch {
	case o.Rejection != nil:
		return string(o.Rejection.Reason)
	case o.Gap:
		return fmt.Sprintf("%d+", o.Seq)
	}
	return fmt.Sprint(o.Seq)
}

// TestGate publishes prices one after another and compares the verdict on each.
func TestGate(t *testing.T) {
	t.Parallel()
	type step struct{ source, price, want string }
	for _, tc := range []struct {
		name   string
		symbol feed.Symbol
		gate   func(*accept.Gate)
		steps  []step
	}{
		{"the limit itself is taken, of the last accepted quote", "EUR/USD", nil, []step{
			{"a", "1.00000", "1"}, {"a", "1.02000", "2"}, {"a", "1.04041", "outlier"}, {"a", "1.0404", "3"}, {"a", "1.019592", "4"},
		}},
		{"other symbols have a wider one", "USD/TRY", nil, []step{
			{"a", "40.0", "1"}, {"a", "44.0", "2"}, {"a", "48.41", "outlier"}, {"a", "48.4", "3"},
		}},
		{"a spike is refused and leaves nothing", "EUR/USD", nil, []step{
			{"a", "1.08", "1"}, {"a", "10.8", "outlier"}, {"a", "1.0801", "2"}, {"a", "0.108", "outlier"}, {"a", "10.8", "outlier"}, {"a", "1.0802", "3"},
		}},
		{"a step of 15 % is shown within three quotes", "EUR/CHF", nil, []step{
			{"a", "1.20100", "1"}, {"a", "1.20101", "2"}, {"a", "1.02", "outlier"}, {"a", "1.021", "outlier"}, {"a", "1.0205", "3+"}, {"a", "1.02051", "4"},
		}},
		{"outliers must agree with one another", "EUR/USD", nil, []step{
			{"a", "1", "1"}, {"a", "1.1", "outlier"}, {"a", "1.2", "outlier"}, {"a", "1.3", "outlier"}, {"a", "1.31", "outlier"}, {"a", "1.32", "2+"},
		}},
		{"an accepted quote begins the count anew", "EUR/USD", nil, []step{
			{"a", "1", "1"}, {"a", "1.1", "outlier"}, {"a", "1.1", "outlier"}, {"a", "1", "2"}, {"a", "1.1", "outlier"}, {"a", "1.1", "outlier"}, {"a", "1.1", "3+"},
		}},
		{"a source cannot overrule another that is there", "EUR/USD", nil, []step{
			{"a", "1", "1"}, {"b", "1.1", "outlier"}, {"b", "1.1", "outlier"}, {"b", "1.1", "outlier"}, {"b", "1.1", "outlier"}, {"a", "1.001", "2"},
		}},
		{"a second source confirms a gap at once", "EUR/USD", nil, []step{
			{"a", "1", "1"}, {"b", "1.0001", "2"}, {"a", "1.1", "outlier"}, {"b", "1.101", "3+"}, {"a", "1.1", "4"},
		}},
		{"but not beside a third that disagrees", "EUR/USD", nil, []step{
			{"c", "1", "1"}, {"a", "1.1", "outlier"}, {"b", "1.1", "outlier"}, {"a", "1.1", "outlier"}, {"a", "1.1", "outlier"}, {"c", "1.001", "2"},
		}},
		{"a second source that disagrees confirms nothing", "EUR/USD", nil, []step{
			{"a", "1", "1"}, {"b", "1", "2"}, {"a", "1.1", "outlier"}, {"b", "0.9", "outlier"}, {"a", "1.1", "outlier"}, {"b", "1.1", "3+"},
		}},
		{"a first price that is wrong is left", "EUR/USD", nil, []step{
			{"a", "10.8", "1"}, {"a", "1.08", "outlier"}, {"a", "1.0801", "outlier"}, {"a", "1.0802", "2+"}, {"a", "1.08", "3"},
		}},
		{"nothing confirms itself far from a firm reference", "EUR/USD", nil, []step{
			{"a", "1.08", "1"}, {"a", "1.08", "2"}, {"a", "1.08", "3"},
			{"a", "10.8", "outlier"}, {"a", "10.8", "outlier"}, {"a", "10.8", "outlier"}, {"b", "10.8", "outlier"}, {"a", "10.8", "outlier"},
			{"a", "1.62", "outlier"}, {"a", "1.62", "outlier"}, {"a", "1.62", "4+"},
		}},
		{"unless that is off", "EUR/USD", func(g *accept.Gate) { g.MaxGap = 0 }, []step{
			{"a", "1.08", "1"}, {"a", "1.08", "2"}, {"a", "1.08", "3"}, {"a", "10.8", "outlier"}, {"a", "10.8", "outlier"}, {"a", "10.8", "4+"},
		}},
		{"one outlier is enough where the setting says so", "EUR/USD", func(g *accept.Gate) { g.Confirm = 1 }, []step{
			{"a", "1", "1"}, {"a", "1.1", "2+"}, {"b", "1.3", "outlier"},
		}},
		{"when others are silent a source goes on alone", "EUR/USD", func(g *accept.Gate) { g.StaleAfter = 0 }, []step{
			{"a", "1", "1"}, {"b", "1", "2"}, {"a", "1.1", "outlier"}, {"a", "1.1", "outlier"}, {"a", "1.1", "3+"},
		}},
		{"prices of many digits", "EUR/USD", nil, []step{
			{"a", "1.084500000000000000000000000000001", "1"}, {"a", "1.0845", "2"}, {"a", "1.2", "outlier"}, {"a", "1.0846000000000000000000", "3"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, c *redis.Client) {
				a := gated()
				if tc.gate != nil {
					tc.gate(&a.Gate)
				}
				var together []feed.Quote
				for i, s := range tc.steps {
					o := mustAccept(t, c, at(tc.symbol, s.price, s.source), a)
					if got := verdict(o); got != s.want {
						t.Errorf("step %d, %s from %s: %s, want %s (%v)", i, s.price, s.source, got, s.want, o.Rejection)
					}
					together = append(together, at(tc.symbol, s.price, s.source))
				}
				if a.Gate.StaleAfter == 0 {
					return // within one call the quotes of all sources come at the same time
				}
				a.Keys = feed.Keys{Prefix: "batch:"}
				outcomes, err := accept.AcceptAll(t.Context(), c, together, a)
				if err != nil {
					t.Fatal(err)
				}
				for i, o := range outcomes {
					if got := verdict(o); got != tc.steps[i].want {
						t.Errorf("step %d of a batch: %s, want %s", i, got, tc.steps[i].want)
					}
				}
			})
		})
	}
}

// TestGateMessages checks the messages of rejections.
func TestGateMessages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a := gated()
		why := func(q feed.Quote, want string) {
			t.Helper()
			o := mustAccept(t, c, q, a)
			if o.Rejection == nil || o.Rejection.Error() != want {
				t.Errorf("%v\nwant %s", o.Rejection, want)
			}
		}
		for range 3 {
			mustAccept(t, c, at("EUR/USD", "1.62012", "a"), a)
		}
		why(feed.Quote{Symbol: "EUR/USD", Bid: "1.6", Ask: "1.64", Source: "a"}, "wide: the spread from 1.6 to 1.64 is 2.46 % of the mid; limit 2 %")
		why(at("EUR/USD", "16.201", "a"), "outlier: mid 16.201 is 899 % from 1.62012; limit 2 %; "+
			"so far from a firm reference (limit 50 %) no quote is accepted before POST /api/v1/feed/reference forgets it")
		why(at("EUR/USD", "1.7", "a"), "outlier: mid 1.7 is 4.93 % from 1.62012; limit 2 %; 2 more agreeing quotes of this source confirm it")
		why(at("EUR/USD", "1.8", "b"), "outlier: mid 1.8 is 11 % from 1.62012; limit 2 %; an agreeing quote of another source confirms it")
		mustAccept(t, c, at("EUR/USD", "1.62012", "c"), a)
		why(at("EUR/USD", "1.7", "b"), "outlier: mid 1.7 is 4.93 % from 1.62012; limit 2 %; it is accepted once the disagreeing sources have been silent for 10s")
	})
}

// TestGateTimes checks that quotes much older than the newest one are refused, whatever their source.
func TestGateTimes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a := gated()
		now := time.Now()
		timed := func(source string, when time.Time) feed.Quote {
			q := at("EUR/USD", "1.1", source)
			q.Time = when
			return q
		}
		steps := func(list []feed.Quote, want ...string) {
			t.Helper()
			for i, q := range list {
				if o := mustAccept(t, c, q, a); verdict(o) != want[i] {
					t.Errorf("step %d: %s, want %s (%v)", i, verdict(o), want[i], o.Rejection)
				} else if o.Rejection != nil && !strings.Contains(o.Rejection.Message, "more than 5s before") {
					t.Errorf("step %d: %v", i, o.Rejection)
				}
			}
		}
		steps([]feed.Quote{
			timed("a", now.Add(4*time.Second)), // counts as now: a fast clock shuts nobody out
			timed("b", now.Add(-time.Second)),
			timed("c", now.Add(-24*time.Hour)),
			timed("d", time.Time{}),
			timed("c", now.Add(-2*time.Second)),
		}, "1", "2", "old", "3", "4")
		a.Gate.MaxLag = 0
		steps([]feed.Quote{timed("e", now.Add(-24*time.Hour))}, "5")
	})
}

// TestGateRemembers checks that the reference survives the last value and a restart, and that it is
// forgotten on request and when it is too old.
func TestGateRemembers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		a, ctx := gated(), t.Context()
		mustAccept(t, c, at("EUR/USD", "1.1", "a"), a)
		c.Del(ctx, keys.Quote("EUR/USD"), keys.Ticks("EUR/USD"))
		a.Run, a.Candidate = "another", "bbbb2222" // another process counts
		if o := mustAccept(t, c, at("EUR/USD", "11", "a"), a); verdict(o) != "outlier" {
			t.Errorf("after a restart: %s, want outlier", verdict(o))
		}
		for _, damaged := range []string{"", "nonsense", "1 2", "-5 0 1 1 1", "22 999999999 1 99999999999999999 1", strings.Repeat("9", 10_000) + " 0 1 99999999999999999 1"} {
			c.HSet(ctx, keys.Seq("EUR/USD"), "ref", damaged)
			if o := mustAccept(t, c, at("EUR/USD", "1.1", "a"), a); o.Rejection != nil {
				t.Errorf("with a reference %q: %v", damaged, o.Rejection)
			}
		}
		a.Gate.LastKnown = time.Microsecond
		eventually(t, "the reference is too old", func() bool {
			return mustAccept(t, c, at("EUR/USD", "11", "b"), a).Seq > 0
		})
		a.Gate.LastKnown = time.Hour
		c.HDel(ctx, keys.Seq("EUR/USD"), "ref")
		if o := mustAccept(t, c, at("EUR/USD", "500", "b"), a); o.Rejection != nil {
			t.Errorf("without a reference: %v", o.Rejection)
		}
	})
}
