package fxcast_test

import (
	"html"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages returns the paths of all Markdown files.
func (r *repository) pages() (pages []string) {
	for file := range r.paths {
		if path.Ext(file) == ".md" {
			pages = append(pages, file)
		}
	}
	slices.Sort(pages)
	return pages
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns the anchors that GitHub gives to the headings of a page.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := markdownLink.ReplaceAllString(m[1], "]")
		name = notInAnchor.ReplaceAllString(strings.ToLower(name), "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// TestMarkdownLinks checks that each relative link between the documents leads to a file of the
// repository, and to a heading of it.
func TestMarkdownLinks(t *testing.T) {
	r := scan(t)
	count := 0
	for _, page := range r.pages() {
		for _, m := range markdownLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(document(t, page), ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], "://") {
				continue
			}
			count++
			target := path.Join(path.Dir(page), file)
			if file == "" {
				target = page
			}
			if info, err := os.Stat(target); err != nil || info.IsDir() {
				t.Errorf("%s: the link %s leads to no file", page, m[1])
			} else if anchor != "" && !anchors(document(t, target))[anchor] {
				t.Errorf("%s: the link %s leads to no heading", page, m[1])
			}
		}
	}
	if count < 50 {
		t.Errorf("the documents have %d links", count)
	}
}

var (
	htmlLink = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	htmlID   = regexp.MustCompile(`\bid="([^"]*)"`)
	loaded   = regexp.MustCompile(`<(?:script|img|iframe)[^>]* src="((?:https?:)?//[^"]*)"|<link[^>]* href="((?:https?:)?//[^"]*)"`)
)

// TestSite builds the site as `make site` does, and checks that each link leads to a page and an
// anchor of it, that nothing is loaded from elsewhere, and that the navigation has every page.
func TestSite(t *testing.T) {
	if _, err := exec.LookPath("mkdocs"); err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("mkdocs is not installed, and FXCAST_REQUIRE_ALL=1")
		}
		t.Skip("mkdocs is not installed; the site is not tested")
	}
	dir := t.TempDir()
	if out, err := exec.Command("/usr/bin/python3", "docs/site/build.py", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.py: %v\n%s", err, out)
	}
	files := map[string]string{} // the text of each page by its path in the site
	err := filepath.WalkDir(dir, func(file string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".html" {
			return err
		}
		text, err := os.ReadFile(file)
		name, _ := filepath.Rel(dir, file)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]map[string]bool{}
	for page, text := range files {
		ids[page] = map[string]bool{"": true}
		for _, m := range htmlID.FindAllStringSubmatch(text, -1) {
			ids[page][html.UnescapeString(m[1])] = true
		}
	}
	for page, text := range files {
		for _, m := range loaded.FindAllStringSubmatch(text, -1) {
			t.Errorf("%s loads %s%s", page, m[1], m[2])
		}
		if page == "404.html" {
			continue // its addresses begin with that of the site
		}
		for _, m := range htmlLink.FindAllStringSubmatch(text, -1) {
			link := html.UnescapeString(m[1])
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			target := path.Join(path.Dir(page), file)
			if file == "" {
				target = page
			}
			if info, err := os.Stat(filepath.Join(dir, target)); err != nil || info.IsDir() {
				t.Errorf("%s: the link %s leads nowhere", page, link)
			} else if anchor != "" && !ids[target][anchor] {
				t.Errorf("%s: the link %s leads to no anchor", page, link)
			}
		}
	}
	for _, page := range scan(t).pages() {
		name := strings.TrimSuffix(page, ".md") + ".html"
		if path.Base(page) == "README.md" {
			name = path.Join(path.Dir(page), "index.html")
		}
		if files[name] == "" {
			t.Errorf("the site lacks %s: no page that can be reached from README.md links to it", page)
		} else if !strings.Contains(files["index.html"], `href="`+name+`"`) && name != "index.html" {
			t.Errorf("the navigation of the site lacks %s", page)
		}
	}
}
