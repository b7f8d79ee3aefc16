package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/testprogram"
)

const (
	adminToken   = "admin-token-0123456789-abcdef"
	publishToken = "publish-token-0123456789-abc"
)

// startServer starts a server as a process, and returns the addresses of its listeners.
func startServer(t *testing.T) (public, admin string) {
	program, err := testprogram.Build(t.TempDir(), "broadcaster")
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr output
	cmd := exec.Command(program)
	cmd.Env = []string{"REDIS_URL=" + redistest.Start(t).URL(), "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=text", "DRAIN_TIMEOUT=1s",
		"ADMIN_TOKEN=" + adminToken, "PUBLISH_TOKEN=" + publishToken, "RATE_PER_MINUTE=1000000", "RATE_PER_HOUR=1000000", "RATE_PER_DAY=1000000",
		"WS_MAX_CONNECTIONS_PER_USER=1000", "MAX_CONNECTIONS_PER_ADDRESS=100000", "WS_HEARTBEAT=60s", "HISTORY_TICKS=100000"}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = redistest.ProcAttr()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, stderr.text())
		}
	})
	redistest.Eventually(t, "the listeners are open", func() bool {
		public, admin = stdout.between("fxcast is at ", "/\n"), stderr.between(`msg="admin listener" addr=`, "\n")
		return public != "" && admin != ""
	})
	return public, "http://" + strings.Fields(admin)[0]
}

// output is what a process writes.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// between returns the text between two others, or "".
func (o *output) between(begin, end string) string {
	_, rest, _ := strings.Cut(o.text(), begin)
	found, _, ok := strings.Cut(rest, end)
	if !ok {
		return ""
	}
	return found
}

// call makes a request with a bearer token.
func call(t *testing.T, token, url, body string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
}

// TestCuts checks that connections which are cut at random moments lose no tick and repeat none. With
// FXCAST_LONG=1 there are 1,000 cuts of 100 clients.
func TestCuts(t *testing.T) {
	clients, cuts, ticks := 5, 6, 400
	if os.Getenv("FXCAST_LONG") != "" {
		clients, cuts, ticks = 100, 10, 1500
	}
	symbols := []string{"EUR/USD", "GBP/USD", "USD/JPY"}
	public, admin := startServer(t)
	var session struct{ Token string }
	call(t, adminToken, admin+"/api/v1/sessions", `{"user_id":"7","role":"user"}`, &session)
	publish := func(n int) {
		var quotes []string
		for _, symbol := range symbols {
			quotes = append(quotes, fmt.Sprintf(`{"symbol":%q,"bid":"1.1%06d","ask":"1.1%06d"}`, symbol, n, n+100))
		}
		var answer struct{ Accepted int }
		if call(t, publishToken, public+"/api/v1/quotes", "["+strings.Join(quotes, ",")+"]", &answer); answer.Accepted != len(symbols) {
			t.Fatalf("tick %d: %d of %d quotes accepted", n, answer.Accepted, len(symbols))
		}
	}
	publish(1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var begun, ended sync.WaitGroup
	begun.Add(clients)
	proxies := make([]*redistest.Proxy, clients)
	for i := range clients {
		proxies[i] = redistest.StartProxy(t, strings.TrimPrefix(public, "http://"))
		o := client.WithScale(client.Options{URL: "http://" + proxies[i].Addr(), Token: session.Token}, 0.1)
		ended.Go(func() {
			hasBegun := sync.OnceFunc(begun.Done)
			defer hasBegun()
			fx, err := client.Dial(ctx, o)
			if err != nil {
				t.Error(err)
				return
			}
			defer fx.Close()
			sub, err := fx.Subscribe([]string{symbols[0], "*"}[i%2:][:1], client.All)
			if err != nil {
				t.Error(err)
				return
			}
			complete, want := 0, 1+i%2*(len(symbols)-1)
			seqs := map[string]int{}
			for q, err := range sub.Quotes(ctx) {
				if err != nil {
					t.Errorf("client %d: %v, has %v", i, err, seqs)
					return
				}
				if seqs[q.Symbol]++; int(q.Seq) != seqs[q.Symbol] || q.Bid != fmt.Sprintf("1.1%06d", q.Seq) {
					t.Errorf("client %d: %s %d %s after %d", i, q.Symbol, q.Seq, q.Bid, seqs[q.Symbol]-1)
					return
				}
				if len(seqs) == want {
					hasBegun()
				}
				if int(q.Seq) == ticks {
					if complete++; complete == want {
						return
					}
				}
			}
		})
	}
	begun.Wait()
	made := 0
	for n := 2; n <= ticks; n++ {
		publish(n)
		for made < clients*cuts*n/ticks {
			if proxies[rand.IntN(clients)].Reset() > 0 {
				made++
			}
		}
	}
	ended.Wait()
	t.Logf("%d cuts of %d clients, %d ticks of %d symbols", made, clients, ticks, len(symbols))
}
