package protocol_test

import (
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

func TestCloses(t *testing.T) {
	last := 0
	for _, c := range protocol.Closes() {
		if c.Code < last || c.Code < 1000 || c.Code > 4999 || c.Reason == "" || len(c.Reason) > 123 || c.Label == "" || c.Meaning == "" {
			t.Errorf("%+v after %d", c, last)
		}
		if last = c.Code; protocol.ReconnectAfter(c.Code) != c.Reconnect {
			t.Errorf("%+v: another row of the code says %s", c, protocol.ReconnectAfter(c.Code))
		}
	}
	last = 0
	for _, c := range protocol.CloseCodes() {
		if c.Code <= last {
			t.Errorf("%+v after %d", c, last)
		}
		last = c.Code
	}
	if r := protocol.ReconnectAfter(1006); r != protocol.ReconnectYes {
		t.Errorf("a lost connection: %s", r)
	}
}
