package producer

import (
	"bytes"
	"testing"
)

func TestConsoleRewritesItsLine(t *testing.T) {
	var b bytes.Buffer
	c := newConsole(&b)
	if c.terminal {
		t.Error("a buffer is no terminal")
	}
	c.terminal = true
	c.progress("one")
	c.progress("two")
	c.say("message")
	c.clear()
	if want := "one" + clearLine + "two" + clearLine + "message\n"; b.String() != want {
		t.Errorf("wrote %q, want %q", &b, want)
	}
}
