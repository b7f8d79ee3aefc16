package protocol_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"testing"
)

// The decoder of the page makes the JSON messages of the coded ones, for random ticks and for those
// of the recorded files, and refuses damaged ones.
func TestJavaScriptDecoder(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("node is not installed, and FXCAST_REQUIRE_ALL=1")
		}
		t.Skip("node is not installed")
	}
	cmd := exec.Command(node, "testdata/decode.mjs")
	cmd.Stdin = bothForms(t)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// bothForms returns lines of messages in JSON and, in base64, in binary, for decoders in other
// languages. An empty line ends a connection.
func bothForms(t *testing.T) io.Reader {
	ticks := 10_000
	if os.Getenv("FXCAST_LONG") != "" {
		ticks = 1_000_000
	}
	input := &bytes.Buffer{}
	line := func(text, batch []byte) {
		input.Write(text)
		input.WriteByte('\t')
		input.WriteString(base64.StdEncoding.EncodeToString(batch))
		input.WriteByte('\n')
	}
	for seed := range uint64(10) {
		newSender(seed).messages(ticks/10, line)
		input.WriteByte('\n')
	}
	if os.Getenv("FXCAST_DATA") != "" {
		for _, quotes := range realTicks(t) {
			for s := newSender(1); len(quotes) > 10; quotes = quotes[1+s.rng.IntN(10):] {
				line(s.message(quotes[:1]...))
			}
			input.WriteByte('\n')
		}
	}
	return input
}
