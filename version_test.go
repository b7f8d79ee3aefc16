package fxcast_test

import (
	"regexp"
	"strings"
	"testing"
)

// versions are the other places that have the version of the packages.
var versions = map[string]string{
	"clients/js/package.json":       `(?m)^  "version": "(.+)",$`,
	"clients/js/package-lock.json":  `(?s)^\{\n  "name": "@fxcast/client",\n  "version": "([^"]+)",.*?\n    "": \{\n      "name": "@fxcast/client",\n      "version": "([^"]+)"`,
	"clients/python/pyproject.toml": `(?m)^version = "(.+)"$`,
	"deploy/helm/fxcast/Chart.yaml": `(?m)^version: (\S+)\nappVersion: "(.+)"$`,
}

// TestVersion checks that the packages of all languages and the Helm chart have the version in VERSION, which is that of
// the newest release in CHANGELOG.md.
func TestVersion(t *testing.T) {
	want := strings.TrimSpace(document(t, "VERSION"))
	for file, pattern := range versions {
		m := regexp.MustCompile(pattern).FindStringSubmatch(document(t, file))
		if m == nil {
			t.Fatalf("%s has no version", file)
		}
		for _, got := range m[1:] {
			if got != want {
				t.Errorf("%s has the version %s, VERSION has %s", file, got, want)
			}
		}
	}
	if m := regexp.MustCompile(`(?m)^## \[(\d.*?)\]`).FindStringSubmatch(document(t, "CHANGELOG.md")); m != nil && m[1] != want {
		t.Errorf("the newest release in CHANGELOG.md is %s, VERSION has %s", m[1], want)
	}
}

// TestLicenses checks that each package has the license of the repository.
func TestLicenses(t *testing.T) {
	for _, file := range []string{"clients/js/LICENSE", "clients/python/LICENSE"} {
		if document(t, file) != document(t, "LICENSE") {
			t.Errorf("%s differs from LICENSE", file)
		}
	}
}
