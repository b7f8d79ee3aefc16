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
// With HOSTILE=10m it does so for as long, with 500 good clients. Each round is beside one without an
// attack, and one with the attack on another node of the lowest priority, which shows what an attacker
// on the same machine costs in any case. Then it prints what each attack did to latency and memory.
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
		s.neighbor = newSiege(t, 4, 20, 1000)
		s.neighbor.lowerPriority()
		s.nice, until = lowest, time.Now().Add(d)
	}
	users := make([]madeSession, 20)
	for i := range users {
		users[i] = s.node.signIn(fmt.Sprint("bystander-", i), "user")
	}
	var report besieged
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		for _, name := range s.attacks() {
			var b bystanders
			if s.neighbor != nil && round%2 == 0 {
				b = s.besides(name)
			}
			a := s.play(name, s)
			if s.neighbor != nil && round%2 == 1 {
				b = s.besides(name)
			}
			report.add(name, b, a)
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

// bystanders are good clients of a round whose node is not attacked.
type bystanders struct {
	calm     goodResult // no attack at all
	neighbor goodResult // the attack is on another node
}

func (s *siege) besides(name string) bystanders {
	s.t.Helper()
	return bystanders{s.load(s.good...), s.play(name, s.neighbor).good}
}

// A besieged is all assaults by attack, each with the bystanders of its round.
type besieged struct {
	names      []string
	assaults   map[string][]assault
	bystanders map[string][]bystanders
}

func (b *besieged) add(name string, beside bystanders, a assault) {
	if b.assaults == nil {
		b.assaults, b.bystanders = map[string][]assault{}, map[string][]bystanders{}
	}
	if len(b.assaults[name]) == 0 {
		b.names = append(b.names, name)
	}
	b.assaults[name] = append(b.assaults[name], a)
	b.bystanders[name] = append(b.bystanders[name], beside)
}

// String returns a table of medians. Ratios are medians of the ratios of rounds that were neighbors.
func (b *besieged) String() string {
	columns := []struct {
		name, format string
		value        func(a assault, b bystanders) float64
	}{
		{"p50 calm", "%.2f", func(_ assault, b bystanders) float64 { return b.calm.P50 / 1e3 }},
		{"neighbor", "%.2f", func(_ assault, b bystanders) float64 { return b.neighbor.P50 / 1e3 }},
		{"attacked", "%.2f", func(a assault, _ bystanders) float64 { return a.good.P50 / 1e3 }},
		{"p99 calm", "%.2f", func(_ assault, b bystanders) float64 { return b.calm.P99 / 1e3 }},
		{"neighbor", "%.2f", func(_ assault, b bystanders) float64 { return b.neighbor.P99 / 1e3 }},
		{"attacked ms", "%.2f", func(a assault, _ bystanders) float64 { return a.good.P99 / 1e3 }},
		{"p50 of calm", "%.2f", func(a assault, b bystanders) float64 { return a.good.P50 / b.calm.P50 }},
		{"p99 of calm", "%.2f", func(a assault, b bystanders) float64 { return a.good.P99 / b.calm.P99 }},
		{"p99 of neighbor", "%.2f", func(a assault, b bystanders) float64 { return a.good.P99 / b.neighbor.P99 }},
		{"CPU % calm", "%.0f", func(_ assault, b bystanders) float64 { return b.calm.CPU }},
		{"attacked", "%.0f", func(a assault, _ bystanders) float64 { return a.good.CPU }},
		{"MiB before", "%.1f", func(a assault, _ bystanders) float64 { return float64(a.before) / 1024 }},
		{"peak", "%.1f", func(a assault, _ bystanders) float64 { return float64(a.peak) / 1024 }},
		{"after", "%.1f", func(a assault, _ bystanders) float64 { return float64(a.after) / 1024 }},
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nattack\trounds")
	for _, c := range columns {
		fmt.Fprint(w, "\t", c.name)
	}
	fmt.Fprintln(w, "\trefusals\tanswers")
	for _, name := range b.names {
		assaults := b.assaults[name]
		fmt.Fprintf(w, "%s\t%d", name, len(assaults))
		for _, c := range columns {
			values := make([]float64, len(assaults))
			for i := range assaults {
				values[i] = c.value(assaults[i], b.bystanders[name][i])
			}
			slices.Sort(values)
			fmt.Fprintf(w, "\t"+c.format, values[len(values)/2])
		}
		last := assaults[len(assaults)-1]
		fmt.Fprintf(w, "\t%d\t%v\n", last.Met, last.Answers)
	}
	w.Flush()
	return text.String()
}
