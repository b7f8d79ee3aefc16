package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

const (
	restartNodes = 3
	restartDrain = 4 * time.Second // half of DRAIN_TIMEOUT is the pace of a drain
	window       = 100 * time.Millisecond
)

// peak is the most of times within any window.
func peak(times []time.Time) (most int) {
	slices.SortFunc(times, time.Time.Compare)
	for i := range times {
		n := i
		for n < len(times) && times[n].Sub(times[i]) < window {
			n++
		}
		most = max(most, n-i)
	}
	return most
}

// TestRollingRestart restarts three nodes in turn, as operators do, while clients
// of mode all listen and ticks are published. Nobody misses a tick or begins anew,
// and nobody comes back in a crowd.
func TestRollingRestart(t *testing.T) {
	clients, per := 600, 100 // per session
	if long {
		clients = 2000
	}
	server := redistest.Start(t)
	environ := []string{"REDIS_URL=" + server.URL(), fmt.Sprint("HISTORY_TICKS=", arenaHistory),
		"WS_MAX_CONNECTIONS_PER_USER=10000", "WS_HEARTBEAT=20s", fmt.Sprint("DRAIN_TIMEOUT=", 2*restartDrain)}
	a := &arena{t: t, rdb: server.Client(), environ: environ, tokens: map[string]madeSession{}}
	for range restartNodes {
		a.nodes = append(a.nodes, startProcess(t, environ...))
	}
	going := -1 // the node that a load balancer would not choose; guarded by a.mu
	choose := func(turn int) *processNode {
		a.mu.Lock()
		defer a.mu.Unlock()
		if turn %= restartNodes; turn == going {
			turn = (turn + 1) % restartNodes
		}
		return a.nodes[turn]
	}
	p := faulttest.NewPublisher(1, arenaSymbols[:2], faulttest.OverHTTP(a.nodes[0].http, func() string { return choose(0).public }, otherPub))
	publishing, stop := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	sending.Go(func() { p.Run(publishing, 500*time.Millisecond) })
	defer sending.Wait()
	defer stop()

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var user madeSession
	for i := range clients {
		if i%per == 0 {
			user = a.nodes[0].signIn(fmt.Sprint("user", i/per), "user")
		}
		turn := i - 1
		cfg := faulttest.ClientConfig{Name: fmt.Sprint("client-", i), Mode: faulttest.All, Symbols: arenaSymbols[:2],
			Token: user.Token, Stream: i%10 == 9, Binary: i%2 == 0, Silence: time.Minute}
		cfg.Address = func() string { turn++; return choose(turn).public }
		c := faulttest.NewClient(cfg)
		a.clients = append(a.clients, c)
		running.Go(func() { c.Run(ctx) })
		if i%20 == 19 { // not more at once than the nodes can take
			programtest.Eventually(t, "clients are connected", c.Connected)
		}
	}
	field := faulttest.Field{Publishers: []*faulttest.Publisher{p}, Clients: a.clients, Log: t.Logf}
	right, done := context.WithTimeout(t.Context(), 5*time.Minute)
	defer done()
	if err := field.AwaitRight(right); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range restartNodes {
		a.mu.Lock()
		going = i
		n := a.nodes[i]
		a.mu.Unlock()
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-n.ended
		n.terminate() // has it ended well?
		a.relaunch(i)
		a.mu.Lock()
		going = -1
		a.mu.Unlock()
		if err := field.AwaitRight(right); err != nil {
			t.Fatalf("after the restart of node %d: %v", i, err)
		}
	}
	took := time.Since(began)
	stop()
	sending.Wait()
	if err := p.Finish(right); err != nil {
		t.Fatal(err)
	}
	if err := field.AwaitLast(right); err != nil {
		t.Error("not everybody gets the last ticks")
	}
	cancel()
	running.Wait()
	for _, v := range shortened(faulttest.Verify(p.Ticks(), a.keptOf(arenaSymbols[:2]), a.records())) {
		t.Error(v)
	}
	closings, others, resets, refused := 0, map[int]int{}, 0, 0
	var advised, came []time.Time
	for _, r := range a.records() {
		connected := false
		for _, e := range r.Events {
			switch {
			case e.Kind == faulttest.Connected:
				connected = true
				if e.At.After(began) {
					came = append(came, e.At)
				}
			case e.Kind == faulttest.Closing:
				advised = append(advised, e.At.Add(e.Advice))
			case e.Kind == faulttest.Reset:
				resets++
			case e.Kind != faulttest.Closed:
			case !connected: // it had chosen a node that was gone when its dial arrived
				refused++
			case e.Code == 1012:
				closings++
			default:
				others[e.Code]++
				t.Errorf("%s was closed with %d", r.Client, e.Code)
			}
			connected = connected && e.Kind != faulttest.Closed
		}
	}
	// The last node to restart has most of the clients. It closes them evenly over the pace,
	// and advises each a moment within two seconds. What a window holds is then random.
	rate := max(200, float64(clients)/restartDrain.Seconds())
	bound := int(2 * rate * window.Seconds())
	most := peak(advised)
	t.Logf("%d clients, three restarts in %v: %d closed with 1012, %d came back, %d dials refused; within %v at most %d were advised to, %d did", clients,
		took.Round(time.Millisecond), closings, len(came), refused, window, most, peak(came))
	if closings < clients || len(others) > 0 || resets > 0 {
		t.Errorf("%d closed with 1012, want at least as many as there are clients; otherwise %v; %d resets", closings, others, resets)
	}
	if most > bound {
		t.Errorf("within %v %d clients were advised to come back, want at most %d", window, most, bound)
	}
}
