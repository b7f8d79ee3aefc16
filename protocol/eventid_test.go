package protocol_test

import (
	"maps"
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

func TestEventID(t *testing.T) {
	positions := map[string]protocol.Position{"EUR/USD": {Epoch: "k3f9", Seq: 1841}, "USD/JPY": {Epoch: "k3f9", Seq: 7}}
	id := string(protocol.AppendEventID(nil, positions))
	if got, err := protocol.ParseEventID(id); err != nil || !maps.Equal(got, positions) {
		t.Errorf("%s: %v, %v", id, got, err)
	}
	if id := string(protocol.AppendEventID([]byte("id: "), map[string]protocol.Position{"EUR/USD": {Epoch: "e", Seq: 1}})); id != "id: EUR/USD:e:1" {
		t.Error(id)
	}
	for text, want := range map[string]string{
		"EUR/USD":       "want up to 1000 SYMBOL:epoch:seq, separated by commas",
		"EUR/USD:e:1,":  "want up to 1000 SYMBOL:epoch:seq, separated by commas",
		"EUR/USD:e:-1":  `"EUR/USD:e:-1": want SYMBOL:epoch:seq`,
		"EUR/USD:e:1:2": "want up to 1000 SYMBOL:epoch:seq, separated by commas",
	} {
		if got, err := protocol.ParseEventID(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
}
