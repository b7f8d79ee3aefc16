// Package pythontest runs Python for tests.
package pythontest

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// interpreters are tried in this order. Packages of Debian belong to its own interpreter, and
// another one may come first on the path.
var interpreters = []string{"/usr/bin/python3", "python3"}

var (
	mu    sync.Mutex
	found = map[string]string{} // the interpreter by modules, "" for none
)

// Command returns a command of a Python 3.10 or later that has these modules. The test is skipped
// if there is none, or fails if FXCAST_REQUIRE_ALL=1. The command ends with the test.
func Command(t testing.TB, modules []string, args ...string) *exec.Cmd {
	t.Helper()
	python := find(modules)
	if python == "" {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatalf("no python3 from 3.10 on has %s, and FXCAST_REQUIRE_ALL=1", strings.Join(modules, ", "))
		}
		t.Skipf("no python3 from 3.10 on has %s", strings.Join(modules, ", "))
	}
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

func find(modules []string) string {
	mu.Lock()
	defer mu.Unlock()
	check := "import sys; assert sys.version_info >= (3, 10)\nimport " + strings.Join(append([]string{"json"}, modules...), ", ")
	python, known := found[check]
	for _, candidate := range interpreters {
		if !known && exec.Command(candidate, "-c", check).Run() == nil {
			python, known = candidate, true
		}
	}
	found[check] = python
	return python
}
