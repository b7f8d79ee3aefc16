package fxcast_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/pagetest"
)

var (
	settingIn = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)
	metricIn  = regexp.MustCompile(`\bfx_[a-z_]*[a-z]\b`)
	targetIn  = regexp.MustCompile(`(?m)(?:^|[;&(] *)(?:[A-Z_]+=\S+ )*make ([a-z-]+)`)
	pathIn    = regexp.MustCompile(`/api/v1/[^\s"'?,;)\\…]*[^\s"'?,;:.)\\…]`)
	routed    = regexp.MustCompile(`"(?:GET|POST|PUT|DELETE) (/[^" ]*)"`)
)

// foreign are names in capitals that belong to other programs or to an example.
var foreign = []string{"CAP_NET_BIND_SERVICE", "NAME_FILE", "REDISCLI_AUTH", "YOUR_PROJECT", "CONN_ID"}

// TestDocumentedNames checks that the settings, metrics, make targets and paths of the API in the
// code of all documents exist.
func TestDocumentedNames(t *testing.T) {
	r := scan(t)
	paths := routes(t, r)
	count := map[string]int{}
	for _, code := range pagetest.Code(t) {
		check := func(kind string, names []string, known func(string) bool) {
			for _, name := range names {
				count[kind]++
				if !known(name) {
					t.Errorf("%s names the %s %s, which does not exist", code.Page, kind, name)
				}
			}
		}
		var targets []string
		for _, m := range targetIn.FindAllStringSubmatch(code.Text, -1) {
			targets = append(targets, m[1])
		}
		check("target", targets, func(name string) bool { return r.targets[name] })
		check("setting", settingIn.FindAllString(code.Text, -1), func(name string) bool {
			return r.words[name] || r.words[strings.TrimSuffix(name, "_FILE")] || slices.Contains(foreign, name)
		})
		check("metric", metricIn.FindAllString(code.Text, -1), func(name string) bool { return r.words[name] })
		check("path", pathIn.FindAllString(code.Text, -1), func(name string) bool {
			return slices.ContainsFunc(paths, func(path *regexp.Regexp) bool { return path.MatchString(name) })
		})
	}
	for kind, least := range map[string]int{"target": 5, "setting": 200, "metric": 150, "path": 60} {
		if count[kind] < least {
			t.Errorf("the documents have %d names of the kind %s, want %d at least", count[kind], kind, least)
		}
	}
}

// routes returns the paths that the listeners serve, with any text in the place of a parameter.
func routes(t *testing.T, r *repository) (paths []*regexp.Regexp) {
	t.Helper()
	parameter := regexp.MustCompile(`\\{[a-z_]+\\}`)
	for file := range r.paths {
		if !strings.HasPrefix(file, "web/") || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range routed.FindAllStringSubmatch(string(text), -1) {
			paths = append(paths, regexp.MustCompile("^"+parameter.ReplaceAllString(regexp.QuoteMeta(m[1]), `[^/]+`)+"$"))
		}
	}
	return paths
}
