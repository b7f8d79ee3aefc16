package producer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

func TestSimulateCount(t *testing.T) {
	client := redistest.Start(t).Client()
	run := func() string {
		if err := client.FlushAll(t.Context()).Err(); err != nil { // a server of this test's own
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		args := []string{"simulate", "--symbols", "eurusd, */JPY", "--seed", "5", "--count", "500", "--rate", "5000"}
		if code := feedCommand(t.Context(), args, openOn(t, client), &stdout, &stderr); code != cli.OK {
			t.Fatalf("exit code %d: %s", code, &stderr)
		}
		if !strings.HasPrefix(stdout.String(), "made 500, accepted 500, rejected 0 in ") {
			t.Fatalf("totals %q", &stdout)
		}
		symbols, err := client.SMembers(t.Context(), feed.Keys{Prefix: "fx:"}.Symbols()).Result()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(symbols)
		var all []string
		var ticks uint64
		for _, s := range symbols {
			a := programtest.Last(t, client, feed.Symbol(s))
			if a.Source != "simulator" {
				t.Errorf("source %s", a.Source)
			}
			ticks += a.Seq
			all = append(all, fmt.Sprint(s, a.Seq, a.Bid, a.Ask))
		}
		if len(symbols) != 8 || ticks != 500 {
			t.Errorf("%d ticks of %v, want 500 of EUR/USD and the 7 pairs in JPY", ticks, symbols)
		}
		return strings.Join(all, " ")
	}
	if first, second := run(), run(); first != second {
		t.Errorf("the same seed gave\n%s\nand\n%s", first, second)
	}
}

func TestSimulateEnds(t *testing.T) {
	client := redistest.Start(t).Client()
	var stdout, stderr bytes.Buffer
	if code := feedCommand(t.Context(), []string{"simulate", "--duration", "200ms", "--rate", "1000"}, openOn(t, client), &stdout, &stderr); code != cli.OK {
		t.Fatalf("--duration: exit code %d: %s", code, &stderr)
	}
	if n := number(t, stdout.String(), "accepted"); n < 28 {
		t.Errorf("%d accepted in 200 ms", n)
	}

	// Interrupted: totals, and everything made is accounted for.
	ctx, cancel := context.WithCancel(t.Context())
	stdout.Reset()
	done := make(chan int)
	go func() {
		done <- feedCommand(ctx, []string{"simulate", "--rate", "1000", "--symbols", "AUD/NZD"}, openOn(t, client), &stdout, io.Discard)
	}()
	programtest.Eventually(t, "a hundred quotes are published", func() bool {
		n, _ := client.HGet(t.Context(), feed.Keys{Prefix: "fx:"}.Seq("AUD/NZD"), "seq").Int()
		return n > 100
	})
	cancel()
	if code := <-done; code != cli.Interrupted {
		t.Errorf("interrupted: exit code %d, want %d", code, cli.Interrupted)
	}
	if made, accepted := number(t, stdout.String(), "made"), number(t, stdout.String(), "accepted"); made != accepted {
		t.Errorf("interrupted: %s", &stdout)
	}
}
