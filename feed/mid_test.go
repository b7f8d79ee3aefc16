package feed_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
)

func TestMid(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ bid, ask, twice, mid string }{
		{"1.08450", "1.0846", "216910", "1.08455"},
		{"1", "1", "2", "1"},
		{"0.5", "0.6", "11", "0.55"},
		{"155.123", "155.124", "310247", "155.1235"},
		{"0.006446500389369", "0.0064465", "12893000389369", "0.0064465001946845"},
		{"1000000000000000000000000000000000", "1", "1000000000000000000000000000000001", "500000000000000000000000000000000.5"},
	} {
		m := feed.MidOf(tc.bid, tc.ask)
		if m.Twice != tc.twice || m.String() != tc.mid {
			t.Errorf("MidOf(%s, %s) = %+v, %s, want %s, %s", tc.bid, tc.ask, m, m, tc.twice, tc.mid)
		}
	}
	for _, tc := range []struct{ price, ref, want string }{
		{"16.201", "1.62010", "900 %"}, {"1.02", "1", "2 %"}, {"1.02001", "1", "2 %"}, {"1.0205", "1", "2.05 %"},
		{"0.5", "1", "50 %"}, {"1.025", "1", "2.5 %"}, {"1", "1", "0 %"},
	} {
		if got := feed.MidOf(tc.price, tc.price).Distance(feed.MidOf(tc.ref, tc.ref)); got != tc.want {
			t.Errorf("%s is %s from %s, want %s", tc.price, got, tc.ref, tc.want)
		}
	}
}

// TestMidExactly compares both implementations with rational numbers.
func TestMidExactly(t *testing.T) {
	t.Parallel()
	price := rapid.Custom(func(rt *rapid.T) string {
		p := rapid.StringMatching(`(0|[1-9][0-9]{0,16})(\.[0-9]{1,17})?`).Draw(rt, "price")
		if strings.Trim(p, "0.") == "" {
			return "1"
		}
		return p
	})
	rapid.Check(t, func(rt *rapid.T) {
		bid, ask := price.Draw(rt, "bid"), price.Draw(rt, "ask")
		b, _ := new(big.Rat).SetString(bid)
		a, _ := new(big.Rat).SetString(ask)
		if b.Cmp(a) > 0 {
			bid, ask, b, a = ask, bid, a, b
		}
		mid := new(big.Rat).Add(b, a)
		mid.Quo(mid, big.NewRat(2, 1))
		if got, ok := new(big.Rat).SetString(feed.MidOf(bid, ask).String()); !ok || got.Cmp(mid) != 0 {
			rt.Fatalf("MidOf(%s, %s) = %s, want %s", bid, ask, feed.MidOf(bid, ask), mid.FloatString(20))
		}
		limit := feed.Limit(rapid.IntRange(1, 1_000_000).Draw(rt, "limit"))
		want := new(big.Rat).Sub(a, b).Cmp(new(big.Rat).Mul(mid, big.NewRat(int64(limit), 1_000_000))) > 0
		if feed.Wide(bid, ask, limit) != want {
			rt.Fatalf("Wide(%s, %s, %d) = %v", bid, ask, limit, !want)
		}
	})
}
