package feed_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
)

func TestCheckPrices(t *testing.T) {
	for _, c := range []struct {
		bid, ask string
		want     feed.Reason // "" = accepted
	}{
		{"1.08450", "1.08460", ""},
		{"1.0845", "1.08450", ""}, // equal
		{"1.08450", "1.0845", ""},
		{"0.00004980", "0.00004981", ""},
		{"99", "100", ""},
		{"9.9", "10", ""},
		{"1234567890123456789", "1234567890123456789.", feed.ReasonNotANumber},
		{"1234567890123456789", "1234567890123456789", ""},
		{"0.000000000000000000000000000001", "0.000000000000000000000000000002", ""},                       // 32 characters
		{"12345678901234567890123456789012345", "12345678901234567890123456789012345", feed.ReasonTooLong}, // 35 digits
		{"1234567890.123456789012345678901234", "1234567890.123456789012345678901234", ""},                 // the point is no digit
		{"0.1234567890123456789012345678901234", "0.1234567890123456789012345678901234", ""},
		{"1234567890.1234567890123456789012345", "9", feed.ReasonTooLong},
		{"1.0000000000000000000000000000000000000000", "2", ""}, // trailing zeros are not significant
		{"10000000000000000000000000000000000000000", "20000000000000000000000000000000000000000", ""},
		{"1." + strings.Repeat("0", 62), "2", ""}, // 64 characters
		{"1." + strings.Repeat("0", 63), "2", feed.ReasonTooLong},
		{"0." + strings.Repeat("0", 62) + "1", "1", feed.ReasonTooLong},
		{"1.08460", "1.08450", feed.ReasonCrossed},
		{"100", "99.99999", feed.ReasonCrossed},
		{"0.1000000000000000001", "0.1", feed.ReasonCrossed},
		{"", "1", feed.ReasonMissingPrice},
		{"1", "", feed.ReasonMissingPrice},
		{"0", "1", feed.ReasonZero},
		{"0.000", "1", feed.ReasonZero},
		{"0.0000000000000000000000000000000000000", "1", feed.ReasonZero},
		{"-0.0", "1", feed.ReasonZero},
		{"-1.2", "1", feed.ReasonNegative},
		{"-1e400", "1", feed.ReasonNegative},
		{"+1.2", "1", feed.ReasonNotANumber},
		{"1e2", "200", feed.ReasonNotANumber}, // a Quote holds plain text; ParseInput converts
		{"01.2", "2", feed.ReasonNotANumber},
		{"00.2", "2", feed.ReasonNotANumber},
		{".5", "2", feed.ReasonNotANumber},
		{"5.", "6", feed.ReasonNotANumber},
		{"1.2.3", "2", feed.ReasonNotANumber},
		{"1,2", "2", feed.ReasonNotANumber},
		{" 1", "2", feed.ReasonNotANumber},
		{"1 ", "2", feed.ReasonNotANumber},
		{"NaN", "2", feed.ReasonNotANumber},
		{"Infinity", "2", feed.ReasonNotANumber},
		{"0x10", "2", feed.ReasonNotANumber},
		{"1_000", "2", feed.ReasonNotANumber},
		{"١", "2", feed.ReasonNotANumber}, // a digit, but not one of ours
		{".", "2", feed.ReasonNotANumber},
		{"-", "2", feed.ReasonNotANumber},
		{"e5", "2", feed.ReasonNotANumber},
		{strings.Repeat("9", 1<<20), "2", feed.ReasonTooLong},
		{strings.Repeat("x\x00", 1<<20), "2", feed.ReasonNotANumber},
	} {
		err := bare.Check(feed.Quote{Symbol: "EUR/USD", Bid: c.bid, Ask: c.ask})
		if c.want == "" {
			if err != nil {
				t.Errorf("bid %s ask %s: %v", c.bid, c.ask, err)
			}
			continue
		}
		if got := checkRejection(t, err); got != c.want {
			t.Errorf("bid %.40q ask %.40q: %s, want %s", c.bid, c.ask, got, c.want)
		}
	}
}

func TestCheckRest(t *testing.T) {
	good := feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1"}
	for _, c := range []struct {
		change func(q *feed.Quote)
		want   feed.Reason
	}{
		{func(q *feed.Quote) { q.Symbol = "" }, feed.ReasonMissingSymbol},
		{func(q *feed.Quote) { q.Symbol = "EURUSD" }, feed.ReasonUnknownSymbol},
		{func(q *feed.Quote) { q.Symbol = "EUR/FOO" }, feed.ReasonUnknownSymbol},
		{func(q *feed.Quote) { q.Source = "Inbox" }, feed.ReasonBadSource},
		{func(q *feed.Quote) { q.Source = "a\nb" }, feed.ReasonBadSource},
		{func(q *feed.Quote) { q.Source = strings.Repeat("a", 33) }, feed.ReasonBadSource},
		{func(q *feed.Quote) { q.Time = time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC) }, feed.ReasonBadTime},
		{func(q *feed.Quote) { q.Time = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }, feed.ReasonBadTime},
		{func(q *feed.Quote) { q.Source = "desk-7_a.b" }, ""},
		{func(q *feed.Quote) { q.Time = time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC) }, ""},
	} {
		q := good
		c.change(&q)
		if err := bare.Check(q); c.want == "" && err != nil || c.want != "" && checkRejection(t, err) != c.want {
			t.Errorf("%+v: %v, want %q", q, err, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := bare.Check(good); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Check of a good quote: %v allocations", n)
	}
}

// plainPrice draws plain decimal text within the bounds, mostly short, so that pairs are often
// close.
func plainPrice() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		whole := rapid.StringMatching(`0|[1-9][0-9]{0,8}`).Draw(t, "whole")
		fraction := rapid.StringMatching(`(\.[0-9]{1,10})?`).Draw(t, "fraction")
		return whole + fraction
	}).Filter(func(s string) bool { return strings.Trim(s, "0.") != "" })
}

func rat(t interface{ Fatalf(string, ...any) }, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("big.Rat cannot read %q", s)
	}
	return r
}

func TestCrossedIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bid := plainPrice().Draw(t, "bid")
		ask := rapid.OneOf(plainPrice(), rapid.Map(rapid.IntRange(0, 2), func(n int) string {
			if !strings.Contains(bid, ".") {
				return bid
			}
			return bid + strings.Repeat("0", n)
		})).Draw(t, "ask")
		err := bare.Check(feed.Quote{Symbol: "EUR/USD", Bid: bid, Ask: ask})
		crossed := false
		if r, ok := errors.AsType[*feed.Rejection](err); ok {
			if r.Reason == feed.ReasonTooLong {
				return
			}
			crossed = r.Reason == feed.ReasonCrossed
		}
		if want := rat(t, ask).Cmp(rat(t, bid)) < 0; crossed != want {
			t.Fatalf("bid %s ask %s: %v, crossed should be %v", bid, ask, err, want)
		}
	})
}

// A number with an exponent must become text of exactly the same value, within the bounds of all
// prices.
func TestExponentsAreExact(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`(0|[1-9][0-9]{0,6})(\.[0-9]{1,12})?[eE][+-]?[0-9]{1,2}`).Draw(t, "number")
		form := rapid.SampledFrom([]string{`{"symbol":"EURUSD","price":%}`, `{"symbol":"EURUSD","price":"%"}`}).Draw(t, "form")
		q, err := feed.ParseInput([]byte(strings.Replace(form, "%", number, 1)), feed.InputOptions{})
		if err != nil {
			r, _ := errors.AsType[*feed.Rejection](err)
			switch value := rat(t, number); {
			case r.Reason == feed.ReasonZero && value.Sign() == 0:
			case r.Reason == feed.ReasonTooLong && value.Sign() != 0:
			default:
				t.Fatalf("%s: %v", number, err)
			}
			return
		}
		accepted++
		if strings.ContainsAny(q.Bid, "eE+-") || rat(t, q.Bid).Cmp(rat(t, number)) != 0 {
			t.Fatalf("%s became %s", number, q.Bid)
		}
	})
	if accepted == 0 {
		t.Error("no number was accepted")
	}
}
