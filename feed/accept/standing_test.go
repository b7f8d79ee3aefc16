package accept_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// TestStandings compares what Redis has of a symbol with the quotes that were accepted and refused.
func TestStandings(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p := startPublisher(t, c, func(cfg *accept.PublisherConfig) { cfg.Gate = accept.DefaultGate })
		read := func() accept.Standing {
			t.Helper()
			all, err := p.Standings(t.Context(), []feed.Symbol{"GBP/USD", "EUR/USD"})
			if err != nil {
				t.Fatal(err)
			}
			if _, known := all["GBP/USD"]; known {
				t.Errorf("a symbol without quotes: %+v", all)
			}
			return all["EUR/USD"]
		}
		if s := read(); s.Reference != nil || len(s.Sources) != 0 || s.Seq != 0 {
			t.Errorf("before the first quote: %+v", s)
		}
		for _, q := range []feed.Quote{at("EUR/USD", "1.08", "lmax"), {Symbol: "EUR/USD", Bid: "1.0801", Ask: "1.0804", Source: "bank"},
			at("EUR/USD", "2.5", "lmax"), at("EUR/USD", "2.501", "lmax"), at("EUR/USD", "9", "desk")} {
			if _, err := p.Publish(t.Context(), []feed.Quote{q}); err != nil {
				t.Fatal(err)
			}
		}
		s := read()
		recent := func(at time.Time) bool { return !at.IsZero() && time.Since(at).Abs() < time.Minute }
		if s.Seq != 2 || s.Epoch == "" || s.Reference == nil || s.Reference.Mid != "1.08025" || s.Reference.Quotes != 2 || s.Reference.Firm || !recent(s.Reference.At) {
			t.Errorf("%+v, reference %+v", s, s.Reference)
		}
		names := slices.Collect(func(yield func(string) bool) {
			for _, one := range s.Sources {
				yield(one.Source)
			}
		})
		if !slices.Equal(names, []string{"bank", "desk", "lmax"}) {
			t.Fatalf("sources %q", names)
		}
		bank, desk, lmax := s.Sources[0], s.Sources[1], s.Sources[2]
		if !recent(bank.Accepted) || bank.Outliers != 0 || bank.OutlierMid != "" || !bank.OutlierAt.IsZero() || !bank.Heard.IsZero() {
			t.Errorf("%+v", bank)
		}
		if !desk.Accepted.IsZero() || desk.Outliers != 1 || desk.OutlierMid != "9" {
			t.Errorf("%+v", desk)
		}
		if !recent(lmax.Accepted) || lmax.Outliers != 2 || lmax.OutlierMid != "2.501" || !recent(lmax.OutlierAt) {
			t.Errorf("%+v", lmax)
		}
		publishOne(t, p, at("EUR/USD", "1.0803", "bank"))
		if s = read(); !s.Reference.Firm || s.Reference.Quotes != 3 {
			t.Errorf("after GATE_CONFIRM quotes: %+v", s.Reference)
		}
		if _, err := p.ForgetReference(t.Context(), "EUR/USD"); err != nil {
			t.Fatal(err)
		}
		if s = read(); s.Reference != nil || len(s.Sources) != 3 {
			t.Errorf("after the reference was forgotten: %+v", s)
		}
	})
}
