package producer

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestReplayLeavesNothingBehind: a replay that waited for a FIFO ends whole.
func TestReplayLeavesNothingBehind(t *testing.T) {
	client := redistest.Start(t).Client()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	path := filepath.Join(t.TempDir(), "EURUSD.fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	stderr := &programtest.Buffer{}
	code := make(chan int)
	go func() { code <- feedCommand(ctx, []string{"replay", path}, openOn(t, client), &stdout, stderr) }()
	programtest.Eventually(t, "it waits", func() bool { return strings.Contains(stderr.String(), "waiting") })
	cancel()
	if got := <-code; got != cli.Interrupted || !strings.HasPrefix(stdout.String(), "read 0, ") {
		t.Errorf("exit code %d: %s%s", got, &stdout, stderr)
	}
	goleak.VerifyNone(t, before)
}

func TestReplayZone(t *testing.T) {
	client := redistest.Start(t).Client()
	file := write(t, "EURUSD.csv", "<DATE>\t<TIME>\t<BID>\t<ASK>\n2022.11.10\t15:00:00.017\t1.1\t1.2\n2022.11.10\t15:00:01.017\t1.1\t1.2\n")
	var stdout, stderr bytes.Buffer
	args := []string{"replay", "--keep-time", "--speed=max", "--zone=Europe/Athens", "--from=2022-11-10T15:00:01", file}
	if code := feedCommand(t.Context(), args, openOn(t, client), &stdout, &stderr); code != cli.OK {
		t.Fatalf("exit code %d: %s%s", code, &stdout, &stderr)
	}
	if a, want := programtest.Last(t, client, "EUR/USD"), time.Date(2022, 11, 10, 13, 0, 1, 17e6, time.UTC); !a.Time.Equal(want) || a.Seq != 1 {
		t.Errorf("last value %+v, want number 1 of %v", a, want)
	}
}
