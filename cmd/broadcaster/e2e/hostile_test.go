package e2e

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// memoryRoom is the memory that good clients and an attack may cost, in KiB.
const memoryRoom = 64 << 10

// TestHostileClients plays every attack of loadgen beside good clients. No good client is refused,
// closed or misses a quote, the attacker is refused and counted, memory stays within bounds, and
// sessions of users stay alive.
//
// With HOSTILE=10m it does so for as long, with 500 good clients and interleaved rounds without an
// attack. Then it prints what each attack did to latency and memory.
func TestHostileClients(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("loadgen needs Linux")
	}
	t.Parallel()
	var s *siege
	var until time.Time
	if text := os.Getenv("HOSTILE"); text == "" {
		s = newSiege(t, 1, 4, 100, "-n", "20", "-warm", "50ms", "-run", "300ms")
	} else {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("HOSTILE: want a duration such as 10m: %v", err)
		}
		s = newSiege(t, 4, 20, 1000, "-n", "500", "-warm", "500ms", "-run", "4s")
		s.nice, until = 19, time.Now().Add(d)
	}
	users := make([]madeSession, 20)
	for i := range users {
		users[i] = s.node.signIn(fmt.Sprint("bystander-", i), "user")
	}
	var report besieged
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		for _, name := range s.attacks() {
			var calm goodResult
			if !until.IsZero() && round%2 == 0 {
				calm = s.load(s.good...)
			}
			a := s.play(name)
			if !until.IsZero() && round%2 == 1 {
				calm = s.load(s.good...)
			}
			report.add(name, calm, a)
			if harm := a.good.harmed(); harm != "" {
				t.Errorf("%s: good clients: %s", name, harm)
			}
			if a.Met == 0 {
				t.Errorf("%s is not refused: %v", name, a.Answers)
			}
			if a.Metric != "" && a.counted == 0 {
				t.Errorf("%s is refused, but %s does not count it", name, a.Metric)
			}
			if bound := a.before + memoryRoom; a.peak > bound {
				t.Errorf("%s: memory grew from %d to %d KiB, want at most %d", name, a.before, a.peak, bound)
			}
		}
	}
	for i, u := range users {
		if got := s.node.do("GET", s.node.public+"/api/v1/session", "", bearer(u.Token)); got.status != http.StatusOK {
			t.Errorf("the session of user %d: %d %s", i, got.status, got.body)
		}
	}
	t.Log(report.String())
}

// A besieged is all assaults by attack, each with the calm round beside it.
type besieged struct {
	names    []string
	assaults map[string][]assault
	calm     map[string][]goodResult
}

func (b *besieged) add(name string, calm goodResult, a assault) {
	if b.assaults == nil {
		b.assaults, b.calm = map[string][]assault{}, map[string][]goodResult{}
	}
	if len(b.assaults[name]) == 0 {
		b.names = append(b.names, name)
	}
	b.assaults[name] = append(b.assaults[name], a)
	b.calm[name] = append(b.calm[name], calm)
}

// String returns a table of medians. Ratios are medians of the ratios of rounds that were neighbors.
func (b *besieged) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nattack\trounds\tp50 calm\tattacked\tp99 calm\tattacked ms\tratio p50\tp99\tCPU % calm\tattacked\tMiB before\tpeak\tafter\trefusals\tanswers")
	for _, name := range b.names {
		assaults, calm := b.assaults[name], b.calm[name]
		median := func(value func(a assault, calm goodResult) float64) float64 {
			values := make([]float64, len(assaults))
			for i := range assaults {
				values[i] = value(assaults[i], calm[i])
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		last := assaults[len(assaults)-1]
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.1f\t%.1f\t%.1f\t%d\t%v\n", name, len(assaults),
			median(func(_ assault, calm goodResult) float64 { return calm.P50 / 1e3 }),
			median(func(a assault, _ goodResult) float64 { return a.good.P50 / 1e3 }),
			median(func(_ assault, calm goodResult) float64 { return calm.P99 / 1e3 }),
			median(func(a assault, _ goodResult) float64 { return a.good.P99 / 1e3 }),
			median(func(a assault, calm goodResult) float64 { return a.good.P50 / calm.P50 }),
			median(func(a assault, calm goodResult) float64 { return a.good.P99 / calm.P99 }),
			median(func(_ assault, calm goodResult) float64 { return calm.CPU }),
			median(func(a assault, _ goodResult) float64 { return a.good.CPU }),
			median(func(a assault, _ goodResult) float64 { return float64(a.before) / 1024 }),
			median(func(a assault, _ goodResult) float64 { return float64(a.peak) / 1024 }),
			median(func(a assault, _ goodResult) float64 { return float64(a.after) / 1024 }),
			last.Met, last.Answers)
	}
	w.Flush()
	return text.String()
}
