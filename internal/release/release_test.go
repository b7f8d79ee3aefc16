package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/fxcast/fxcast"
	"github.com/fxcast/fxcast/internal/nodetest"
	"github.com/fxcast/fxcast/internal/pythontest"
)

// TestRelease builds a release for this machine's platform twice, and uses what is in it.
func TestRelease(t *testing.T) {
	t.Chdir("../..")
	nodetest.Command(t, "clients/js") // skips the test without what a release needs
	pythontest.Command(t, []string{"build", "setuptools", "wheel"})
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	for _, out := range []string{first, second} {
		if err := run(out, []string{runtime.GOOS + "/" + runtime.GOARCH}); err != nil {
			t.Fatal(err)
		}
	}
	same(t, first, second)
	if err := run(first, nil); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a release into a directory with files: %v", err)
	}
	if out, err := in(first, "sha256sum", "--check", "--strict", "SHA256SUMS"); err != nil {
		t.Errorf("checksums: %v\n%s", err, out)
	}

	name := "fxcast-" + fxcast.Version() + "-" + runtime.GOOS + "-" + runtime.GOARCH
	dir := unpack(t, filepath.Join(first, name+".tar.gz"))
	program := filepath.Join(dir, name, "broadcaster")
	if out, err := in(dir, program, "--version"); err != nil || !strings.HasPrefix(out, "broadcaster "+fxcast.Version()+", commit ") {
		t.Errorf("--version: %v, %s", err, out)
	}
	if out, err := in(dir, program, "config"); err != nil {
		t.Errorf("config: %v\n%s", err, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if text, err := os.ReadFile(filepath.Join(dir, name, "completions", "broadcaster."+shell)); err != nil || !bytes.Contains(text, []byte("broadcaster")) {
			t.Errorf("completion for %s: %v", shell, err)
		}
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(binary, []byte(root+"/cmd")) {
		t.Error("the program contains the directory in which it was built")
	}
	var bill struct {
		Metadata   struct{ Component struct{ Version string } }
		Components []struct{ Name, Version string }
	}
	text, err := os.ReadFile(filepath.Join(first, name+".cdx.json"))
	if err = errors.Join(err, json.Unmarshal(text, &bill)); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range bill.Components {
		found[c.Name] = c.Version
	}
	if found["github.com/redis/go-redis/v9"] == "" || found["std"] == "" || bill.Metadata.Component.Version != "v"+fxcast.Version() {
		t.Errorf("the bill of materials of %s lists %v", bill.Metadata.Component.Version, found)
	}
	for _, pattern := range []string{"fxcast-client-" + fxcast.Version() + ".tgz", "fxcast-" + fxcast.Version() + "-py3-none-any.whl"} {
		if _, err := os.Stat(filepath.Join(first, pattern)); err != nil {
			t.Error(err)
		}
	}
}

// same compares all files of two directories.
func same(t *testing.T, a, b string) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(a, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		count++
		name, _ := filepath.Rel(a, path)
		x, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		y, err := os.ReadFile(filepath.Join(b, name))
		if err == nil && !bytes.Equal(x, y) {
			t.Errorf("two runs give different bytes of %s", name)
		}
		return err
	})
	if err != nil || count < 6 {
		t.Errorf("compared %d files: %v", count, err)
	}
}

// in runs a program in a directory and returns what it prints.
func in(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// unpack extracts an archive into a new directory and returns it.
func unpack(t *testing.T, path string) (dir string) {
	t.Helper()
	packed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	zip, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	for archive := tar.NewReader(zip); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{head.Name, head.Mode, data})
	}
	dir = t.TempDir()
	if err := writeFiles(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}
