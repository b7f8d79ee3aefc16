package feed_test

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed"
)

func TestSourceName(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "desk-7_a.b": "desk-7_a.b", "LMAX": "lmax", "LMAX Digital": "lmax_digital", "ny/4": "ny_4", "é": "_", "Ǆ\u0130": "__", "a\x00b": "a_b", "\xff\xfe": "__", " x ": "_x_",
		strings.Repeat("A", 40): strings.Repeat("a", 32), strings.Repeat("é", 40): strings.Repeat("_", 32), strings.Repeat("x", 31) + "éé": strings.Repeat("x", 31) + "_",
	} {
		got := feed.SourceName(in)
		if got != want {
			t.Errorf("SourceName(%q) = %q, want %q", in, got, want)
		}
		if again := feed.SourceName(got); again != got {
			t.Errorf("SourceName(%q) = %q", got, again)
		}
		if err := bare.Check(feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: got}); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}
