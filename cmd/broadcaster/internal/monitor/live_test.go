package monitor

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// TestMonitorLiveSaidNothing: a server that hangs for the whole of a short watch
// is told of, by the exit code too.
func TestMonitorLiveSaidNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Pause()
	t.Cleanup(server.Resume)
	for _, args := range [][]string{{"--monitor", "1"}, {"--monitor", "1", "--json"}} {
		code, out, errs := programtest.Run(t, Run, []string{"REDIS_URL=" + server.URL()}, args...)
		if code != 1 || errs != "" || strings.Count(out, "\n") != 1 || !strings.Contains(out, "Redis is not available") {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
}

func TestMonitorLive(t *testing.T) {
	t.Parallel()
	_, rdb, environ := monitored(t)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			rdb.Set(ctx, "fx:{EUR/USD}:quote", monitorSecret, 0)
			rdb.Set(ctx, "session:"+monitorSecret, monitorSecret, 0)
			time.Sleep(time.Millisecond) // it is a load, not a wait
		}
	})
	defer done.Wait()
	defer cancel()
	code, out, errs := programtest.Run(t, Run, environ, "--monitor", "2", "--commands")
	if code != 0 || errs != "broadcaster: monitor: "+costWarning+"\n" || strings.Count(out, "time UTC") != 1 {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	checkText(t, "live", out)
	for _, want := range []string{"set ", "slow ", " [1 hidden] from ", "keys touched per second: ", "fx:{EUR/USD}:quote "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	code, out, errs = programtest.Run(t, Run, environ, "--monitor=2", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || errs != "" || len(lines) < 1 || len(lines) > 2 {
		t.Errorf("%d %q\n%s", code, errs, out)
	} else {
		for _, line := range lines {
			var s redisadmin.Sample
			if err := json.Unmarshal([]byte(line), &s); err != nil || len(s.Commands) == 0 || s.Touched != nil || s.OpsPerSecond == nil {
				t.Errorf("%v: %s", err, line)
			}
		}
	}
	if strings.Contains(out, "S3CRET") {
		t.Errorf("json shows the secret:\n%s", out)
	}
}

// TestMonitorLiveWithoutRedis pauses and kills the server meanwhile: the view
// says so and goes on, until the time is over or it is ended.
func TestMonitorLiveWithoutRedis(t *testing.T) {
	t.Parallel()
	server, _, environ := monitored(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs programtest.Buffer
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, cli.Call{Args: []string{"--monitor", "600"}, Environ: environ, Stdout: &out, Stderr: &errs})
	}()
	programtest.Eventually(t, "a sample", func() bool { return strings.Contains(out.String(), "info ") })
	server.Pause()
	programtest.Eventually(t, "the pause is told", func() bool { return strings.Contains(out.String(), "Redis is not available") })
	server.Resume()
	samples := strings.Count(out.String(), "info ")
	programtest.Eventually(t, "samples again", func() bool { return strings.Count(out.String(), "info ") > samples })
	server.Kill()
	faults := strings.Count(out.String(), "is not available")
	programtest.Eventually(t, "the loss is told", func() bool { return strings.Count(out.String(), "is not available") > faults+1 })
	server.Restart() // without its password file: it has the same arguments
	programtest.Eventually(t, "the restart is told", func() bool { return strings.Contains(out.String(), "was restarted") })
	cancel() // Ctrl-C
	if c := <-code; c != 0 || errs.String() != "" {
		t.Errorf("ended: %d %q", c, errs.String())
	}
	checkText(t, "live", out.String())

	server.Kill()
	c, text, _ := programtest.Run(t, Run, environ, "--monitor", "1")
	if c != 1 || !strings.Contains(text, "is not available") {
		t.Errorf("never there: %d %q", c, text)
	}
}
