package fxcast_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed"
)

func document(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section returns the text below a heading of the second level.
func section(t *testing.T, text, title string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+title+"\n")
	if !ok {
		t.Fatalf("no section %q", title)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// table returns the cells of the rows below a table's head.
func table(text string) (rows [][]string) {
	for line := range strings.SplitSeq(text, "\n") {
		if inner, ok := strings.CutPrefix(line, "| "); ok {
			rows = append(rows, strings.Split(strings.TrimSuffix(inner, " |"), " | "))
		}
	}
	return rows[min(1, len(rows)):] // the line below the head has no spaces
}

var (
	codeSpan  = regexp.MustCompile("`([^`]+)`")
	codeBlock = regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)\n```")
)

// spans returns the code spans of a text, without those in code blocks.
func spans(text string) (names []string) {
	for _, m := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestArchitectureNames checks that everything ARCHITECTURE.md names exists: identifiers, packages,
// files, tests, settings, metrics and targets. In a call tree each line begins with an identifier,
// qualified by its package.
func TestArchitectureNames(t *testing.T) {
	r := scan(t)
	text := document(t, "ARCHITECTURE.md")
	for _, name := range spans(text) {
		if why := r.missing(name); why != "" {
			t.Errorf("ARCHITECTURE.md names %q: %s", name, why)
		}
	}
	lines := 0
	for _, block := range codeBlock.FindAllStringSubmatch(text, -1) {
		for line := range strings.SplitSeq(block[1], "\n") {
			name, _, _ := strings.Cut(strings.TrimLeft(line, " *"), " ")
			if !isQualified.MatchString(name) {
				t.Errorf("ARCHITECTURE.md: the line %q of a call tree does not begin with package.Name", line)
			} else if why := r.missing(name); why != "" {
				t.Errorf("ARCHITECTURE.md: call tree: %q: %s", name, why)
			}
			lines++
		}
	}
	if lines < 10 {
		t.Errorf("the call trees of ARCHITECTURE.md have %d lines", lines)
	}
}

// TestArchitectureTests checks that a test which ARCHITECTURE.md names after its package is a test of
// that package.
func TestArchitectureTests(t *testing.T) {
	r := scan(t)
	found := 0
	for line := range strings.SplitSeq(document(t, "ARCHITECTURE.md"), "\n") {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		in := ""
		for _, name := range spans(line) {
			if !isTest.MatchString(name) {
				in = name
				continue
			}
			found++
			if dirs := r.packages(in); len(dirs) > 0 && !slices.ContainsFunc(dirs, func(dir string) bool { return slices.Contains(r.tests[name], dir) }) {
				t.Errorf("ARCHITECTURE.md: %s has no %s", in, name)
			}
		}
	}
	if found < 20 {
		t.Errorf("ARCHITECTURE.md names %d tests", found)
	}
}

// TestArchitecturePackages checks the table of packages against the packages and against the import
// rules in imports_test.go: what a row says a package may import is what the rules allow.
func TestArchitecturePackages(t *testing.T) {
	r := scan(t)
	var packages []string
	for dir := range r.names {
		if dir != "." && !within(dir, apart) {
			packages = append(packages, dir)
		}
	}
	slices.Sort(packages)
	may := map[string]string{} // by package
	for _, row := range table(section(t, document(t, "ARCHITECTURE.md"), "Packages")) {
		for _, name := range spans(row[0]) {
			for _, dir := range packages {
				if dir == name || strings.TrimSuffix(name, "/*") != name && strings.HasPrefix(dir, strings.TrimSuffix(name, "*")) {
					may[dir] = row[1]
				}
			}
		}
	}
	for _, dir := range packages {
		if may[dir] == "" {
			t.Errorf("ARCHITECTURE.md: the table of packages lacks %s", dir)
			continue
		}
		for _, other := range packages {
			faults := listed{ImportPath: module + "/" + dir, Imports: []string{module + "/" + other}}.faults()
			if want := rowAllows(may[dir], dir, other); dir != other && want != (len(faults) == 0) {
				t.Errorf("%s imports %s: ARCHITECTURE.md (%q) allows it: %v; the import rules: %q", dir, other, may[dir], want, faults)
				break // one example is enough
			}
		}
	}
}

// TestArchitectureLocks checks that the table of locks has every mutex of the program and no other.
func TestArchitectureLocks(t *testing.T) {
	r := scan(t)
	listed := map[string]bool{}
	for _, row := range table(section(t, document(t, "ARCHITECTURE.md"), "Locks")) {
		for _, name := range spans(row[0]) {
			listed[name] = true
			if !r.locks[name] {
				t.Errorf("ARCHITECTURE.md: %s is not a mutex", name)
			}
		}
	}
	for name := range r.locks {
		if !listed[name] {
			t.Errorf("ARCHITECTURE.md: the table of locks lacks %s", name)
		}
	}
}

// isTool reports whether a package is for tests and tools.
func isTool(dir string) bool {
	return dir == webtest || dir == programtest || strings.HasPrefix(dir, "clients/") || strings.HasPrefix(dir, "internal/") && !isGround(dir)
}

// rowAllows reports whether the words of a row let a package import another one.
func rowAllows(words, from, to string) bool {
	top, _, _ := strings.Cut(from, "/")
	floor, _, _ := strings.Cut(to, "/")
	for word := range strings.SplitSeq(words, ", ") {
		switch word {
		case "ground":
			if isGround(to) {
				return true
			}
		case "its room":
			if top == floor && (!isTool(to) || top == "clients") {
				return true
			}
		case "leaves":
			if slices.Contains(leaves, floor) {
				return true
			}
		case "web":
			if floor == "web" && !isTool(to) {
				return true
			}
		case "client":
			if to == "client" {
				return true
			}
		case "tools":
			if floor == "internal" && isTool(to) {
				return true
			}
		}
	}
	return false
}

// TestPricesReasons checks that docs/prices.md has each reason for which a quote is refused, and no
// other one.
func TestPricesReasons(t *testing.T) {
	var listed []string
	for _, row := range table(section(t, document(t, "docs/prices.md"), "Reasons, and what to do")) {
		listed = append(listed, spans(row[0])...)
	}
	var reasons []string
	for _, r := range feed.Reasons() {
		reasons = append(reasons, string(r))
	}
	slices.Sort(listed)
	slices.Sort(reasons)
	if !slices.Equal(listed, reasons) {
		t.Errorf("docs/prices.md has the reasons\n%q, want\n%q", listed, reasons)
	}
}
