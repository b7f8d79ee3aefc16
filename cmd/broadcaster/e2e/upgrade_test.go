package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// oldCommit is the last commit of version 0.1.
const oldCommit = "cfd610e"

// buildOld builds the server of version 0.1 from the history of the repository. A clone without
// history has none, so the test is skipped there, even where nothing else may be.
func buildOld(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("git", "-C", root, "cat-file", "-e", oldCommit+"^{commit}").CombinedOutput(); err != nil {
		t.Skipf("this clone has no commit %s: %s", oldCommit, out)
	}
	source, path := filepath.Join(dir, "source"), filepath.Join(dir, "broadcaster")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := exec.Command("sh", "-ec", `git -C "$1" archive "$2" | tar -x -C "$3"`,
		"sh", root, oldCommit, source)
	if out, err := archive.CombinedOutput(); err != nil {
		t.Fatalf("extract version 0.1: %v: %s", err, out)
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/broadcaster")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build version 0.1: %v: %s", err, out)
	}
	return path
}

// TestUpgrade upgrades two nodes of version 0.1 in turn, and takes one back, while clients of both
// are connected and ticks are published by both and by a producer of this version. Each client gets
// what it would get from nodes of one version.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	old := buildOld(t)
	server := redistest.Start(t)
	environ := []string{"REDIS_URL=" + server.URL(), fmt.Sprint("HISTORY_TICKS=", arenaHistory)}
	a := &arena{t: t, rdb: server.Client(), environ: environ, tokens: map[string]madeSession{}}
	startOld := func() *processNode {
		n := launchProcessBy(t, environ, "/bin/sh", "-c", "exec "+old)
		n.awaitReady()
		return n
	}
	a.nodes = []*processNode{startOld(), startOld()}
	a.modes = a.subscriptionModes()
	a.startPublishers()
	a.startClients(nil)
	a.field = faulttest.Field{Publishers: []*faulttest.Publisher{a.direct, a.web}, Clients: a.clients, Log: t.Logf}
	ctx, cancel := context.WithTimeout(t.Context(), 8*patience)
	defer cancel()
	for _, step := range []struct {
		what    string
		node    int
		replace func() *processNode
	}{
		{what: "both of version 0.1"},
		{"the first one upgraded", 0, func() *processNode { return startProcess(t, environ...) }},
		{"the second one upgraded", 1, func() *processNode { return startProcess(t, environ...) }},
		{"the second one taken back", 1, startOld},
	} {
		if step.replace != nil {
			a.node(step.node).terminate()
			n := step.replace()
			a.mu.Lock()
			a.nodes[step.node] = n
			a.mu.Unlock()
		}
		if err := a.field.AwaitRight(ctx); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		t.Logf("%s: all clients are right", step.what)
	}
	for _, v := range shortened(a.judge(a.clients[0])) {
		t.Error(v)
	}
	resets := 0
	for _, r := range a.records() {
		for _, e := range r.Events {
			if e.Kind == faulttest.Reset {
				resets++
				t.Logf("%s: %+v", r.Client, e)
			}
		}
	}
	if resets > 0 {
		t.Errorf("%d times a client of mode all had to start again", resets)
	}
}
