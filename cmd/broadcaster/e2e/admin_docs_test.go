package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
)

// TestAdminDocument runs every command of docs/admin.md, in order, against a node
// with one client, and the page has a command for every admin call there is.
func TestAdminDocument(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("no curl on PATH")
		}
		t.Skip("no curl on PATH")
	}
	n := startNode(t, redistest.Start(t))
	watcher, _ := n.connect(n.signIn("watcher", "user").Token)

	// Each command is told apart by a mark, so that an answer has a name.
	blocks := blocks(t, "admin.md", "sh")
	var script strings.Builder
	var commands []string
	for _, block := range blocks {
		for line := range strings.Lines(strings.ReplaceAll(block, "http://127.0.0.1:9090", n.admin)) {
			if strings.HasPrefix(line, "admin ") || strings.HasPrefix(line, "curl ") {
				script.WriteString("printf '\\n@@@\\n'\n")
				commands = append(commands, strings.TrimSpace(line))
			}
			script.WriteString(line)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script.String())
	cmd.Env = append(os.Environ(), "ADMIN_TOKEN="+adminToken, "CURL_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	answers := strings.Split(string(out), "\n@@@\n")[1:]
	if err != nil {
		t.Fatalf("%s %v after %d of %d commands: %s", curl, err, len(answers), len(commands), answers[max(0, len(answers)-1):])
	}
	if len(answers) != len(commands) || len(commands) < 20 {
		t.Fatalf("%d answers to %d commands", len(answers), len(commands))
	}
	for i, want := range map[string]string{
		"redis/health": `"status":`, "redis/stats": `"ops_per_second":`, "redis/memory": `"used_bytes":`, "redis/config": `"drift":`, "cache/hit-ratio": `"namespaces":`,
		"cache/invalidate": `"deleted":0`, "feed/rejected": "[", "rate-limit/check": `"remaining":99`, "user_id=watcher": `"total":1`,
		"-X DELETE $ADMIN/api/v1/redis/session": `"revoked":true`, "-X DELETE $ADMIN/api/v1/connections": `"node":`, "livez": `"live"`, "readyz": `"ready"`, "openapi.json": `"3.1.0"`,
	} {
		found := false
		for j, command := range commands {
			if strings.Contains(command, i) {
				found = true
				if !strings.Contains(answers[j], want) {
					t.Errorf("%s answers %.300s, want %s", command, answers[j], want)
				}
				if strings.HasPrefix(command, "admin") && !strings.Contains(command, "pprof") && !json.Valid([]byte(firstLine(answers[j]))) {
					t.Errorf("%s answers no JSON: %.300s", command, answers[j])
				}
			}
		}
		if !found {
			t.Errorf("docs/admin.md has no command with %s", i)
		}
	}
	watcher.wantClose(1008, "closed by an operator")

	// Every admin operation of the document stands on the page.
	var spec struct {
		Paths map[string]map[string]struct{ Servers []any }
	}
	n.do("GET", n.admin+"/openapi.json", "", bearer(adminToken)).into(t, 200, &spec)
	page := strings.Join(blocks, "")
	for path, methods := range spec.Paths {
		for method, op := range methods {
			if len(op.Servers) == 0 {
				continue
			}
			pattern := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `\$$\w+`) + `(["? \n)]|$)`
			switch method {
			case "delete":
				pattern = `-X DELETE "?\$ADMIN` + pattern
			case "post":
				pattern = `\$ADMIN` + pattern + ` ?-d`
			default:
				pattern = `(admin|fail) "?\$ADMIN` + pattern
			}
			if !regexp.MustCompile(pattern).MatchString(page) {
				t.Errorf("docs/admin.md has no command for %s %s", strings.ToUpper(method), path)
			}
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
