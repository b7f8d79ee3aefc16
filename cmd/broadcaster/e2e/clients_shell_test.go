package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// shellExample returns a command of a script in examples/shell.
func shellExample(t *testing.T, needs, script string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(needs); err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatalf("%s is not installed, and FXCAST_REQUIRE_ALL=1", needs)
		}
		t.Skipf("%s is not installed", needs)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "examples/shell", script), args...)
	cmd.SysProcAttr = redistest.ProcAttr()
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// TestShellPublishExamples publishes with curl and with redis-cli.
func TestShellPublishExamples(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	n := startNode(t, r)
	curl := func(quotes string) (string, error) {
		cmd := shellExample(t, "curl", "publish.sh", []string{"FXCAST_URL=" + n.public, "PUBLISH_TOKEN=" + pubToken})
		cmd.Stdin = strings.NewReader(quotes)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := curl(`{"symbol":"EUR/USD","bid":"1.08500","ask":"1.0851"}` + "\n" + `{"symbol":"EUR/USD","bid":"1.2","ask":"1.1"}` + "\n"); err != nil ||
		!strings.Contains(out, `"accepted":1`) || !strings.Contains(out, `"index":1`) {
		t.Errorf("%v: %s", err, out)
	}
	if got := programtest.Last(t, n.rdb, "EUR/USD"); got.Seq != 1 || got.Bid != "1.08500" {
		t.Errorf("the last quote is %d %s", got.Seq, got.Bid)
	}
	if out, err := curl("nonsense\n"); err == nil || !strings.Contains(out, "nonsense") {
		t.Errorf("nonsense: %v: %s", err, out)
	}

	cmd := shellExample(t, "redis-cli", "publish_redis.sh", []string{"REDIS_URL=" + r.URL()})
	cmd.Stdin = strings.NewReader(`{"symbol":"GBP/USD","bid":"1.27000","ask":"1.2701"}` + "\n" + `{"symbol":"GBP/USD","bid":"1.27010","ask":"1.2702"}` + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	redistest.Eventually(t, "both quotes are accepted", func() bool { return programtest.Last(t, n.rdb, "GBP/USD").Seq == 2 })
}

// TestShellStreamExample reads an event stream with curl.
func TestShellStreamExample(t *testing.T) {
	t.Parallel()
	n := startNode(t, redistest.Start(t), "GUEST_SESSIONS=true")
	cmd := shellExample(t, "curl", "stream.sh", []string{"FXCAST_URL=" + n.public}, "EUR/USD")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	messages := bufio.NewScanner(out)
	until := func(text string) {
		t.Helper()
		for messages.Scan() {
			if strings.Contains(messages.Text(), text) {
				return
			}
		}
		t.Fatalf("the stream ended without %s: %v", text, messages.Err())
	}
	until(`"type":"ack"`)
	n.do("POST", n.public+"/api/v1/quotes", `{"symbol":"EUR/USD","bid":"1.08500","ask":"1.0851"}`, bearer(pubToken))
	until(`"bid":"1.08500"`)
	if got := n.do("DELETE", n.admin+"/api/v1/connections/"+n.onlyConnection(), "", bearer(adminToken)); got.status >= 300 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	until(`"type":"closing"`)
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the end of the stream is an error: %v", err)
	}
}

// onlyConnection returns the id of the one connection.
func (n *testNode) onlyConnection() string {
	n.t.Helper()
	var list struct {
		Connections []struct {
			ID string `json:"conn_id"`
		}
	}
	a := n.do("GET", n.admin+"/api/v1/connections", "", bearer(adminToken))
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Connections) != 1 {
		n.t.Fatalf("%v: %s", err, a.body)
	}
	return list.Connections[0].ID
}
