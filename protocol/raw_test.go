package protocol_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

// What RawQuotes finds in a message is what Decode finds.
func TestRawQuotes(t *testing.T) {
	for _, m := range messages {
		var want []protocol.Quote
		switch m := m.message.(type) {
		case protocol.Snapshot:
			want = m.Data
		case protocol.Update:
			want = m.Data
		}
		n := 0
		for raw := range protocol.RawQuotes([]byte(m.text)) {
			if n == len(want) {
				t.Fatalf("%s: more than %d quotes", m.text, n)
			}
			q := want[n]
			n++
			skipped, _ := strconv.ParseUint("0"+string(raw.Skipped), 10, 64)
			if string(raw.Symbol) != q.Symbol || string(raw.Bid) != q.Bid || string(raw.Ask) != q.Ask || string(raw.BidSize) != q.BidSize || string(raw.AskSize) != q.AskSize || raw.Gap != q.Gap || string(raw.Time) != protocol.FormatTime(q.Time.Time) ||
				string(raw.Seq) != strconv.FormatUint(q.Seq, 10) || string(raw.Epoch) != q.Epoch || skipped != q.Skipped || string(raw.Status) != q.Status {
				t.Errorf("%s: number %s of %s, want %+v", m.text, raw.Seq, raw.Symbol, q)
			}
		}
		if n != len(want) {
			t.Errorf("%s: %d quotes, want %d", m.text, n, len(want))
		}
	}
	for range protocol.RawQuotes([]byte(`{"symbol":"{"symbol":"EUR/USD","bid":"`)) {
		t.Error("a quote in half a message")
	}
}

func FuzzRawQuotes(f *testing.F) {
	for _, m := range messages {
		f.Add([]byte(m.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for raw := range protocol.RawQuotes(text) {
			if len(raw.Seq) == 0 {
				t.Errorf("%q: a quote of %q without a number", text, raw.Symbol)
			}
		}
	})
}
func TestCutBody(t *testing.T) {
	const body = `{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841`
	for _, rest := range []string{"", "}", `,"epoch":"k3f9"}`} {
		got, after, ok := protocol.CutBody(body + rest)
		if !ok || after != rest || got != (protocol.Body[string]{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: "2026-11-22T10:15:00.123456Z", Seq: "1841"}) {
			t.Errorf("%s: %+v, rest %q, %v", body+rest, got, after, ok)
		}
		bytes, _, ok := protocol.CutBody([]byte(body + rest))
		if !ok || string(bytes.Symbol) != got.Symbol || string(bytes.Seq) != got.Seq {
			t.Errorf("as bytes: %q, %v", bytes.Symbol, ok)
		}
	}
	sized := strings.Replace(body, `,"ts"`, `,"bid_size":"1000000.50","ask_size":"0","ts"`, 1)
	if got, after, ok := protocol.CutBody(sized + "}"); !ok || after != "}" || got.Ask != "1.08513" || got.BidSize != "1000000.50" || got.AskSize != "0" || got.Seq != "1841" {
		t.Errorf("with sizes: %+v, rest %q, %v", got, after, ok)
	}
	for i := range len(sized) - len("1841") + 1 {
		if got, after, ok := protocol.CutBody(sized[:i]); ok || after != sized[:i] {
			t.Errorf("%s: %+v, rest %q", sized[:i], got, after)
		}
	}
	for i := range len(body) - len("1841") + 1 {
		if got, after, ok := protocol.CutBody(body[:i]); ok || after != body[:i] {
			t.Errorf("%s: %+v, rest %q", body[:i], got, after)
		}
	}
	for _, other := range []string{` ` + body, `{"bid":"1","symbol":"EUR/USD"}`, `{"symbol":"EUR\"USD","bid":"1","ask":"1","ts":"","seq":1`,
		strings.Replace(body, `,"ts"`, `,"ask_size":"0","bid_size":"1","ts"`, 1), strings.Replace(body, `,"ts"`, `,"bid_size":"","ts"`, 1)} {
		if got, _, ok := protocol.CutBody(other); ok {
			t.Errorf("%s: %+v", other, got)
		}
	}
}
