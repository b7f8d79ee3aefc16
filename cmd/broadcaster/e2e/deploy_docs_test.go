package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/protocol"
)

// literals returns the text of every string of the program, tests left out, and
// of the scripts that it is deployed with.
func literals(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "bench" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					all.WriteString(s + "\n")
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String() + readRoot(t, "deploy/redis-start.sh")
}

// TestTroubleshooting: every message, metric, setting and alert that
// docs/troubleshooting.md quotes as seen is one that can be seen.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	manual, said := readRoot(t, "docs/troubleshooting.md"), literals(t)
	said += string(protocol.Status{Status: protocol.StatusDegraded}.Append(nil)) // made, not written
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(readRoot(t, "deploy/alerts.yml"), -1)
	count := 0
	for line := range strings.Lines(manual) {
		seen, isSeen := strings.CutPrefix(line, "**Seen:**")
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.HasPrefix(cells[1], " `") {
			seen, isSeen = cells[1]+cells[2], true
		}
		if !isSeen {
			continue
		}
		seen, _, _ = strings.Cut(seen, "**Do:**")
		seen, _, _ = strings.Cut(seen, "**Why:**")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(seen, -1) {
			text := m[1]
			if slices.ContainsFunc(alerts, func(a []string) bool { return a[1] == text }) || text == "users.acl" ||
				text == "evicted_keys" || text == "INFO stats" { // of Redis
				continue
			}
			for part := range strings.SplitSeq(text, "…") {
				part = strings.TrimPrefix(strings.Trim(part, " "), `{"type":"status",`)
				part = strings.TrimPrefix(part, "/")
				if !strings.Contains(said, strings.Trim(part, "}")) && !strings.Contains(strings.ReplaceAll(said, `\"`, `"`), strings.Trim(part, "}")) {
					t.Errorf("nothing says %q (of %q)", part, text)
				}
			}
			count++
		}
	}
	if count < 50 {
		t.Errorf("only %d quotations found", count)
	}
	// What to do names settings that exist.
	for _, m := range regexp.MustCompile("`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`").FindAllStringSubmatch(manual+readRoot(t, "docs/deployment.md"), -1) {
		name := strings.TrimSuffix(m[1], "_FILE")
		if !slices.Contains(config.Names(), name) && !slices.Contains(config.Names(), m[1]) && name != "SSL_CERT" {
			t.Errorf("the pages name %s, which is no setting", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\((\w+\.md)\)`).FindAllStringSubmatch(manual+readRoot(t, "docs/deployment.md"), -1) {
		readRoot(t, "docs/"+m[1])
	}
}
