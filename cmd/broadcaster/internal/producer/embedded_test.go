package producer

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/simulator"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestSimulateGetsOverRedisRestart kills the server under the embedded producer.
func TestSimulateGetsOverRedisRestart(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	out, err := openWithin(t, client, time.Second)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	logger, log := programtest.Log()
	logged := func(s string) int { return strings.Count(log.String(), s) }
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Simulate(ctx, out.publisher, out.rejected, simulator.Config{Seed: 1, Rate: 500}, logger); err != nil {
			t.Errorf("Simulate: %v", err)
		}
	})
	seq := func() int {
		n, _ := client.HGet(t.Context(), feed.Keys{Prefix: "fx:"}.Seq("EUR/USD"), "seq").Int()
		return n
	}
	programtest.Eventually(t, "quotes are published", func() bool { return seq() > 20 })
	server.Kill()
	programtest.Eventually(t, "the loss is logged", func() bool { return logged("cannot be published") == 1 })
	server.Restart()
	programtest.Eventually(t, "the return is logged", func() bool { return logged("published again") == 1 })
	programtest.Eventually(t, "quotes are published", func() bool { return seq() > 20 })
	cancel()
	wg.Wait()
	if n := logged("cannot be published"); n != 1 {
		t.Errorf("said %d times that Redis is gone", n)
	}
}
