package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/fxcast/fxcast/internal/testprogram"
)

// root is the directory of the repository.
const root = "../../.."

// long calls for the full amount of work in tests that do less otherwise.
var long = os.Getenv("FXCAST_LONG") == "1"

// buildDir holds the program while the tests run.
var buildDir string

// built builds the program once and returns its path.
var built = sync.OnceValues(func() (string, error) {
	var err error
	if buildDir, err = os.MkdirTemp("", "broadcaster-e2e"); err != nil {
		return "", err
	}
	return testprogram.Build(buildDir, "broadcaster")
})

// program returns a command of the program, not started. Its environment is the
// settings and the path to other programs.
func program(ctx context.Context, t testing.TB, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=" + os.Getenv("GORACE")}, environ...)
	return cmd
}

// runCommand runs the program to its end.
func runCommand(t testing.TB, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := program(ctx, t, environ, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}
