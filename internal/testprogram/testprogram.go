// Package testprogram builds the broadcaster for tests that run it as a process.
package testprogram

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// Build builds the program in a directory and returns its path. It has the race detector if the
// tests have it; so it consists of packages that were compiled for the tests already.
func Build(dir string) (path string, err error) {
	path = filepath.Join(dir, "broadcaster")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raced() {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/fxcast/fxcast/cmd/broadcaster")...).CombinedOutput()
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
