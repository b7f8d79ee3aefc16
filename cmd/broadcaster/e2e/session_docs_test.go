package e2e

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// blocks returns the fenced blocks of a language in a page of docs/.
func blocks(t *testing.T, page, language string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("docs/%s has no %s", page, language)
	}
	return found
}

// TestSessionsDocument runs the shell commands of docs/sessions.md as another
// program would: nothing but redis-cli makes, shows and ends a session.
func TestSessionsDocument(t *testing.T) {
	t.Parallel()
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("no redis-cli on PATH")
		}
		t.Skip("no redis-cli on PATH")
	}
	r := redistest.Start(t)
	n := startNode(t, r)
	// The page's commands name no server.
	dir := t.TempDir()
	programtest.WriteFile(t, dir+"/redis-cli", "#!/bin/sh\nexec "+cli+" -u "+r.URL()+" \"$@\"\n")
	if err := os.Chmod(dir+"/redis-cli", 0o755); err != nil {
		t.Fatal(err)
	}
	shell := func(env, script string) []string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), env)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v: %s", script, err, out)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	scripts := blocks(t, "sessions.md", "sh")
	if len(scripts) != 3 {
		t.Fatalf("%d scripts, want make, end, and end at once", len(scripts))
	}
	var took [2]time.Duration
	for i, end := range scripts[1:] {
		lines := shell("", scripts[0])
		made := lines[len(lines)-1]
		id := session.ID(made)
		k, w := n.connect(made)
		if w.Session.ID != id || w.Session.Role != "user" {
			t.Errorf("welcome %s", w.raw)
		}
		var list []session.Session
		n.do("GET", n.admin+"/api/v1/sessions?user_id=123", "", bearer(adminToken)).into(t, 200, &list)
		if len(list) != 1 || list[0].ID != id || string(list[0].Data) != `{"desk":"fx"}` {
			t.Errorf("sessions of the user: %+v", list)
		}
		start := time.Now()
		out := strings.Join(shell("ID="+id, end), "\n")
		if i == 0 && (!strings.Contains(out, id) || !strings.Contains(out, `"user_id":"123"`)) {
			t.Errorf("shown: %s", out)
		}
		k.wantClose(4001, "revoked")
		took[i] = k.ended.Sub(start)
	}
	t.Logf("closed after %v by DEL, and %v with a notice", took[0].Round(time.Millisecond), took[1].Round(time.Millisecond))
	if took[0] > goneWithin+slack || took[1] > revokedWithin+slack {
		t.Errorf("closed after %v", took)
	}
	// The JSON of the page is a session, and its roles are roles.
	examples := blocks(t, "sessions.md", "json")
	s := n.signIn("x", "user")
	if err := n.rdb.Set(t.Context(), "session:"+s.ID, strings.Replace(examples[0], "2026-11-23T10", "2100-11-23T10", 1), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if got := n.do("GET", n.public+"/api/v1/session", "", bearer(s.Token)); got.status != 200 || !strings.Contains(got.body, `"123"`) {
		t.Errorf("the example: %+v", got)
	}
	if cfg, err := config.Load([]string{"ROLES=" + examples[1]}); err != nil {
		t.Errorf("the example of ROLES: %v", err)
	} else if g, ok := cfg.Session.Roles.For("guest"); !ok || g.Rate.PerHour != 300 {
		t.Errorf("the example of ROLES: %+v", g)
	}
	if !json.Valid([]byte(examples[1])) {
		t.Error("the example of ROLES is not JSON")
	}
}

// TestSecurityDocument: each test that docs/security.md names is there.
func TestSecurityDocument(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]map[string]bool{} // package directory -> tests
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, _ := filepath.Rel(root, filepath.Dir(file))
		if have[dir] == nil {
			have[dir] = map[string]bool{}
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				have[dir][f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what ") {
			continue
		}
		named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz|test)[A-Za-z]+)`").FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("no test holds %s", line)
		}
		for _, m := range named {
			rows++
			if !have[m[1]][m[2]] {
				t.Errorf("there is no %s in %s", m[2], m[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("only %d tests named", rows)
	}
}
