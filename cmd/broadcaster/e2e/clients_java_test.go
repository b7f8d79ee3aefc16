package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
)

// java returns a command of a program in examples/java.
func java(t *testing.T, program string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil { // one that runs source files has the compiler
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("no JDK is installed, and FXCAST_REQUIRE_ALL=1")
		}
		t.Skip("no JDK is installed (Debian package default-jdk-headless)")
	}
	cmd := exec.CommandContext(t.Context(), "java", append([]string{filepath.Join(root, "examples/java", program)}, args...)...)
	cmd.SysProcAttr = redistest.ProcAttr()
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// TestJavaSessionsExample makes a session with examples/java, which opens a socket, and ends it, which
// closes the socket.
func TestJavaSessionsExample(t *testing.T) {
	t.Parallel()
	n := startNode(t, redistest.Start(t))
	env := []string{"FXCAST_ADMIN=" + n.admin, "ADMIN_TOKEN=" + adminToken}
	out, err := java(t, "FxcastSessions.java", env, "create", "ann", "user").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	token := strings.TrimSpace(string(out))
	k, w := n.connect(token)
	if w.Session.Role != "user" {
		t.Errorf("welcome %s", w.raw)
	}
	for range 2 { // the second one finds no session
		if out, err := java(t, "FxcastSessions.java", env, "end", token).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
	}
	k.wantClose(4001, "revoked")
	env[1] = "ADMIN_TOKEN=wrong"
	if out, err := java(t, "FxcastSessions.java", env, "create", "ann", "user").CombinedOutput(); err == nil || !strings.Contains(string(out), "401") {
		t.Errorf("with a wrong token: %v: %s", err, out)
	}
}
