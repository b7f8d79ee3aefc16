package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestReadme runs the commands of README.md for one's own Redis, as they stand, on free ports. Both
// quotes are accepted, and the token opens a socket.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, needs := range []string{"redis-cli", "curl", "openssl"} {
		if _, err := exec.LookPath(needs); err != nil {
			if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
				t.Fatalf("%s is not installed, and FXCAST_REQUIRE_ALL=1", needs)
			}
			t.Skipf("%s is not installed", needs)
		}
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	r := redistest.Start(t)
	dir, public, admin := t.TempDir(), "127.0.0.1:"+programtest.FreePort(t), "127.0.0.1:"+programtest.FreePort(t)
	if err := os.Symlink(path, filepath.Join(dir, "broadcaster")); err != nil {
		t.Fatal(err)
	}
	script := blocks(t, "../README.md", "sh")[1]
	for from, to := range map[string]string{"127.0.0.1:6379": r.Addr(), "127.0.0.1:8080": public, "127.0.0.1:9090": admin, "redis-cli": "redis-cli -u " + r.URL()} {
		if !strings.Contains(script, from) {
			t.Errorf("README.md does not name %s", from)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	// The server ends with the shell.
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script+"\nread -r _ || true\nkill $!\nwait $!")
	cmd.WaitDelay = patience
	cmd.Dir, cmd.SysProcAttr = dir, redistest.ProcAttr()
	cmd.Env = append(os.Environ(), "HTTP_ADDR="+public, "ADMIN_ADDR="+admin, "DRAIN_TIMEOUT=1s", "GORACE="+os.Getenv("GORACE"))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &programtest.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "a token is printed", func() bool { return out.Find(`"token":"([^"]+)"`) != "" })
	n := &testNode{t: t, public: "http://" + public}
	if _, w := n.connect(out.Find(`"token":"([^"]+)"`)); w.Session.Role != "user" {
		t.Errorf("welcome %s", w.raw)
	}
	rdb := r.Client()
	programtest.Eventually(t, "both quotes are accepted", func() bool {
		return rdb.XLen(t.Context(), feed.Keys{Prefix: "fx:"}.Ticks("USD/CNH")).Val() == 2
	})
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "fxcast.log")); err != nil || strings.Contains(string(log), `"level":"ERROR"`) {
		t.Errorf("%v: %s", err, log)
	}
}
