package feed_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
)

func utc(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func hoursOf(t *testing.T, hours string) *feed.Hours {
	t.Helper()
	table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: `{"AAA/BBB":{"hours":` + hours + `}}`})
	if err != nil {
		t.Fatal(err)
	}
	return table.Hours("AAA/BBB")
}

func TestIntervalBounds(t *testing.T) {
	const own = `{"open":"Mon 09:15","close":"Fri 15:30","zone":"Asia/Kolkata"}`
	for _, c := range []struct {
		interval       string
		hours          string
		at, start, end string
	}{
		{"1m", `"fx"`, "2026-11-25T10:15:59.999999Z", "2026-11-25T10:15:00Z", "2026-11-25T10:16:00Z"},
		{"1m", `"fx"`, "2026-11-25T10:16:00Z", "2026-11-25T10:16:00Z", "2026-11-25T10:17:00Z"},
		{"1m", `"fx"`, "1969-12-31T23:59:30Z", "1969-12-31T23:59:00Z", "1970-01-01T00:00:00Z"},
		{"5m", `"fx"`, "2026-11-25T10:14:59Z", "2026-11-25T10:10:00Z", "2026-11-25T10:15:00Z"},
		{"15m", `"fx"`, "2026-11-25T10:14:59Z", "2026-11-25T10:00:00Z", "2026-11-25T10:15:00Z"},
		{"1h", own, "2026-11-25T10:14:59Z", "2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z"},
		{"4h", `"fx"`, "2026-11-25T23:14:59Z", "2026-11-25T20:00:00Z", "2026-11-26T00:00:00Z"},
		{"1d", `"always"`, "2026-11-25T23:59:59Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"},
		{"1d", `"fx"`, "2026-11-25T21:59:59.999999Z", "2026-11-24T22:00:00Z", "2026-11-25T22:00:00Z"},
		{"1d", `"fx"`, "2026-11-25T22:00:00Z", "2026-11-25T22:00:00Z", "2026-11-26T22:00:00Z"},
		{"1d", `"fx"`, "2026-07-08T21:00:00Z", "2026-07-08T21:00:00Z", "2026-07-09T21:00:00Z"},
		{"1d", `"fx"`, "2026-03-08T06:30:00Z", "2026-03-07T22:00:00Z", "2026-03-08T21:00:00Z"}, // 23 hours
		{"1d", `"fx"`, "2026-11-01T05:30:00Z", "2026-10-31T21:00:00Z", "2026-11-01T22:00:00Z"}, // 25 hours
		{"1d", `"fx"`, "2026-11-28T12:00:00Z", "2026-11-27T22:00:00Z", "2026-11-28T22:00:00Z"}, // Saturday
		{"1d", `"fx"`, "2026-12-25T12:00:00Z", "2026-12-24T22:00:00Z", "2026-12-25T22:00:00Z"}, // holiday
		{"1d", own, "2026-11-25T03:44:59Z", "2026-11-24T03:45:00Z", "2026-11-25T03:45:00Z"},
		{"1d", own, "2026-11-25T03:45:00Z", "2026-11-25T03:45:00Z", "2026-11-26T03:45:00Z"},
	} {
		interval, ok := feed.ParseInterval(c.interval)
		if !ok || interval.String() != c.interval {
			t.Fatalf("ParseInterval(%s) = %v, %v", c.interval, interval, ok)
		}
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -5*3600)} {
			start, end := interval.Around(hoursOf(t, c.hours), utc(t, c.at).In(zone))
			if start != utc(t, c.start) || end != utc(t, c.end) {
				t.Errorf("%s of %s with hours %s: %v to %v, want %s to %s", c.interval, c.at, c.hours, start, end, c.start, c.end)
			}
		}
	}
	for _, name := range []string{"", "1M", "2m", "60m", "1w", "1d "} {
		if _, ok := feed.ParseInterval(name); ok {
			t.Errorf("ParseInterval(%q) succeeded", name)
		}
	}
}

// Intervals follow each other without gap or overlap, with any hours and over all changes of the
// clocks. Each instant gets the bounds that its start gets, and a longer interval begins with a
// shorter one.
func TestIntervalsTile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, hours := range []string{
		`"fx"`, `"always"`,
		`{"open":"Sun 00:00","close":"Sat 00:00","zone":"America/Sao_Paulo"}`, // where midnight was skipped
		`{"open":"Mon 02:30","close":"Fri 22:00","zone":"America/New_York"}`,  // skipped in March, twice in November
		`{"open":"Mon 01:30","close":"Fri 22:00","zone":"Europe/London"}`,
		`{"open":"Mon 09:15","close":"Fri 22:00","zone":"Australia/Lord_Howe"}`, // changes by half an hour
		`{"open":"Mon 17:00","close":"Fri 22:00","zone":"Pacific/Apia"}`,        // which skipped a whole day
	} {
		h := hoursOf(t, hours)
		for _, i := range feed.Intervals {
			from := time.Unix(random.Int64N(2e9), random.Int64N(1e9))
			if i == feed.Day {
				from = utc(t, "2005-01-01T00:00:00Z")
			}
			start, end := i.Around(h, from)
			for range 10_000 {
				if !start.Before(end) || end.Sub(start) > 48*time.Hour || i != feed.Day && end.Sub(start) != i.Length() {
					t.Fatalf("%s with %s: an interval from %v to %v", i, hours, start, end)
				}
				within := start.Add(time.Duration(random.Int64N(int64(end.Sub(start)))))
				for _, at := range []time.Time{start, within, end.Add(-1)} {
					if s, e := i.Around(h, at); s != start || e != end {
						t.Fatalf("%s with %s: %v is within %v to %v, not %v to %v", i, hours, at, s, e, start, end)
					}
				}
				if s, _ := feed.Minute.Around(h, start); s != start {
					t.Fatalf("%s with %s begins at %v, within a minute", i, hours, start)
				}
				next, nextEnd := i.Around(h, end)
				if next != end {
					t.Fatalf("%s with %s: after %v to %v comes %v", i, hours, start, end, next)
				}
				start, end = next, nextEnd
			}
		}
	}
}

func TestKeptCandles(t *testing.T) {
	for text, want := range map[string]string{
		"1m:72h,1h:60d,1d:5y":         "1m:3d,1h:60d,1d:5y",
		" 1d:5y , 1m:4320m,1h:1440h ": "1m:3d,1h:60d,1d:5y",
		"1m:90m":                      "1m:90m",
		"1m:1m,15m:20h":               "1m:1m,15m:20h",
		"off":                         "off",
	} {
		kept, err := feed.ParseKeptCandles(text)
		if err != nil || kept.String() != want {
			t.Errorf("ParseKeptCandles(%q) = %q, %v; want %q", text, kept, err, want)
		}
	}
	for _, text := range []string{
		"", "1m", "1m:", "1m:0h", "1m:-1h", "1m:1.5h", "1m:72", "1m:3s", "1h:60d", "1m:72h,1m:3d", "2m:72h", "1m:72h,", "1m:1y",
		"1m:72h,1d:21y", "1m:72h,1h:30m", "1m:72h,1d:99999999999999999999y", "1m:72h,1d:4294967295y", "1m:72h;1h:60d",
	} {
		if kept, err := feed.ParseKeptCandles(text); err == nil {
			t.Errorf("ParseKeptCandles(%q) = %v, want an error", text, kept)
		}
	}
}

func TestSourceOfCandles(t *testing.T) {
	const own = `{"open":"Mon 09:15","close":"Fri 15:30","zone":"Asia/Kolkata"}`
	for _, c := range []struct{ kept, hours, interval, want string }{
		{"1m:72h,1h:60d,1d:5y", `"fx"`, "1m", "1m"},
		{"1m:72h,1h:60d,1d:5y", `"fx"`, "15m", "1m"},
		{"1m:72h,1h:60d,1d:5y", `"fx"`, "1h", "1h"},
		{"1m:72h,1h:60d,1d:5y", `"fx"`, "4h", "1h"},
		{"1m:72h,1h:60d,1d:5y", own, "1d", "1d"},
		{"1m:72h,1h:60d", `"fx"`, "1d", "1h"},
		{"1m:72h,1h:60d", `"always"`, "1d", "1h"},
		{"1m:72h,4h:60d", `"fx"`, "1d", "1m"}, // 17:00 in New York is no multiple of 4 hours
		{"1m:72h,4h:60d", `"always"`, "1d", "4h"},
		{"1m:72h,15m:30d,1h:60d", own, "1d", "15m"},
		{"1m:72h", `"fx"`, "4h", "1m"},
	} {
		kept, err := feed.ParseKeptCandles(c.kept)
		if err != nil {
			t.Fatal(err)
		}
		interval, _ := feed.ParseInterval(c.interval)
		if source, ok := kept.Source(interval, hoursOf(t, c.hours)); !ok || source.Interval.String() != c.want {
			t.Errorf("%s with %s of %s: from %s, want %s", c.interval, c.hours, c.kept, source.Interval, c.want)
		}
	}
	if source, ok := feed.KeptCandles(nil).Source(feed.Hour, bare.Hours("EUR/USD")); ok {
		t.Errorf("candles that are not kept come from %v", source)
	}
}
