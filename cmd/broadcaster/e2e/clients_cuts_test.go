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

	"github.com/fxcast/fxcast/internal/nodetest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestPythonCuts cuts clients for Python.
func TestPythonCuts(t *testing.T) {
	testCuts(t, func(t *testing.T, args ...string) *exec.Cmd {
		return python(t, nil, "clients/python/tests/cuts.py", args...)
	})
}

// TestJavaScriptCuts cuts JavaScript clients.
func TestJavaScriptCuts(t *testing.T) {
	testCuts(t, func(t *testing.T, args ...string) *exec.Cmd {
		client := filepath.Join(root, "clients/js")
		return nodetest.Command(t, client, append([]string{filepath.Join(client, "testdata/cuts.mjs")}, args...)...)
	})
}

// testCuts cuts clients off at random moments, by a reset or by silence. None misses a tick or gets
// one twice. The command runs clients as clients/python/tests/cuts.py does.
func testCuts(t *testing.T, command func(t *testing.T, args ...string) *exec.Cmd) {
	t.Parallel()
	clients, cuts := 8, 3
	if long {
		clients, cuts = 100, 10
	}
	symbols := []string{"EUR/USD", "GBP/JPY"}
	// A client that was cut ten times waits for the rest of its minute.
	n := startNode(t, redistest.Start(t), "HISTORY_TICKS=6000")
	args := append([]string{n.signIn("7", "user").Token}, append(symbols, "--")...)
	proxies := make([]*redistest.Proxy, clients)
	for i := range proxies {
		proxies[i] = redistest.StartProxy(t, strings.TrimPrefix(n.public, "http://"))
		args = append(args, "ws://"+proxies[i].Addr()+"/ws")
	}
	cmd := command(t, args...)
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
	publishing, stop := context.WithCancel(t.Context())
	var last map[string]uint64
	var published, cutting sync.WaitGroup
	published.Go(func() { last = n.publishTicks(publishing, 20*time.Millisecond, symbols...) })
	for _, p := range proxies {
		cutting.Go(func() {
			for range cuts {
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
				for p.Connections() == 0 && publishing.Err() == nil { // the client waits
					time.Sleep(20 * time.Millisecond)
				}
				if rand.IntN(3) == 0 {
					p.Cut()
					time.Sleep(3200 * time.Millisecond) // the client sees the silence after 3 s
				}
				p.Reset()
				p.Restore()
			}
		})
	}
	cutting.Wait()
	stop()
	published.Wait()
	line, err := json.Marshal(last)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	reports, connects := 0, 0
	for lines := bufio.NewScanner(out); lines.Scan(); reports++ {
		var got struct {
			Connects int
			Gaps     []string
			Symbols  map[string]*struct {
				First, Last, Count uint64
				Ascending          bool
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		connects += got.Connects
		if len(got.Gaps) > 0 || got.Connects == 0 {
			t.Errorf("a client with %d connects has the gaps %q", got.Connects, got.Gaps)
		}
		for symbol, s := range got.Symbols {
			if s == nil || s.Last != last[symbol] || !s.Ascending || s.Count != s.Last-s.First+1 {
				t.Errorf("%s up to %d: %s", symbol, last[symbol], lines.Text())
			}
		}
	}
	if err := cmd.Wait(); err != nil || reports != clients {
		t.Errorf("%d reports of %d clients, %v", reports, clients, err)
	}
	// A cut may hit a client before it is live, so only their sum shows that cuts were survived.
	if connects < clients+cuts {
		t.Errorf("%d clients were live only %d times in spite of %d cuts each", clients, connects, cuts)
	}
	t.Logf("%d clients were live %d times, up to %v", clients, connects, last)
}
