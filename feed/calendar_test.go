package feed_test

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
)

func TestMarketOpen(t *testing.T) {
	for _, c := range []struct {
		at   string
		open bool
		why  string
	}{
		// Winter: New York is UTC-5, the bounds are 22:00 UTC.
		{"2026-11-20T21:59:59.999999Z", true, "Friday before the close"},
		{"2026-11-20T22:00:00Z", false, "Friday 17:00"},
		{"2026-11-21T12:00:00Z", false, "Saturday"},
		{"2026-11-22T21:59:59.999999Z", false, "Sunday before the open"},
		{"2026-11-22T22:00:00Z", true, "Sunday 17:00"},
		{"2026-11-25T03:00:00Z", true, "Wednesday"},
		// Summer: UTC-4, 21:00 UTC.
		{"2026-07-10T20:59:59Z", true, "Friday in July"},
		{"2026-07-10T21:00:00Z", false, "Friday 17:00 in July"},
		{"2026-07-12T20:59:59Z", false, "Sunday in July"},
		{"2026-07-12T21:00:00Z", true, "Sunday 17:00 in July"},
		// Clocks go forward on Sunday 8 March 2026: closed in winter time, opened in summer time.
		{"2026-03-06T21:30:00Z", true, "Friday before the change, 16:30 EST"},
		{"2026-03-06T22:00:00Z", false, "Friday before the change, 17:00 EST"},
		{"2026-03-08T20:59:59Z", false, "Sunday of the change, 16:59 EDT"},
		{"2026-03-08T21:00:00Z", true, "Sunday of the change, 17:00 EDT"},
		// And back on Sunday 1 November 2026.
		{"2026-10-30T21:00:00Z", false, "Friday before the change, 17:00 EDT"},
		{"2026-11-01T21:30:00Z", false, "Sunday of the change, 16:30 EST"},
		{"2026-11-01T22:00:00Z", true, "Sunday of the change, 17:00 EST"},
		// Europe is still in winter time here: London's bound is 21:00, not 22:00.
		{"2026-03-20T21:00:00Z", false, "between the American and the European change"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 9*3600)} {
			if got := feed.MarketOpen(at.In(zone)); got != c.open {
				t.Errorf("MarketOpen(%s, %s) = %v", c.at, c.why, got)
			}
		}
	}
}

// Over any week of the year the market is open for 120 hours, give or take the
// hour of a change of clocks, which always falls into the closed time.
func TestMarketOpenHours(t *testing.T) {
	for week := range 53 {
		start := time.Date(2026, 1, 7, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 7*week)
		open := 0
		for hour := range 7 * 24 {
			if feed.MarketOpen(start.Add(time.Duration(hour)*time.Hour + 30*time.Minute)) {
				open++
			}
		}
		if want := 120; open < want-1 || open > want+1 {
			t.Errorf("week from %s: open %d hours", start.Format(time.DateOnly), open)
		}
	}
}

func TestStatusAt(t *testing.T) {
	tuesday := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	saturday := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now      time.Time
		age      time.Duration
		hasValue bool
		want     feed.Status
	}{
		{tuesday, 0, true, feed.StatusLive},
		{tuesday, 10*time.Second - 1, true, feed.StatusLive},
		{tuesday, 10 * time.Second, true, feed.StatusStale},
		{tuesday, -time.Minute, true, feed.StatusLive},
		{tuesday, time.Hour, false, feed.StatusUnknown},
		{tuesday, 0, false, feed.StatusUnknown},
		{saturday, time.Second, true, feed.StatusLive}, // a feed that runs at the weekend is live
		{saturday, 10 * time.Second, true, feed.StatusClosed},
		{saturday, 10 * time.Second, false, feed.StatusUnknown},
	} {
		if got := feed.StatusAt(c.now.Add(-c.age), c.now, 10*time.Second, c.hasValue); got != c.want {
			t.Errorf("at %s, age %s, value %v: %s, want %s", c.now.Weekday(), c.age, c.hasValue, got, c.want)
		}
	}
	if got := feed.StatusAt(time.Time{}, tuesday, time.Second, true); got != feed.StatusStale {
		t.Errorf("never arrived: %s", got)
	}
}
