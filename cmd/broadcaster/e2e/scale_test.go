package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/testprogram"
)

// A nodeLoad is what loadgen reports of the clients of one node.
type nodeLoad struct {
	Clients       int
	Delivered     int
	PerSecond     float64 `json:"delivered_per_s"`
	Lost, Doubled int
	Skipped       int
	ServerCPU     float64 `json:"server_us_per_delivery"`
	ClientCPU     float64 `json:"server_us_per_client_second"`
	Percent       float64 `json:"server_cpu_percent"`
	RSSKB         int     `json:"rss_kb"`
	P50           int     `json:"p50_us"`
	P99           int     `json:"p99_us"`
	Closes        map[string]int
}

// TestThreeNodes measures three nodes on a cluster of three masters, for docs/scaling.md: it prints
// what each node and each master spent. FXCAST_SCALE is the number of clients; without it there are
// 300, whose quotes must arrive. The machine should have nothing else to do.
func TestThreeNodes(t *testing.T) {
	const nodes, symbols = 3, 10
	clients, warm, run := 300, time.Second, 2*time.Second
	if text := os.Getenv("FXCAST_SCALE"); text != "" {
		var err error
		if clients, err = strconv.Atoi(text); err != nil {
			t.Fatalf("FXCAST_SCALE: %v", err)
		}
		warm, run = 5*time.Second, 20*time.Second
	} else {
		t.Parallel()
	}
	loadgen, err := testprogram.Build(t.TempDir(), "loadgen")
	if err != nil {
		t.Fatal(err)
	}
	cluster := redistest.StartCluster(t)
	environ := []string{"REDIS_MODE=cluster", "REDIS_ADDRS=" + strings.Join(cluster.Addrs(), ","), "ADMIN_TOKEN=" + adminToken, "LOG_LEVEL=warn", "DRAIN_TIMEOUT=1s",
		"MAX_CONNECTIONS_PER_ADDRESS=100000", "RATE_PER_MINUTE=1000000", "RATE_PER_HOUR=1000000", "RATE_PER_DAY=1000000"}
	var all [nodes]*processNode
	for i := range all {
		all[i] = serveProgram(t, environ...)
	}
	for _, load := range []struct {
		name string
		rate int // quotes per second, of all symbols
		args []string
	}{
		{"every tick", 2, nil},
		{"pace of 1 s", 50, []string{"-pace", "1s"}},
	} {
		feed := program(t.Context(), t, environ, "feed", "simulate", "--rate", strconv.Itoa(load.rate), "--seed", "1",
			"--symbols", "EUR/USD,GBP/USD,USD/JPY,USD/CHF,AUD/USD,NZD/USD,USD/CAD,EUR/GBP,EUR/JPY,GBP/JPY")
		feed.SysProcAttr = redistest.ProcAttr()
		if err := feed.Start(); err != nil {
			t.Fatal(err)
		}
		before, began := masterSeconds(t, cluster), time.Now()
		var found [nodes]nodeLoad
		var loads sync.WaitGroup
		for i, n := range all {
			loads.Go(func() {
				args := append([]string{"-url", "ws" + strings.TrimPrefix(n.public, "http") + "/ws", "-admin", n.admin, "-admin-token", adminToken, "-pid", strconv.Itoa(n.cmd.Process.Pid),
					"-n", strconv.Itoa(clients / nodes), "-ramp", "500", "-symbols", strconv.Itoa(symbols), "-warm", warm.String(), "-run", run.String(), "-json"}, load.args...)
				var errs bytes.Buffer
				cmd := exec.CommandContext(t.Context(), loadgen, args...)
				cmd.Stderr, cmd.SysProcAttr = &errs, redistest.ProcAttr()
				out, err := cmd.Output()
				if err != nil {
					t.Errorf("loadgen: %v: %s", err, &errs)
				} else if err := json.Unmarshal(out, &found[i]); err != nil {
					t.Error(err)
				}
			})
		}
		loads.Wait()
		after, took := masterSeconds(t, cluster), time.Since(began).Seconds()
		_ = feed.Process.Signal(os.Interrupt)
		_ = feed.Wait() // 130: interrupted
		var report strings.Builder
		fmt.Fprintf(&report, "%s: %d clients with %d symbols, %d quotes/s in all\n", load.name, clients, symbols, load.rate)
		for i, f := range found {
			fmt.Fprintf(&report, "node %d: %d clients, %.0f delivered/s, %.2f µs per delivery, %.0f µs per client and second, %.0f %% of a core, %d MB, p50 %.1f ms, p99 %.1f ms, skipped %d, lost %d\n",
				i+1, f.Clients, f.PerSecond, f.ServerCPU, f.ClientCPU, f.Percent, f.RSSKB/1024, float64(f.P50)/1e3, float64(f.P99)/1e3, f.Skipped, f.Lost+f.Doubled)
			if f.Clients != clients/nodes || f.Delivered == 0 || f.Lost+f.Doubled > 0 || len(f.Closes) > 0 {
				t.Errorf("node %d: %+v", i+1, f)
			}
		}
		for i := range after {
			fmt.Fprintf(&report, "master %d: %.1f %% of a core, sessions and connects included\n", i+1, 100*(after[i]-before[i])/took)
		}
		t.Log(report.String())
	}
}

// masterSeconds returns the processor time that each master has used.
func masterSeconds(t *testing.T, cluster *redistest.Cluster) (seconds []float64) {
	t.Helper()
	for i := range 3 {
		info, err := cluster.Server(i).Client().Info(t.Context(), "cpu").Result()
		if err != nil {
			t.Fatal(err)
		}
		total := 0.0
		b := &programtest.Buffer{}
		b.Write([]byte(info))
		for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
			v, err := strconv.ParseFloat(b.Find("(?m)^"+name+`:([\d.]+)`), 64)
			if err != nil {
				t.Fatal(err)
			}
			total += v
		}
		seconds = append(seconds, total)
	}
	return seconds
}
