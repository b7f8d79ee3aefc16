package feed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
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
