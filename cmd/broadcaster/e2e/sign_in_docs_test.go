package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/pythontest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestSignInDocument runs the shell commands of docs/sign-in.md: a session, a ticket, the end.
func TestSignInDocument(t *testing.T) {
	t.Parallel()
	n := startNode(t, redistest.Start(t))
	script := blocks(t, "sign-in.md", "sh")[0]
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Env = append(os.Environ(), "FXCAST_URL="+n.public, "FXCAST_ADMIN="+n.admin, "ADMIN_TOKEN="+adminToken)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"ticket":"`) {
		t.Errorf("%v: %s", err, out)
	}
	var left []struct{}
	n.do("GET", n.admin+"/api/v1/sessions?user_id=123", "", bearer(adminToken)).into(t, 200, &left)
	if len(left) != 0 {
		t.Errorf("%d sessions are left", len(left))
	}
}

// TestPublishingDocument runs the Python of docs/publishing.md, whose quote is accepted.
func TestPublishingDocument(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := startNode(t, r)
	cmd := pythontest.Command(t, []string{"redis"}, "-c", blocks(t, "publishing.md", "python")[0])
	cmd.Env = append(cmd.Env, "REDIS_URL="+r.URL())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	programtest.Eventually(t, "the quote is accepted", func() bool { return n.rdb.Exists(t.Context(), feed.Keys{Prefix: "fx:"}.Quote("EUR/USD")).Val() == 1 })
	if q := programtest.Last(t, n.rdb, "EUR/USD"); q.Bid != "1.08501" || q.Source != "desk" {
		t.Errorf("accepted %+v", q)
	}
}
