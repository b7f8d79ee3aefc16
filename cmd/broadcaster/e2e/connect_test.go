package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/vendortest"
	"github.com/fxcast/fxcast/protocol"
)

// TestConnectIsTakenOver brings prices of a vendor to a terminal by one command, kills the process
// that is connected, and sees the one that stands by take over.
func TestConnectIsTakenOver(t *testing.T) {
	t.Parallel()
	redis, vendor := redistest.Start(t), vendortest.Start(t, "kraken")
	p := startProcess(t, "REDIS_URL="+redis.URL(), "GUEST_SESSIONS=true")
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	watch := program(ctx, t, nil, "watch", "--url", p.public, "--json", "EUR/USD")
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	defer func() {
		cancel()
		for lines.Scan() {
		}
		_ = watch.Wait()
	}()
	seq := uint64(0)
	next := func(what string) {
		t.Helper()
		began := time.Now()
		var q protocol.Quote
		if !lines.Scan() {
			t.Fatalf("%s: the command ended", what)
		}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil || q.Bid != "1.08500" && q.Bid != "1.08503" {
			t.Fatalf("%s: %s, %v", what, lines.Text(), err)
		}
		seq = q.Seq
		t.Logf("%s: %v", what, time.Since(began))
	}
	connect := func() (*exec.Cmd, *programtest.Buffer) {
		t.Helper()
		log := &programtest.Buffer{}
		cmd := program(context.Background(), t, []string{"REDIS_URL=" + redis.URL(), "LOG_FORMAT=text"}, "feed", "connect", "kraken", "--url", vendor.URL, "--symbols", "EUR/USD")
		cmd.Stderr, cmd.SysProcAttr = log, redistest.ProcAttr()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd, log
	}

	first, _ := connect()
	next("the first price")
	_, standby := connect()
	programtest.Eventually(t, "the second stands by", func() bool { return standby.Find(`(standing by)`) != "" })
	if n := len(vendor.Connects()); n != 1 {
		t.Errorf("%d connects, want 1", n)
	}
	first.Process.Kill()
	first.Wait()
	killed := time.Now()
	programtest.Eventually(t, "the second connects", func() bool { return len(vendor.Connects()) == 2 })
	t.Logf("taken over after %v", time.Since(killed))
	before := seq
	for published := uint64(0); published <= before+20; published = seq { // those of the first may be on their way
		next("a price of the second")
	}
}
