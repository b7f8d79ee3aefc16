package js_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestNode runs the tests of the client in Node: units, the scenarios of clients/conformance, the
// types and the size of the package.
func TestNode(t *testing.T) {
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
	if _, err := os.Stat("node_modules"); err != nil {
		skip("clients/js has no node_modules: npm ci makes them")
	}
	if out, err := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", "test/").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
