package e2e

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/pythontest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// python returns a command of a script of the repository, which can import the client for Python.
func python(t *testing.T, modules []string, script string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := pythontest.Command(t, append([]string{"websockets"}, modules...), append([]string{filepath.Join(root, script)}, args...)...)
	cmd.Env = append(cmd.Env, "PYTHONPATH="+filepath.Join(root, "clients/python"))
	return cmd
}

// publishTicks publishes one quote of each symbol, and again every interval until ctx ends. It returns
// the last seq of each.
func (n *testNode) publishTicks(ctx context.Context, interval time.Duration, symbols ...string) map[string]uint64 {
	for i, ended := 0, false; !ended; i++ {
		var quotes []string
		for _, symbol := range symbols {
			quotes = append(quotes, fmt.Sprintf(`{"symbol":%q,"bid":"1.%05d","ask":"1.%[2]d5"}`, symbol, 10000+i%1000))
		}
		if a := n.do("POST", n.public+"/api/v1/quotes", "["+strings.Join(quotes, ",")+"]", bearer(pubToken)); a.status != http.StatusOK || !strings.Contains(a.body, `"rejected":[]`) {
			n.t.Errorf("publish: %d %s", a.status, a.body)
			break
		}
		select {
		case <-ctx.Done():
			ended = true
		case <-time.After(interval):
		}
	}
	last := map[string]uint64{}
	for _, symbol := range symbols {
		last[symbol] = programtest.Last(n.t, n.rdb, feed.Symbol(symbol)).Seq
	}
	return last
}

// TestPythonTicksExample runs examples/python/ticks_to_csv.py, and kills and cuts it while ticks
// come. The file has every tick once.
func TestPythonTicksExample(t *testing.T) {
	t.Parallel()
	n := startNode(t, redistest.Start(t))
	proxy := redistest.StartProxy(t, strings.TrimPrefix(n.public, "http://"))
	token, file := n.signIn("7", "user").Token, filepath.Join(t.TempDir(), "ticks.csv")
	start := func() *exec.Cmd {
		cmd := python(t, nil, "examples/python/ticks_to_csv.py", file, "EUR/USD", "GBPJPY")
		cmd.Env = append(cmd.Env, "FXCAST_URL=http://"+proxy.Addr(), "TOKEN="+token)
		cmd.Stdout, cmd.Stderr = &programtest.Buffer{}, &programtest.Buffer{}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	rows := func() [][]string {
		text, _ := os.ReadFile(file)
		read, err := csv.NewReader(strings.NewReader(string(text[:strings.LastIndexByte(string(text), '\n')+1]))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	var cmd *exec.Cmd
	grows := func(by int) {
		had := len(rows())
		for deadline := time.Now().Add(patience); len(rows()) < had+by; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the file does not grow from %d rows: %s", had, cmd.Stderr)
			}
		}
	}
	publishing, stop := context.WithCancel(t.Context())
	var last map[string]uint64
	var published sync.WaitGroup
	published.Go(func() { last = n.publishTicks(publishing, 10*time.Millisecond, "EUR/USD", "GBP/JPY") })
	for range 3 {
		cmd = start()
		grows(100)
		proxy.Reset()
		grows(50)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		if f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0); err == nil {
			_, _ = f.WriteString("2026-11-22T10:15:00,EUR/U") // as if it had been killed within a write
			f.Close()
		}
	}
	cmd = start()
	grows(50)
	stop()
	published.Wait()
	seen := map[string][]string{}
	redistest.Eventually(t, "the last ticks are written", func() bool {
		clear(seen)
		for _, row := range rows()[1:] {
			seen[row[1]] = append(seen[row[1]], row[5])
		}
		for symbol, seq := range last {
			if s := seen[symbol]; len(s) == 0 || s[len(s)-1] != fmt.Sprint(seq) {
				return false
			}
		}
		return true
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, cmd.Stderr)
	}
	for symbol, numbers := range seen {
		for i, seq := range numbers {
			if want := last[symbol] - uint64(len(numbers)-1-i); seq != fmt.Sprint(want) {
				t.Fatalf("%s: row %d has seq %s, want %d", symbol, i, seq, want)
			}
		}
	}
}

// TestDjangoExample signs in to examples/django/site.py, which makes the session by the admin API or
// in Redis. The cookie opens a socket, and signing out closes it.
func TestDjangoExample(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"admin", "redis"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			r := redistest.Start(t)
			n := startNode(t, r)
			cmd := python(t, []string{"django", "redis"}, "examples/django/site.py", "0")
			cmd.Env = append(cmd.Env, "SESSIONS="+by, "FXCAST_ADMIN="+n.admin, "ADMIN_TOKEN="+adminToken, "REDIS_URL="+r.URL())
			log := &programtest.Buffer{}
			cmd.Stderr = log
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			site, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			site = strings.TrimSpace(site)
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			browser := &http.Client{Jar: jar, Timeout: patience}
			form := func() string {
				answer, err := browser.Get(site + "/")
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				token, _ := io.ReadAll(answer.Body)
				return string(token)
			}
			post := func(path string, values url.Values) int {
				values.Set("csrfmiddlewaretoken", form())
				answer, err := browser.PostForm(site+path, values)
				if err != nil {
					t.Fatalf("%v\n%s", err, log)
				}
				answer.Body.Close()
				return answer.StatusCode
			}
			session := func() string {
				at, _ := url.Parse(site)
				for _, c := range jar.Cookies(at) {
					if c.Name == "session_id" {
						return c.Value
					}
				}
				return ""
			}
			if status := post("/sign-in", url.Values{"username": {"ann"}, "password": {"wrong"}}); status != 403 || session() != "" {
				t.Errorf("a wrong password: %d, session %q", status, session())
			}
			if status := post("/sign-in", url.Values{"username": {"ann"}, "password": {"correct horse"}}); status != 200 || session() == "" {
				t.Fatalf("sign-in: %d, session %q\n%s", status, session(), log)
			}
			k, _, err := n.dial("/ws", http.Header{"Cookie": {"session_id=" + session()}})
			if err != nil {
				t.Fatal(err)
			}
			if status := post("/sign-out", url.Values{}); status != 200 || session() != "" {
				t.Errorf("sign-out: %d, session %q\n%s", status, session(), log)
			}
			k.wantClose(4001, "revoked")
		})
	}
}
