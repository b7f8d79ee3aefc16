// Package pagetest keeps parts of the documents equal to what the code knows.
package pagetest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the code knows into the documents")

// Check compares the part of a page between <!-- name --> and <!-- /name --> with a text. With the
// flag -update it writes the text instead. The page is named by its path in the repository.
func Check(t *testing.T, page, name, want string) {
	t.Helper()
	path := filepath.Join(root(t), page)
	text, start, end := read(t, path, name)
	if text[start:end] == want {
		return
	}
	if !*update {
		t.Fatalf("%s, %s: the page differs from the code; run this test again with -update", page, name)
	}
	if err := os.WriteFile(path, []byte(text[:start]+want+text[end:]), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Part returns the part of a page that Check compares.
func Part(t *testing.T, page, name string) string {
	t.Helper()
	text, start, end := read(t, filepath.Join(root(t), page), name)
	return text[start:end]
}

func read(t *testing.T, path, name string) (text string, start, end int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = string(data)
	from, to := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	start = strings.Index(text, from) + len(from)
	end = strings.Index(text, to)
	if start < len(from) || end < start {
		t.Fatalf("%s has no part between %q and %q", path, strings.TrimSpace(from), to)
	}
	return text, start, end
}

// root returns the directory of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		t.Fatal("no go.mod above the test")
	}
}

// Cell returns a text as the cell of a Markdown table.
func Cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
