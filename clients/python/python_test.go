// Package python_test runs the tests of the client for Python.
package python_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/pythontest"
)

// TestPython runs the tests of the client, among them all scenarios of the conformance kit.
func TestPython(t *testing.T) {
	files, err := filepath.Glob("tests/test_*.py")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files of tests, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".py")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := pythontest.Command(t, []string{"websockets"}, "-W", "error::ResourceWarning", "-m", "unittest", name)
			cmd.Env = append(cmd.Env, "PYTHONPATH=.:tests")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestPythonTypes checks the client with mypy --strict.
func TestPythonTypes(t *testing.T) {
	t.Parallel()
	cmd := pythontest.Command(t, []string{"mypy", "websockets"}, "-m", "mypy", "--cache-dir", t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPythonWheel builds the wheel without network, installs nothing else, and imports it from
// another directory.
func TestPythonWheel(t *testing.T) {
	t.Parallel()
	source, out := filepath.Join(t.TempDir(), "source"), t.TempDir()
	for _, part := range []string{"fxcast", "pyproject.toml", "README.md", "LICENSE"} {
		if err := copyTo(filepath.Join(source, part), part); err != nil {
			t.Fatal(err)
		}
	}
	build := pythontest.Command(t, []string{"build", "setuptools", "wheel"}, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	wheels, err := filepath.Glob(out + "/fxcast-*-py3-none-any.whl")
	if err != nil || len(wheels) != 1 {
		t.Fatalf("wheels %q, %v", wheels, err)
	}
	unpack := pythontest.Command(t, []string{"websockets"}, "-c", `import sys, zipfile
zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])
sys.path.insert(0, sys.argv[2])
import importlib.metadata, os, fxcast
assert os.path.dirname(fxcast.__file__) == os.path.join(sys.argv[2], "fxcast"), fxcast.__file__
assert os.path.exists(os.path.join(os.path.dirname(fxcast.__file__), "py.typed"))
[need] = importlib.metadata.requires("fxcast")
assert need.startswith("websockets") and ">=10" in need, need
assert any(os.path.basename(f) == "LICENSE" for f in importlib.metadata.files("fxcast"))
fxcast.connect("ws://127.0.0.1/ws", token="t")`, wheels[0], filepath.Join(out, "unpacked"))
	unpack.Dir = out
	if text, err := unpack.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func copyTo(target, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(target, os.DirFS(from))
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(target, text, 0o600)
}
