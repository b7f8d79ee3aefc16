package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/vendortest"
)

// killTimeVariable sets for how long TestConnectKills kills.
const killTimeVariable = "FXCAST_KILL_TIME"

var vendorSymbols = []string{"EUR/USD", "USD/JPY"}

// TestConnectKills kills the process that is connected to a vendor, a node and Redis in turn, with
// SIGKILL, while the vendor sends numbered prices. In the end each of these was accepted once and in
// order, was refused and listed, or is missing where that was reported: at the end of a connection,
// or after an outage of Redis. Clients of both nodes must have received what was promised to them.
func TestConnectKills(t *testing.T) {
	t.Parallel()
	more := func(n int) bool { return n < 3 }
	if text := os.Getenv(killTimeVariable); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v", killTimeVariable, err)
		}
		end := time.Now().Add(d)
		more = func(int) bool { return time.Now().Before(end) }
	}
	k := newKilling(t, killedServer(t))
	c := newConnectors(k)
	stop := c.startClients()
	killed := k.run(vendorSymbols, c, func(n int) (victim, bool) {
		return []victim{theProducer, theLeader, theServer}[n%3], more(n)
	})
	c.verify(killed, stop)
}

// connectors are two processes of feed connect, of which one is connected to a vendor.
type connectors struct {
	*killing
	vendor  *vendortest.Server
	clients []*faulttest.Client

	mu      sync.Mutex // guards the fields below
	running []*connector
	logs    []*programtest.Buffer // of all that ever ran
	refused map[string]bool       // bids
}

// connector is one process.
type connector struct {
	cmd     *exec.Cmd
	log     *programtest.Buffer
	metrics string
}

func newConnectors(k *killing) *connectors {
	c := &connectors{killing: k, vendor: vendortest.Start(k.t, "kraken"), refused: map[string]bool{}}
	c.vendor.Number(10 * time.Millisecond)
	c.running = []*connector{c.start(), c.start()}
	k.t.Cleanup(func() {
		for _, one := range c.running {
			_ = one.cmd.Process.Kill() // it may have ended
			_ = one.cmd.Wait()
		}
		if k.t.Failed() {
			for i, log := range c.logs {
				k.t.Logf("process %d:\n%s", i+1, log)
			}
		}
	})
	return c
}

// start starts a process and waits until it serves its metrics.
func (c *connectors) start() *connector {
	one := &connector{log: &programtest.Buffer{}}
	one.cmd = program(context.Background(), c.t, append(slices.Clone(c.settings), "LOG_FORMAT=text"), "feed", "connect", "kraken",
		"--url", c.vendor.URL, "--symbols", strings.Join(vendorSymbols, ","), "--metrics", "127.0.0.1:0")
	one.cmd.Stdout, one.cmd.Stderr, one.cmd.SysProcAttr = one.log, one.log, redistest.ProcAttr()
	if err := one.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	programtest.Eventually(c.t, "metrics are served", func() bool { return one.log.Find(`addr=(\S+)`) != "" })
	one.metrics = "http://" + one.log.Find(`addr=(\S+)`) + "/metrics"
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logs = append(c.logs, one.log)
	return one
}

// leads reports whether the process is connected, and has nothing left to report of an outage.
func (o *connector) leads(n *processNode) bool {
	resp, err := n.http.Get(o.metrics)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil || !strings.Contains(b.String(), `fx_connect_leader{vendor="kraken"} 1`) {
		return false
	}
	log := o.log.String()
	return strings.Count(log, "Redis does not accept quotes") == strings.Count(log, "Redis accepts quotes again")
}

// kill implements killedSource: it kills the process that is connected, and starts another one.
func (c *connectors) kill() {
	at := -1
	for deadline := time.Now().Add(recovery); at < 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("no process is connected for %v", recovery)
		}
		at = slices.IndexFunc(c.running, func(one *connector) bool { return one.leads(c.node(0)) })
	}
	_ = c.running[at].cmd.Process.Kill()
	_ = c.running[at].cmd.Wait() // it was killed
	c.running[at] = c.start()
}

// run implements killedSource: it notes what is refused, since the list holds the newest only.
func (c *connectors) run(ctx context.Context) {
	for look := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-look.C:
			c.noteRefused(ctx)
		case <-ctx.Done():
			look.Stop()
			return
		}
	}
}

var bidOf = regexp.MustCompile(`"bid":"?([0-9.]+)`)

func (c *connectors) noteRefused(ctx context.Context) {
	entries := c.redis.client.LRange(ctx, "fx:rejected", 0, -1).Val() // none while Redis is away
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range entries {
		var r struct{ Via, Source, Input string }
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.Via != "connect" || r.Source != "kraken" {
			c.t.Errorf("a rejection that does not name its source: %s", text)
			continue
		}
		if m := bidOf.FindStringSubmatch(r.Input); m != nil {
			c.refused[m[1]] = true
		}
	}
}

// startClients starts a client of each mode that changes between the nodes.
func (c *connectors) startClients() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, mode := range []string{faulttest.All, faulttest.Latest} {
		session := c.node(0).signIn(mode, "user")
		turn := i
		client := faulttest.NewClient(faulttest.ClientConfig{Name: mode, Mode: mode, Symbols: vendorSymbols, Token: session.Token,
			Address: func() string { turn++; return c.node(turn).public }})
		c.clients = append(c.clients, client)
		running.Go(func() { client.Run(ctx) })
	}
	stop = func() { cancel(); running.Wait() }
	c.t.Cleanup(stop)
	return stop
}

// stop ends the processes as an operator does.
func (c *connectors) stop() {
	for _, one := range c.running {
		_ = one.cmd.Process.Signal(syscall.SIGTERM)
		if err := one.cmd.Wait(); err != nil {
			c.t.Errorf("feed connect ended: %v\n%s", err, one.log)
		}
	}
}
