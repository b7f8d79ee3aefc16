package protocol_test

import (
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

func TestCutBody(t *testing.T) {
	const body = `{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841`
	for _, rest := range []string{"", "}", `,"epoch":"k3f9"}`} {
		got, after, ok := protocol.CutBody(body + rest)
		if !ok || after != rest || got != (protocol.Body[string]{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: "2026-11-22T10:15:00.123456Z", Seq: "1841"}) {
			t.Errorf("%s: %+v, rest %q, %v", body+rest, got, after, ok)
		}
		bytes, _, ok := protocol.CutBody([]byte(body + rest))
		if !ok || string(bytes.Symbol) != got.Symbol || string(bytes.Seq) != got.Seq {
			t.Errorf("as bytes: %q, %v", bytes, ok)
		}
	}
	for i := range len(body) - len("1841") + 1 {
		if got, after, ok := protocol.CutBody(body[:i]); ok || after != body[:i] {
			t.Errorf("%s: %+v, rest %q", body[:i], got, after)
		}
	}
	for _, other := range []string{` ` + body, `{"bid":"1","symbol":"EUR/USD"}`, `{"symbol":"EUR\"USD","bid":"1","ask":"1","ts":"","seq":1`} {
		if got, _, ok := protocol.CutBody(other); ok {
			t.Errorf("%s: %+v", other, got)
		}
	}
}
