// Package testprogram builds programs of this repository for tests that run them as processes.
package testprogram

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// Build builds a program of cmd in a directory and returns its path. It has the race detector if the
// tests have it; so it consists of packages that were compiled for the tests already. GORACE is set so
// that such a program does not sleep for a second when it ends.
func Build(dir, name string) (path string, err error) {
	path = filepath.Join(dir, name)
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raced() {
		args = append(args, "-race")
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			return "", err
		}
	}
	out, err := exec.Command("go", append(args, "github.com/fxcast/fxcast/cmd/"+name)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
}

// raced reports whether these tests run with the race detector.
func raced() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
