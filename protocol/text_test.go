package protocol_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

func TestTime(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 15, 0, 120_000_999, time.FixedZone("", 2*60*60))
	if got := protocol.FormatTime(at); got != "2026-11-22T10:15:00.120000Z" {
		t.Error(got)
	}
}

func TestClip(t *testing.T) {
	for text, want := range map[string]string{"": "", "EUR": "EUR", "éééé": "éé…", "a\xffb": "a\ufffdb", "abcdef": "abcde…"} {
		if got := protocol.Clip(text, 5); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "EUR/USD", "a\"b\\c\n\x00\x1f\x7f", "é€𝄞", "\xff\xc3", "\u2028</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got, want string
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Skip(err)
		}
		if err := json.Unmarshal(theirs, &want); err != nil {
			t.Fatal(err)
		}
		ours := protocol.AppendString([]byte(`before`), s)[len(`before`):]
		if err := json.Unmarshal(ours, &got); err != nil || got != want {
			t.Errorf("%q became %s = %q, want %q: %v", s, ours, got, want, err)
		}
	})
}
