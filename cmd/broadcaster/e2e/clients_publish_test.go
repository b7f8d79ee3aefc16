package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/nodetest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestPublishExamples publishes with the examples that read one quote a line.
func TestPublishExamples(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(*testing.T) *exec.Cmd{
		"Python": func(t *testing.T) *exec.Cmd { return python(t, nil, "examples/python/publish.py") },
		"Node": func(t *testing.T) *exec.Cmd {
			return nodetest.Command(t, filepath.Join(root, "clients/js"), filepath.Join(root, "examples/node/publish.mjs"))
		},
		"Java": func(t *testing.T) *exec.Cmd { return java(t, "Publish.java", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, redistest.Start(t))
			publish := func(lines string) (string, error) {
				cmd := command(t)
				cmd.Env = append(cmd.Environ(), "FXCAST_URL="+n.public, "PUBLISH_TOKEN="+pubToken)
				cmd.Stdin = strings.NewReader(lines)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			if out, err := publish(strings.Repeat("EUR/USD 1.08500 1.0851\n", 2500)); err != nil || out != "" {
				t.Errorf("%v: %s", err, out)
			}
			if got := programtest.Last(t, n.rdb, "EUR/USD"); got.Seq != 2500 || got.Bid != "1.08500" {
				t.Errorf("the last quote is %d %s", got.Seq, got.Bid)
			}
			// The last line has no end.
			if out, err := publish("EUR/USD 1.2 1.1\nEUR/USD 1.0851 1.0852"); err == nil || !strings.Contains(out, "EUR/USD 1.2 1.1 is refused:") {
				t.Errorf("a crossed quote: %v: %s", err, out)
			}
			if got := programtest.Last(t, n.rdb, "EUR/USD").Seq; got != 2501 {
				t.Errorf("the last quote is %d", got)
			}
		})
	}
}
