package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestReaderOfTheLogGoes: a server goes on when the program that reads both of its outputs ends. It
// counts the lines that it cannot write.
func TestReaderOfTheLogGoes(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := program(t.Context(), t, []string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=text", "ADMIN_TOKEN=" + adminToken})
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = w, w, redistest.ProcAttr()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w.Close()
	output := &programtest.Buffer{}
	for lines := bufio.NewScanner(r); output.Find(`(msg=serving)`) == "" && lines.Scan(); {
		io.WriteString(output, lines.Text()+"\n")
	}
	n := &testNode{t: t, http: &http.Client{Timeout: patience}, admin: "http://" + output.Find(`msg="admin listener" addr=(\S+)`)}
	r.Close()

	n.signIn("ann", "user") // the log gets an audit line
	if metrics := n.do("GET", n.admin+"/metrics", "", nil); !regexp.MustCompile(`(?m)^fx_log_dropped_total [1-9]`).MatchString(metrics.body) {
		t.Errorf("the lost line is not counted: %d\n%s", metrics.status, output)
	}
	n.http.CloseIdleConnections()
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended: %v", err)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Errorf("after SIGTERM the server went on: %v", <-ended)
	}
}

// TestReaderOfTheOutputGoes: a producer publishes everything although nothing reads its outputs,
// and a command that lists something ends quietly.
func TestReaderOfTheOutputGoes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	environ := []string{"REDIS_URL=" + server.URL()}
	unread := func(args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		defer w.Close()
		cmd, stderr = program(t.Context(), t, environ, args...), &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = w, stderr
		if args[0] == "feed" {
			cmd.Stderr = w
		}
		_ = cmd.Run()
		return cmd, stderr
	}
	if cmd, _ := unread("feed", "simulate", "--symbols", "EUR/USD", "--count", "50", "--rate", "1000"); cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("feed simulate: %v", cmd.ProcessState)
	}
	if n, err := server.Client().XLen(t.Context(), feed.Keys{Prefix: "fx:"}.Ticks("EUR/USD")).Result(); n != 50 {
		t.Errorf("feed simulate published %d quotes, want 50: %v", n, err)
	}
	for _, args := range []string{"monitor --all", "config", "monitor --monitor 60 --json"} {
		if cmd, stderr := unread(strings.Fields(args)...); stderr.Len() > 0 || cmd.ProcessState.ExitCode() > 0 {
			t.Errorf("%s: %v, %s; want a quiet end", args, cmd.ProcessState, stderr)
		}
	}
}
