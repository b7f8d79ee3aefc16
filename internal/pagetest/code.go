package pagetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A Snippet is code in a document: a span, or a block.
type Snippet struct {
	Page string // its path in the repository
	Lang string // of a block; "span" for a span
	Text string
}

var (
	block = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)\n *```$")
	span  = regexp.MustCompile("`([^`]+)`")
)

// Code returns the code in all documents of the repository but the changelog, which names what is
// no more.
func Code(t *testing.T) (code []Snippet) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md" || d.Name() == "CHANGELOG.md":
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(base, path)
		text, name := string(data), filepath.ToSlash(name)
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			code = append(code, Snippet{name, m[1], strings.ReplaceAll(m[2], "\\\n", " ")})
		}
		for _, m := range span.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			code = append(code, Snippet{name, "span", m[1]})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}
