// Package nodetest runs Node for tests.
package nodetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Command returns a command of Node 20 or later. The packages that it needs are installed in a folder
// of the repository. The test is skipped without them, or fails if FXCAST_REQUIRE_ALL=1. The command
// ends with the test.
func Command(t testing.TB, folder string, args ...string) *exec.Cmd {
	t.Helper()
	skip := func(why string) {
		t.Helper()
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatalf("%s, and FXCAST_REQUIRE_ALL=1", why)
		}
		t.Skip(why)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		skip("node is not installed")
	}
	version, err := exec.Command(node, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		skip("node is " + strings.TrimSpace(string(version)) + ", want 20 or later")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		skip(folder + " has no node_modules: make deps installs them")
	}
	return exec.CommandContext(t.Context(), node, args...)
}
