package feed_test

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed"
)

func TestParseLimit(t *testing.T) {
	for in, want := range map[string]feed.Limit{
		"0": 0, "0%": 0, "0bp": 0, "2%": 20_000, "0.5%": 5000, "200bp": 20_000, "20bp": 2000, "0.5bp": 50, "1000%": 10_000_000, "0.0001%": 1, "0.01bp": 1,
		"2.0000000%": 20_000, "00002%": 20_000, "0.00000%": 0,
	} {
		got, err := feed.ParseLimit(in)
		if got != want || err != nil {
			t.Errorf("ParseLimit(%q) = %d, %v; want %d", in, got, err, want)
		}
		if again, err := feed.ParseLimit(got.String()); again != got || err != nil {
			t.Errorf("%q as text is %s: %d, %v", in, got, again, err)
		}
	}
	for _, in := range []string{
		"", "2", "2 %", "%", "bp", "-1%", "+1%", "1e9%", "1000000000%", "1e9", "1001%", "0.00001%", "0.001bp", ".5%", "5.%", "1,5%", "NaN%", "Inf%", "2%%", "2%bp", "2BP", "0x1%",
		strings.Repeat("9", 10<<10) + "%", "2\x00%", "٢%",
	} {
		if got, err := feed.ParseLimit(in); err == nil || got != 0 {
			t.Errorf("ParseLimit(%.40q) = %d, %v", in, got, err)
		} else {
			checkText(t, err.Error())
		}
	}
}

func TestLimitPair(t *testing.T) {
	for in, want := range map[string]feed.LimitPair{
		"2%,10%": feed.DefaultLimits, " 200bp , 10% ": feed.DefaultLimits, "5%": {50_000, 50_000}, "0": {}, "0,1%": {0, 10_000},
	} {
		got, err := feed.ParseLimitPair(in)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", ",", "2%,", ",2%", "2%,3%,4%", "2,10"} {
		if got, err := feed.ParseLimitPair(in); err == nil || got != (feed.LimitPair{}) {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func FuzzParseLimit(f *testing.F) {
	f.Add("2%")
	f.Add("0.5bp")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := feed.ParseLimit(s)
		if again, err2 := feed.ParseLimit(l.String()); err == nil && (again != l || err2 != nil || l < 0) {
			t.Fatalf("%q is %d, as text %s: %d, %v", s, l, l, again, err2)
		}
	})
}
