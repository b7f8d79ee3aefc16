package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// persistent are the arguments of a server that keeps what it has answered over
// a kill, as the documentation asks for.
var persistent = []string{"--appendonly", "yes", "--appendfsync", "everysec"}

// TestFaults injects faults into a standalone Redis, the network before it, the
// nodes and the publishers, in an order that a seed makes, and wants every
// promise to hold. Each fault comes once, or for two minutes with FXCAST_LONG=1.
// FXCAST_FAULT_SEED replays an order.
func TestFaults(t *testing.T) {
	t.Parallel()
	seed := faulttest.Seed(t)
	server := redistest.Start(t, persistent...)
	proxy := redistest.StartProxy(t, server.Addr())
	a := newArena(t, server.Client(), []string{"REDIS_URL=redis://" + proxy.Addr()}, nil)
	faults := slices.Concat(serverFaults(server), networkFaults(proxy), a.commandFaults(), a.ourFaults())
	report := &faulttest.Report{}
	steps := faulttest.Schedule(seed, faults, 2*time.Minute)
	if !long {
		steps = steps[:len(faults)]
	}
	a.run(report, "standalone", steps)
	logReport(t, report)
}

// run carries out a schedule and judges it.
func (a *arena) run(report *faulttest.Report, mode string, steps []faulttest.Step) faulttest.Run {
	a.t.Helper()
	limit := 5 * time.Minute
	for _, s := range steps {
		limit += s.Calm + s.Hold + 15*time.Second
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), limit)
	defer cancel()
	outcomes, err := a.field.Run(ctx, steps)
	if err != nil {
		a.t.Error(err)
	}
	for _, v := range shortened(a.judge(a.clients[0])) {
		a.t.Error(v)
	}
	result := a.result(mode, outcomes)
	report.Add(result)
	if a.t.Failed() {
		for i := range a.nodes {
			a.t.Logf("log of node %d:\n%s", i, warnings(a.node(i).stderr.String()))
		}
	}
	return result
}

// shortened leaves the first violations of each kind: one cause has many.
func shortened(found []faulttest.Violation) (first []string) {
	count := map[string]int{}
	for _, v := range found {
		if count[v.Kind]++; count[v.Kind] <= 5 {
			first = append(first, v.String())
		}
	}
	for kind, n := range count {
		if n > 5 {
			first = append(first, fmt.Sprintf("… %s: %d in all", kind, n))
		}
	}
	return first
}

// warnings are the lines of a log that are not of everyday.
func warnings(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			b.WriteString(line)
		}
	}
	if text := b.String(); len(text) > 8000 {
		return "…" + text[len(text)-8000:]
	}
	return b.String()
}

func logReport(t *testing.T, report *faulttest.Report) {
	var b bytes.Buffer
	report.WriteTo(&b)
	t.Logf("\n%s", &b)
	if file := os.Getenv("FXCAST_SOAK_REPORT"); file != "" {
		programtest.WriteFile(t, file, b.String())
	}
}
