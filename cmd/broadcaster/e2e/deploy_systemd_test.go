package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// TestSystemdUnit has systemd check deploy/fxcast.service: it can be loaded, and its exposure is at
// most 2.0 of 10.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile("../../../deploy/fxcast.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "fxcast.service")
	programtest.WriteFile(t, unit, strings.ReplaceAll(string(text), "/usr/local/bin/broadcaster", "/bin/true"))
	for _, args := range [][]string{{"verify", unit}, {"security", "--offline=true", "--threshold=20", "--no-pager", unit}} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
