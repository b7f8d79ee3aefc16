package feed_test

import (
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// bare returns the table without settings.
var bare *feed.Instruments

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
			if got := bare.Hours("EUR/USD").Open(at.In(zone)); got != c.open {
				t.Errorf("Open(%s, %s) = %v", c.at, c.why, got)
			}
		}
	}
}

// In any week of the year the market is open for 120 hours, or an hour less or more if the clocks
// change, which always happens while it is closed.
func TestMarketOpenHours(t *testing.T) {
	for week := range 53 {
		start := time.Date(2026, 1, 7, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 7*week)
		open := 0
		for hour := range 7 * 24 {
			if bare.Hours("EUR/USD").Open(start.Add(time.Duration(hour)*time.Hour + 30*time.Minute)) {
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
		if got := bare.StatusAt("EUR/USD", c.now.Add(-c.age), c.now, 10*time.Second, c.hasValue); got != c.want {
			t.Errorf("at %s, age %s, value %v: %s, want %s", c.now.Weekday(), c.age, c.hasValue, got, c.want)
		}
	}
	if got := bare.StatusAt("EUR/USD", time.Time{}, tuesday, time.Second, true); got != feed.StatusStale {
		t.Errorf("never arrived: %s", got)
	}
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestHolidays(t *testing.T) {
	dates, err := feed.ParseDates([]string{"2027-01-01", " 2026-12-25 ", "", "2026-12-25", "2026-07-03"})
	if err != nil || len(dates) != 3 || dates[0].String() != "2026-07-03" {
		t.Fatalf("%v, %v", dates, err)
	}
	table := newTable(feed.InstrumentsConfig{Listing: `{"BTC/USD":{"hours":"always"},"EUR/USD":{"hours":"fx"},"USD/CNH":{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"America/New_York"}}}`, Holidays: dates})
	for _, c := range []struct {
		at   string
		open bool
	}{
		// Friday 25 December 2026, in winter time: from Thursday 22:00 UTC.
		{"2026-12-24T21:59:59Z", true}, {"2026-12-24T22:00:00Z", false}, {"2026-12-25T12:00:00Z", false}, {"2026-12-25T21:59:59Z", false},
		{"2026-12-25T22:00:00Z", false}, {"2026-12-27T22:00:00Z", true}, // the weekend follows
		// Friday 1 January 2027.
		{"2026-12-31T21:59:59Z", true}, {"2026-12-31T22:00:00Z", false}, {"2027-01-03T22:00:00Z", true},
		// Friday 3 July 2026, in summer time: from Thursday 21:00 UTC.
		{"2026-07-02T20:59:59Z", true}, {"2026-07-02T21:00:00Z", false}, {"2026-07-03T20:59:59Z", false},
	} {
		at := instant(t, c.at)
		for _, symbol := range []feed.Symbol{"EUR/USD", "GBP/JPY"} {
			if got := table.Hours(symbol).Open(at); got != c.open {
				t.Errorf("%s at %s: open %v", symbol, c.at, got)
			}
		}
		if !table.Hours("BTC/USD").Open(at) {
			t.Errorf("BTC/USD is closed at %s", c.at)
		}
		if got := table.StatusAt("BTC/USD", at.Add(-time.Hour), at, time.Second, true); got != feed.StatusStale {
			t.Errorf("BTC/USD at %s: %s", c.at, got)
		}
		want := feed.StatusClosed
		if c.open {
			want = feed.StatusStale
		}
		if got := table.StatusAt("EUR/USD", at.Add(-time.Hour), at, time.Second, true); got != want {
			t.Errorf("EUR/USD at %s: %s, want %s", c.at, got, want)
		}
	}
	// HOLIDAYS apply only to the hours fx.
	if !table.Hours("USD/CNH").Open(instant(t, "2026-12-25T12:00:00Z")) {
		t.Error("a holiday of fx closes hours of its own")
	}
	for _, bad := range []string{"25.12.2026", "2026-13-01", "2026-02-30", "2026-1-1", "tomorrow", "2026-12-25T00:00:00Z"} {
		if got, err := feed.ParseDates([]string{bad}); err == nil || got != nil {
			t.Errorf("ParseDates(%q) = %v", bad, got)
		} else {
			checkText(t, err.Error())
		}
	}
}

// An instrument's own hours, across both changes of daylight saving time in their zone.
func TestOwnHours(t *testing.T) {
	hours := func(open, shut, zone, holidays string) *feed.Hours {
		return newTable(feed.InstrumentsConfig{Listing: `{"EUR/USD":{"hours":{"open":"` + open + `","close":"` + shut + `","zone":"` + zone + `","holidays":[` + holidays + `]}}}`}).Hours("EUR/USD")
	}
	london := hours("Mon 08:00", "fri 16:30", "Europe/London", `"2026-12-25"`)
	weekend := hours("Fri 17:00", "Sun 17:00", "America/New_York", "") // over the end of the week
	nights := hours("Sun 17:00", "Fri 17:00", "Asia/Tokyo", `"2026-11-23"`)
	for _, c := range []struct {
		name  string
		hours *feed.Hours
		at    string
		open  bool
	}{
		{"London in winter", london, "2026-03-23T07:59:59Z", false}, {"London in winter", london, "2026-03-23T08:00:00Z", true},
		{"London in winter", london, "2026-03-27T16:29:59Z", true}, {"London in winter", london, "2026-03-27T16:30:00Z", false},
		{"London after the change of 29 March", london, "2026-03-30T06:59:59Z", false}, {"London after the change of 29 March", london, "2026-03-30T07:00:00Z", true},
		{"London before the change of 25 October", london, "2026-10-23T15:29:59Z", true}, {"London before the change of 25 October", london, "2026-10-23T15:30:00Z", false},
		{"London after the change of 25 October", london, "2026-10-26T07:59:59Z", false}, {"London after the change of 25 October", london, "2026-10-26T08:00:00Z", true},
		{"London at night", london, "2026-03-25T02:00:00Z", true}, // a week has one opening
		// A day that begins at 08:00 is that of the date on which it begins.
		{"Christmas Eve", london, "2026-12-25T07:59:59Z", true}, {"Christmas", london, "2026-12-25T08:00:00Z", false},
		{"weekend only", weekend, "2026-11-20T21:59:59Z", false}, {"weekend only", weekend, "2026-11-20T22:00:00Z", true},
		{"weekend only", weekend, "2026-11-21T12:00:00Z", true}, {"weekend only", weekend, "2026-11-22T21:59:59Z", true}, {"weekend only", weekend, "2026-11-22T22:00:00Z", false},
		{"Tokyo before the holiday", nights, "2026-11-22T07:59:59Z", false}, {"Tokyo on the holiday", nights, "2026-11-22T08:00:00Z", false},
		{"Tokyo on the holiday", nights, "2026-11-23T07:59:59Z", false}, {"Tokyo after the holiday", nights, "2026-11-23T08:00:00Z", true},
	} {
		if got := c.hours.Open(instant(t, c.at)); got != c.open {
			t.Errorf("%s: %s: open %v", c.name, c.at, got)
		}
	}
}
