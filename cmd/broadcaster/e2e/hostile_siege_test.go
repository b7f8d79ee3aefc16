package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/testprogram"
)

const lowest = 19 // of the priorities of processes

// A siege is a node with the limits that it has by default, whose clients and attackers are
// processes of loadgen.
type siege struct {
	t        *testing.T
	node     *processNode
	redisURL string
	loadgen  string
	sources  int // addresses of an attack
	symbols  int
	good     []string // arguments of the good clients
	nice     int      // of the attacker; 0 where nothing is measured
	neighbor *siege   // whose node is attacked to learn what an attack costs the machine; may be nil
	networks int      // used so far; limits know addresses for longer than an attack lasts
}

// newSiege starts the node. Each symbol has a history of so many quotes.
func newSiege(t *testing.T, sources, symbols, history int, good ...string) *siege {
	t.Helper()
	loadgen, err := testprogram.Build(t.TempDir(), "loadgen")
	if err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t)
	node := serveProgram(t, "REDIS_URL="+server.URL(), "ADMIN_TOKEN="+adminToken, "GUEST_SESSIONS=true", "GUEST_CONNECTIONS_PER_ADDRESS=20", "DRAIN_TIMEOUT=1s")
	s := &siege{t: t, node: node, redisURL: server.URL(), loadgen: loadgen, sources: sources, symbols: symbols, good: good}
	s.load("-n", "1", "-rate", strconv.Itoa(symbols*history), "-burst", strconv.Itoa(symbols), "-warm", "1ms", "-run", "1s")
	return s
}

// A goodResult is what loadgen reports of good clients.
type goodResult struct {
	Clients            int
	Delivered, Skipped int
	Lost, Doubled      int
	NotLatest          int `json:"not_latest"`
	Closes             map[string]int
	Ended              int     `json:"ended_without_close"`
	P50                float64 `json:"p50_us"`
	P99                float64 `json:"p99_us"`
	CPU                float64 `json:"server_cpu_percent"`
}

// harmed describes what a good client must never see, or is empty.
func (r goodResult) harmed() string {
	if len(r.Closes)+r.Ended+r.Lost+r.Doubled+r.NotLatest == 0 && r.Delivered > 0 {
		return ""
	}
	return fmt.Sprintf("closed %v and %d without a code; lost %d, doubled %d, not latest %d of %d quotes", r.Closes, r.Ended, r.Lost, r.Doubled, r.NotLatest, r.Delivered)
}

// load has good clients connect and receive quotes. None of them may be refused.
func (s *siege) load(args ...string) (r goodResult) {
	s.t.Helper()
	c := exec.Command(s.loadgen, append([]string{"-json", "-url", s.socketURL(), "-redis", s.redisURL,
		"-admin", s.node.admin, "-admin-token", adminToken, "-pid", strconv.Itoa(s.node.cmd.Process.Pid), "-symbols", strconv.Itoa(s.symbols), "-drain", "30s"}, args...)...)
	out, err := c.Output()
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		s.t.Fatalf("good clients: %v: %s", err, exit.Stderr)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *siege) socketURL() string { return "ws" + strings.TrimPrefix(s.node.public, "http") + "/ws" }

// attacks returns the names of all attacks.
func (s *siege) attacks() (names []string) {
	out, err := exec.Command(s.loadgen, "-attack", "list").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		names = append(names, strings.Fields(line)[0])
	}
	return names
}

// An assault is what an attack met with, and what became of the node and of good clients meanwhile.
type assault struct {
	Met                 int            // answers by which the node bounds the attack
	Answers             map[string]int // all
	Metric              string         // of those that bound it; may be empty
	counted             float64
	good                goodResult
	before, peak, after int // memory of the node, KiB
}

// lowerPriority gives all threads of the node the lowest priority.
func (s *siege) lowerPriority() {
	s.t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.node.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, task := range tasks { // later ones inherit it
		id, _ := strconv.Atoi(task.Name())
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, lowest) // a thread may have ended
	}
}

// play attacks the target's node from addresses of its own while good clients of s connect and receive
// quotes. The attack ends after them, once the node has refused it. In a long run it has the lowest
// priority: it takes only the time of the processors that neither the node nor the good clients want.
func (s *siege) play(name string, target *siege) (a assault) {
	s.t.Helper()
	s.networks++
	from := netip.AddrFrom4([4]byte{127, 1 + byte(s.networks>>8), byte(s.networks), 0})
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "nice", "-n", strconv.Itoa(s.nice), s.loadgen, "-attack", name, "-json", "-url", target.socketURL(), "-from", from.String(),
		"-sources", strconv.Itoa(s.sources), "-symbols", strconv.Itoa(s.symbols), "-run", "5m")
	c.SysProcAttr, c.Stderr = redistest.ProcAttr(), os.Stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	target.resetPeak()
	a.before = target.memory("VmRSS")
	metrics := target.metrics()
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	a.good = s.load(s.good...)
	lines := bufio.NewScanner(stdout)
	lines.Scan() // the first expected answer
	if err := c.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	first := lines.Text()
	lines.Scan()
	if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
		s.t.Fatalf("%s: %v: %s %s", name, err, first, lines.Text())
	}
	if err := c.Wait(); err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	a.counted = sum(target.metrics(), a.Metric) - sum(metrics, a.Metric)
	a.peak, a.after = target.memory("VmHWM"), target.memory("VmRSS")
	return a
}

// metrics returns the metrics of the node.
func (s *siege) metrics() string {
	return s.node.do("GET", s.node.admin+"/metrics", "", nil).body
}

// sum adds up the metrics that begin so.
func sum(metrics, beginning string) (total float64) {
	for line := range strings.Lines(metrics) {
		if i := strings.LastIndexByte(line, ' '); strings.HasPrefix(line, beginning) {
			value, _ := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
			total += value
		}
	}
	return total
}

// memory returns a size of the node's process by its name in /proc, in KiB.
func (s *siege) memory(name string) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.node.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		s.t.Fatalf("no %s in /proc", name)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib
}

// resetPeak makes VmHWM begin at the memory of now.
func (s *siege) resetPeak() {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.node.cmd.Process.Pid), []byte("5"), 0); err != nil {
		s.t.Fatal(err)
	}
}
