package fxcast_test

import (
	"slices"
	"strings"
	"testing"
)

// changes are the changes for which CONTRIBUTING.md names the files.
var changes = []string{
	"field of a quote", "close code", "file format", "vendor", "tier", "cookie", "metric", "conflation policy",
	"setting", "endpoint", "Redis mode", "instrument",
}

// TestContributingChanges checks that each change takes at most three files, and that these exist.
func TestContributingChanges(t *testing.T) {
	r := scan(t)
	text := document(t, "CONTRIBUTING.md")
	var got []string
	for _, row := range table(section(t, text, "Where do I change what")) {
		got = append(got, row[0])
		files := 0
		for _, name := range spans(row[1]) {
			if !isFile.MatchString(name) {
				continue
			}
			files++
			if why := r.missing(name); why != "" {
				t.Errorf("CONTRIBUTING.md: %s: %q: %s", row[0], name, why)
			}
		}
		if files < 1 || files > 3 {
			t.Errorf("CONTRIBUTING.md: %s: %d files, want 1 to 3", row[0], files)
		}
	}
	if !slices.Equal(got, changes) {
		t.Errorf("CONTRIBUTING.md has the changes\n%q, want\n%q", got, changes)
	}
	for _, name := range spans(text) {
		if why := r.missing(name); why != "" {
			t.Errorf("CONTRIBUTING.md names %q: %s", name, why)
		}
	}
}

// TestDocumentLengths keeps the documents that a newcomer reads first short.
func TestDocumentLengths(t *testing.T) {
	if n := strings.Count(document(t, "CONTRIBUTING.md"), "\n"); n > 60 {
		t.Errorf("CONTRIBUTING.md has %d lines, want at most 60", n)
	}
	readme := document(t, "README.md")
	before, rest, ok := strings.Cut(readme, "<!-- settings -->")
	_, after, ok2 := strings.Cut(rest, "<!-- /settings -->")
	if n := strings.Count(before+after, "\n"); !ok || !ok2 || n > 120 {
		t.Errorf("README.md has %d lines apart from the table of settings, want at most 120", n)
	}
}
