// Command compare measures fxcast, the floor and the centrifuge peer side by
// side with cmd/loadgen and writes docs/benchmarks.md with a plot. Rounds are
// interleaved, the order is reversed in every second round, every run has fresh
// processes, and medians are reported. Run it from the repository root:
//
//	go -C bench/compare run . -root ../..
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A candidate is a server, the way to start it, and the way to load it, for a scenario.
type candidate struct {
	name    string
	kind    string   // fxcast, floor or centrifuge
	dialect string   // of loadgen
	servers []string // more arguments of the server
	load    []string // more arguments of loadgen
}

// A scenario is one load and the candidates that get it.
type scenario struct {
	name       string
	text       string
	load       []string
	candidates []candidate
	rounds     int
}

var (
	fxcast     = candidate{name: "fxcast", kind: "fxcast", dialect: "fxcast"}
	fxcastPB   = candidate{name: "fxcast, fx.v1.pb", kind: "fxcast", dialect: "fxcast-pb"}
	floor      = candidate{name: "floor", kind: "floor", dialect: "plain"}
	centrifuge = candidate{name: "centrifuge", kind: "centrifuge", dialect: "centrifuge"}
	// Its options for less CPU and fewer bytes.
	cfDelayed  = candidate{name: "centrifuge, WriteDelay 2 ms", kind: "centrifuge", dialect: "centrifuge", servers: []string{"-write-delay", "2ms"}}
	cfProtobuf = candidate{name: "centrifuge, Protobuf", kind: "centrifuge", dialect: "centrifuge-protobuf"}
	cfBest     = candidate{name: "centrifuge, WriteDelay 2 ms, Protobuf", kind: "centrifuge", dialect: "centrifuge-protobuf", servers: []string{"-write-delay", "2ms"}}
	cfDelta    = candidate{name: "centrifuge, WriteDelay 2 ms, Protobuf, deltas", kind: "centrifuge", dialect: "centrifuge-delta", servers: []string{"-write-delay", "2ms", "-delta"}}
	cfSlow     = candidate{name: "centrifuge, WriteDelay 250 ms", kind: "centrifuge", dialect: "centrifuge", servers: []string{"-write-delay", "250ms"}}
)

func (c candidate) with(name string, load ...string) candidate {
	c.name, c.load = name, load
	return c
}

func scenarios(rounds int) []scenario {
	all := []candidate{fxcast, floor, centrifuge}
	args := func(s string) []string { return strings.Fields(s) }
	list := []scenario{
		{"single", "1,000 clients, 50 quotes/s, one at a time", args("-n 1000 -rate 50"), append(slices.Clone(all), fxcastPB, cfProtobuf), rounds},
		{"burst", "1,000 clients, 100 quotes/s in bursts of 10 symbols", args("-n 1000 -rate 100 -burst 10 -symbols 10"), append(slices.Clone(all), fxcastPB, cfDelayed, cfBest, cfDelta), rounds},
		{"many", "10,000 clients, 5 quotes/s", args("-n 10000 -rate 5 -run 6s"), all, max(1, rounds-1)},
		{"overload", "1,000 clients, 1,000 quotes/s in bursts of 10 symbols: 1M deliveries/s offered", args("-n 1000 -rate 1000 -burst 10 -symbols 10 -drain 2s"), []candidate{fxcast, floor}, rounds},
		{"stuck", "1,000 clients, 50 quotes/s, with and without 10 % that never read", args("-n 1000 -rate 50"),
			[]candidate{fxcast.with("all read"), fxcast.with("10 % stuck", "-stuck", "100")}, rounds},
		{"churn", "1,000 clients, 50 quotes/s, with and without 200 joins and leaves per second", args("-n 1000 -rate 50"),
			[]candidate{fxcast.with("all stay"), fxcast.with("200 joins/s", "-churn", "200")}, rounds},
		{"interest", "1,000 clients that want 10 symbols, of 10 or of 1,000 published", args("-n 1000 -run 4s"),
			[]candidate{fxcast.with("10 published", args("-symbols 10 -wanted 10 -rate 10 -burst 10")...), fxcast.with("1,000 published", args("-symbols 1000 -wanted 10 -rate 1000 -burst 10")...)}, rounds},
		{"pace", "500 clients with 28 symbols, 300 quotes/s, with and without a pace of 250 ms", args("-n 500 -rate 300 -symbols 28"),
			[]candidate{fxcast.with("fxcast", "-wildcard"), fxcast.with("fxcast, pace 250 ms", args("-wildcard -pace 250ms")...),
				fxcast.with("fxcast, aligned pace 250 ms", args("-wildcard -pace 250ms -align")...),
				fxcastPB.with("fxcast, fx.v1.pb, pace 250 ms", args("-wildcard -pace 250ms")...), cfSlow}, rounds},
		{"sets", "1,000 clients that want 10 of 100 symbols, 100 quotes/s in bursts of 10", args("-n 1000 -rate 100 -burst 10 -symbols 100 -wanted 10 -run 4s"),
			[]candidate{fxcast.with("the same 10"), fxcast.with("each other ones", "-different")}, rounds},
	}
	for _, n := range []string{"5", "28", "200"} {
		list = append(list, idle("idle"+n, "10,000 idle clients, "+n+" symbols each", fxcast, centrifuge, "-symbols", n))
	}
	list = append(list, idle("idle-different", "10,000 idle clients, 200 of 400 symbols each, each other ones", fxcast, centrifuge, "-symbols", "400", "-wanted", "200", "-different"))
	for _, rate := range []int{10, 25, 100} {
		list = append(list, scenario{fmt.Sprintf("sweep%d", rate), fmt.Sprintf("1,000 clients, %d quotes/s", rate),
			args(fmt.Sprintf("-n 1000 -rate %d -run 3s", rate)), all, 1})
	}
	return list
}

func idle(name, text string, a, b candidate, load ...string) scenario {
	return scenario{name, text, append([]string{"-n", "10000", "-idle", "8s", "-run", "0s"}, load...), []candidate{a, b}, 1}
}

// A sample is the result of loadgen, by its JSON names.
type sample map[string]any

func (s sample) number(name string) float64 { v, _ := s[name].(float64); return v }

func main() {
	log.SetFlags(0)
	root := flag.String("root", "../..", "the repository")
	rounds := flag.Int("rounds", 3, "rounds of each scenario")
	only := flag.String("only", "", "comma list of scenarios to run, without writing the report")
	flag.Parse()
	bin, err := build(*root)
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(bin)
	began := time.Now()
	var done []measured
	for _, s := range scenarios(*rounds) {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		m, err := measure(bin, s)
		if err != nil {
			log.Fatalf("%s: %v", s.name, err)
		}
		done = append(done, m)
		log.Print(m.table())
	}
	if *only != "" {
		return
	}
	if err := report(filepath.Join(*root, "docs"), done, time.Since(began)); err != nil {
		log.Fatal(err)
	}
}

// build builds all programs in a temporary folder.
func build(root string) (string, error) {
	bin, err := os.MkdirTemp("", "compare")
	if err != nil {
		return "", err
	}
	for _, b := range [][2]string{{".", "./cmd/broadcaster"}, {".", "./cmd/loadgen"}, {"bench/floor", "."}, {"bench/centrifuge", "."}} {
		c := exec.Command("go", "build", "-o", bin+string(filepath.Separator), b[1])
		c.Dir = filepath.Join(root, b[0])
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w: %s", b, err, out)
		}
	}
	return bin, nil
}

// measured holds the samples of a scenario, by candidate, in rounds.
type measured struct {
	scenario
	samples [][]sample
}

func measure(bin string, s scenario) (measured, error) {
	m := measured{s, make([][]sample, len(s.candidates))}
	for round := range s.rounds {
		order := make([]int, len(s.candidates))
		for i := range order {
			order[i] = i
		}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			one, err := runOnce(bin, s, s.candidates[i])
			if err != nil {
				return m, fmt.Errorf("%s: %w", s.candidates[i].name, err)
			}
			m.samples[i] = append(m.samples[i], one)
		}
	}
	return m, nil
}

// runOnce starts Redis and a server, puts load on the server, and ends both.
func runOnce(bin string, s scenario, c candidate) (sample, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	redisAddr, addr, admin := ports[0], ports[1], ports[2]
	_, redisPort, _ := net.SplitHostPort(redisAddr)
	redis := exec.Command("redis-server", "--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	stopRedis, err := start(redis, redisAddr)
	if err != nil {
		return nil, err
	}
	defer stopRedis()
	const token = "benchmark-token-of-24-chars-or-more"
	server := exec.Command(filepath.Join(bin, c.kind), append([]string{"-addr", addr, "-redis", redisAddr}, c.servers...)...)
	load := []string{"-json", "-dialect", c.dialect, "-url", "ws://" + addr + "/ws", "-redis", "redis://" + redisAddr, "-warm", "1s", "-run", "4s"}
	switch c.kind {
	case "fxcast":
		server = exec.Command(filepath.Join(bin, "broadcaster"))
		server.Env = append(os.Environ(), "REDIS_URL=redis://"+redisAddr, "HTTP_ADDR="+addr, "ADMIN_ADDR="+admin, "ADMIN_TOKEN="+token, "LOG_LEVEL=error")
		load = append(load, "-admin", "http://"+admin, "-admin-token", token)
	default:
		load = append(load, "-channel", "bench:in")
	}
	stopServer, err := start(server, addr)
	if err != nil {
		return nil, err
	}
	defer stopServer()
	load = append(load, "-pid", strconv.Itoa(server.Process.Pid))
	out, err := exec.Command(filepath.Join(bin, "loadgen"), slices.Concat(load, s.load, c.load)...).Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			return nil, fmt.Errorf("loadgen: %s", exit.Stderr)
		}
		return nil, err
	}
	one := sample{}
	return one, json.Unmarshal(out, &one)
}

// start starts a server, which runs until stop, and waits until it listens.
func start(c *exec.Cmd, addr string) (stop func(), err error) {
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("%s does not listen on %s", c.Path, addr)
}

func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
