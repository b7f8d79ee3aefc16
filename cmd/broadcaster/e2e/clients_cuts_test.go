package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/internal/nodetest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A cutReport is what a client that was cut has received.
type cutReport struct {
	Connects int // how often it was live
	Gaps     []string
	Symbols  map[string]*seenTicks
}

// seenTicks are the ticks of one symbol.
type seenTicks struct {
	First, Last, Count uint64
	Ascending          bool // each by one
}

// startCuts starts a client in mode all at each URL. reports waits until they have the last tick of
// each symbol, but not forever.
type startCuts func(t *testing.T, token string, symbols, urls []string) (reports func(last map[string]uint64) []cutReport)

// TestPythonCuts cuts clients for Python.
func TestPythonCuts(t *testing.T) {
	testCuts(t, cutProcess(func(t *testing.T, args ...string) *exec.Cmd {
		return python(t, nil, "clients/python/tests/cuts.py", args...)
	}))
}

// TestJavaScriptCuts cuts JavaScript clients.
func TestJavaScriptCuts(t *testing.T) {
	testCuts(t, cutProcess(func(t *testing.T, args ...string) *exec.Cmd {
		folder := filepath.Join(root, "clients/js")
		return nodetest.Command(t, folder, append([]string{filepath.Join(folder, "testdata/cuts.mjs")}, args...)...)
	}))
}

// TestGoCuts cuts clients of package client.
func TestGoCuts(t *testing.T) { testCuts(t, goCuts) }

// cutProcess starts clients in a process, as clients/python/tests/cuts.py describes.
func cutProcess(command func(t *testing.T, args ...string) *exec.Cmd) startCuts {
	return func(t *testing.T, token string, symbols, urls []string) func(map[string]uint64) []cutReport {
		args := append([]string{token}, symbols...)
		cmd := command(t, append(append(args, "--"), urls...)...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func(last map[string]uint64) (reports []cutReport) {
			if err := json.NewEncoder(in).Encode(last); err != nil {
				t.Error(err)
			}
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var r cutReport
				if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
					t.Errorf("%v: %s", err, lines.Text())
				}
				reports = append(reports, r)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			return reports
		}
	}
}

// goCuts starts clients of package client.
func goCuts(t *testing.T, token string, symbols, urls []string) func(map[string]uint64) []cutReport {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var mu sync.Mutex // guards reports
	reports := make([]cutReport, len(urls))
	for i, url := range urls {
		r := &reports[i]
		r.Symbols = map[string]*seenTicks{}
		running.Go(func() {
			fx, err := client.Dial(ctx, client.Options{URL: url, Token: token, OnState: func(s client.State) {
				if s == client.Live {
					mu.Lock()
					r.Connects++
					mu.Unlock()
				}
			}})
			if err != nil {
				t.Error(err)
				return
			}
			defer fx.Close()
			sub, err := fx.Subscribe(symbols, client.All)
			if err != nil {
				t.Error(err)
				return
			}
			for q, err := range sub.Quotes(ctx) {
				mu.Lock()
				seen := r.Symbols[q.Symbol]
				switch {
				case err != nil && ctx.Err() == nil:
					r.Gaps = append(r.Gaps, err.Error())
				case err != nil:
				case seen == nil:
					r.Symbols[q.Symbol] = &seenTicks{First: q.Seq, Last: q.Seq, Count: 1, Ascending: true}
				default:
					seen.Ascending = seen.Ascending && q.Seq == seen.Last+1
					seen.Last = q.Seq
					seen.Count++
				}
				mu.Unlock()
			}
		})
	}
	return func(last map[string]uint64) []cutReport {
		reached := func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range reports {
				for symbol, seq := range last {
					if seen := r.Symbols[symbol]; seen == nil || seen.Last < seq {
						return false
					}
				}
			}
			return true
		}
		for deadline := time.Now().Add(90 * time.Second); !reached() && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		running.Wait()
		return reports
	}
}

// testCuts cuts clients off at random moments, by a reset or by silence, each time while quotes come.
// None misses a tick, gets one twice, or connects more than ten times in a minute.
func testCuts(t *testing.T, start startCuts) {
	t.Parallel()
	clients, cuts := 8, 3
	if long {
		clients, cuts = 100, 10
	}
	symbols := []string{"EUR/USD", "GBP/JPY"}
	// A client that was cut ten times waits for the rest of its minute.
	n := startNode(t, redistest.Start(t), "HISTORY_TICKS=6000")
	proxies, urls := make([]*redistest.Proxy, clients), make([]string, clients)
	for i := range proxies {
		proxies[i] = redistest.StartProxy(t, strings.TrimPrefix(n.public, "http://"))
		urls[i] = "ws://" + proxies[i].Addr() + "/ws"
	}
	reports := start(t, n.signIn("7", "user").Token, symbols, urls)
	publishing, stop := context.WithCancel(t.Context())
	var published, cutting sync.WaitGroup
	published.Go(func() { n.publishTicks(publishing, 20*time.Millisecond, symbols...) })
	const live = 2000 // bytes: more than a client gets before it has sent its subscriptions
	for _, p := range proxies {
		cutting.Go(func() {
			for range cuts {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
				for waiting := time.Now(); p.Delivered() < live; time.Sleep(10 * time.Millisecond) {
					if time.Since(waiting) > 2*time.Minute {
						t.Error("a client gets no quotes")
						return
					}
				}
				if rand.IntN(3) == 0 {
					p.Cut() // the client finds the silence
					p.Restore()
				} else {
					p.Reset()
				}
			}
		})
	}
	cutting.Wait()
	stop()
	published.Wait()
	last := n.publishTicks(publishing, time.Second, symbols...) // which a client that was just cut cannot have
	connects := 0
	got := reports(last)
	for _, r := range got {
		connects += r.Connects
		if len(r.Gaps) > 0 || r.Connects < cuts+1 {
			t.Errorf("a client was live %d times after %d cuts, and reports the gaps %q", r.Connects, cuts, r.Gaps)
		}
		for _, symbol := range symbols {
			if s := r.Symbols[symbol]; s == nil || s.Last != last[symbol] || !s.Ascending || s.Count != s.Last-s.First+1 {
				t.Errorf("%s up to %d: %+v", symbol, last[symbol], s)
			}
		}
	}
	if len(got) != clients {
		t.Errorf("%d reports of %d clients", len(got), clients)
	}
	shortest := time.Hour
	for _, p := range proxies {
		for opened := p.Opened(); len(opened) > 10; opened = opened[1:] {
			shortest = min(shortest, opened[10].Sub(opened[0]))
		}
	}
	if shortest < 58*time.Second { // a busy machine sees the first of them late
		t.Errorf("a client connected eleven times in %v", shortest)
	}
	t.Logf("%d clients were live %d times after %d cuts each, up to %v; eleven connects took %v or more", clients, connects, cuts, last, shortest)
}
