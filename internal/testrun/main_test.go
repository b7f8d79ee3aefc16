package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReport runs go test on a small module with packages of every outcome.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m\n\ngo 1.26\n",
		"good/good_test.go": `package good
import ("fmt"; "testing"; "time")
func TestQuick(t *testing.T) { t.Log("quiet"); fmt.Println("quiet too") }
func TestSlow(t *testing.T) { time.Sleep(20 * time.Millisecond) }
func TestSkipped(t *testing.T) { t.Skip("quiet as well") }
`,
		"bad/bad_test.go": `package bad
import "testing"
func TestBad(t *testing.T) {
	t.Run("fine", func(t *testing.T) { t.Log("quiet") })
	t.Run("worse", func(t *testing.T) { t.Error("the reason") })
}
func TestGood(t *testing.T) { t.Log("quiet") }
`,
		"broken/broken_test.go": "package broken\nvar x int = \"\"\n",
		"dies/dies_test.go":     "package dies\nimport \"testing\"\nfunc TestDies(t *testing.T) { panic(\"the cause\") }\n",
		"empty/empty.go":        "package empty\n",
		"once/once_test.go": `package once
import ("os"; "testing")
func TestOnce(t *testing.T) {
	if _, err := os.Stat("seen"); err != nil {
		os.WriteFile("seen", nil, 0o600)
		t.Run("first", func(t *testing.T) { t.Error("the first time") })
	}
}
`,
		"racy/racy_test.go": `package racy
import ("os"; "testing")
func TestRacy(t *testing.T) {
	if _, err := os.Stat("seen"); err != nil {
		os.WriteFile("seen", nil, 0o600)
		t.Error("WARNING: DATA RACE")
	}
}
`,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "testrun")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(pattern string) (string, int) {
		cmd := exec.Command(program, "-count", "1", pattern)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}

	out, code := run("./good")
	if code != 0 || strings.Contains(out, "quiet") {
		t.Errorf("a package that passes: exit %d and\n%s", code, out)
	}
	if !regexp.MustCompile(`(?m)\Aok  \tm/good\t[\d.]+s\n\nthe slowest of 3 tests:\n +0\.\d\d s  m/good TestSlow\n`).MatchString(out) {
		t.Errorf("a package that passes:\n%s", out)
	}

	out, code = run("./once")
	if code != 0 || !strings.Contains(out, "the first time") || !strings.Contains(out, "\nUNSTEADY: m/once TestOnce failed beside other tests and passed alone; mend it.\n") {
		t.Errorf("a test that fails once: exit %d and\n%s", code, out)
	}
	for _, pattern := range []string{"./bad", "./racy", "./dies", "./broken"} {
		if out, code = run(pattern); code != 1 || strings.Contains(out, "UNSTEADY") {
			t.Errorf("%s: exit %d and\n%s", pattern, code, out)
		}
	}

	out, code = run("./...")
	if code != 1 || strings.Contains(out, "quiet") || strings.Contains(out, "=== ") {
		t.Errorf("packages that fail: exit %d and\n%s", code, out)
	}
	for _, want := range []string{
		"(?m)^ok  \tm/good\t", "(?m)^\\?   \tm/empty\t", "the reason", "(?m)^--- FAIL: TestBad ", "(?m)^FAIL\tm/bad\t", "(?m)^FAIL\tm/broken \\[build failed\\]$",
		`cannot use ""`, "panic: the cause", "(?m)^FAIL\tm/dies\t", "(?m)^FAIL$", "the slowest of",
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
