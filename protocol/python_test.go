package protocol_test

import (
	"os"
	"testing"

	"github.com/fxcast/fxcast/internal/pythontest"
)

// The decoder of the client for Python makes the quotes of the JSON messages of the coded ones, and
// refuses damaged ones.
func TestPythonDecoder(t *testing.T) {
	cmd := pythontest.Command(t, []string{"websockets"}, "testdata/decode.py")
	cmd.Env = append(cmd.Env, "PYTHONPATH=../clients/python"+string(os.PathListSeparator)+os.Getenv("PYTHONPATH"))
	cmd.Stdin = bothForms(t)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("%v: %s", err, out)
	}
}
