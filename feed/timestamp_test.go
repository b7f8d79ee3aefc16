package feed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 11, 22, 10, 15, 0, 123_000_000, time.UTC)
	for _, text := range []string{"2026-11-22T10:15:00.123Z", "2026-11-22T12:15:00.123+02:00", "1795342500123", "1795342500123.0", "1795342500.123", "1795342500123000", "1795342500123000000", "20261122-10:15:00.123"} {
		if got, err := feed.ParseTime(text); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for text, wrong := range map[string]string{
		"":                     "RFC 3339",
		"now":                  "RFC 3339",
		"2026-11-22T10:15:00":  "zone",
		"2300-01-01T00:00:00Z": "2199",
	} {
		if _, err := feed.ParseTime(text); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, want %s in it", text, err, wrong)
		}
	}
}

// A parsed time is in UTC, in whole microseconds and within the range of years, and its text parses
// to itself.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{
		"2026-11-22T10:15:00.123456Z", "2026-11-22 10:15:00,5+0200", "2026-11-22T10:15:00-02", "20261122-10:15:00.123", "1795342500", "1795342500.5",
		"1795342500123", "1.795342500123e12", "1795342500123456789", "0", "-1", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "99999999999999999999",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := feed.ParseTime(s)
		if err != nil {
			checkText(t, err.Error())
			return
		}
		if at != at.UTC().Truncate(time.Microsecond) || at.Year() < 1970 || at.Year() > 2199 {
			t.Fatalf("%q is %v", s, at)
		}
		text := protocol.FormatTime(at)
		if again, err := feed.ParseTime(text); err != nil || again != at {
			t.Fatalf("%q is %s, then %v, %v", s, text, again, err)
		}
	})
}
