package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestReplayDay replays recorded days as fast as Redis takes them to clients of
// two nodes. The gate refuses none of the ticks. Each client ends on the last value of
// every symbol; seq grows by one more than skipped in every step; both nodes give the
// same numbers.
func TestReplayDay(t *testing.T) {
	var files []string
	ticks, counts := uint64(0), map[feed.Symbol]uint64{}
	for _, f := range recordedFiles {
		files = append(files, programtest.DataFile(t, f.name))
		ticks += f.ticks
		counts[f.symbol] = f.ticks
	}
	const clients = 50
	server := redistest.Start(t)
	environ := []string{"REDIS_URL=" + server.URL(), "GUEST_SESSIONS=true", "WS_MAX_CONNECTIONS_PER_USER=100", "RATE_PER_MINUTE=10000", "RATE_PER_HOUR=10000"}
	a, b := serveProgram(t, environ...), serveProgram(t, environ...)

	followers := make([]*follower, clients)
	ended := make([]error, clients)
	var reading sync.WaitGroup
	const marker = "CHF/SEK" // published behind everything else
	for i := range clients {
		node := a
		if i%2 == 1 {
			node = b
		}
		ws, err := dialWS(node.public, node.guest())
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		if err := ws.send(1, []byte(`{"op":"subscribe","id":1,"symbols":["*"]}`)); err != nil {
			t.Fatal(err)
		}
		f := &follower{seen: map[string]lastSeen{}}
		followers[i] = f
		reading.Go(func() {
			defer ws.Close()                                    // or the drain would wait for an answer
			for f.seen[marker].seq == 0 || !f.reached(counts) { // symbols are not in step
				m, err := ws.next()
				if err == nil {
					err = f.take(m)
				}
				if err != nil {
					ended[i] = err
					return
				}
			}
		})
	}

	start := time.Now()
	args := append([]string{"feed", "replay", "--speed", "max"}, files...)
	code, out, errs := runCommand(t, []string{"REDIS_URL=" + server.URL()}, args...)
	if code != 0 {
		t.Fatalf("replay: %d\n%s\n%s", code, out, errs)
	}
	took := time.Since(start)
	if !strings.HasPrefix(out, fmt.Sprintf("read %d, accepted %d, rejected 0, bad lines 0 in ", ticks, ticks)) {
		t.Errorf("all %d ticks should be accepted\n%s%s", ticks, out, errs)
	}
	client := server.Client()
	if err := client.Publish(t.Context(), "forex_updates", `{"symbol":"`+marker+`","bid":"12.3","ask":"12.4"}`).Err(); err != nil {
		t.Fatal(err)
	}
	reading.Wait()

	quotes, skipped := 0, uint64(0)
	for i, f := range followers {
		if ended[i] != nil {
			t.Errorf("client %d: %v", i, ended[i])
		}
		for symbol, count := range counts {
			want := programtest.Last(t, client, symbol)
			got := f.seen[string(symbol)]
			if got.seq != want.Seq || got.epoch != want.Epoch || want.Seq != count || !bytes.Contains(want.Body, fmt.Appendf(nil, `"bid":"%s","ask":"%s"`, got.bid, got.ask)) {
				t.Errorf("client %d ends with %+v of %s, want %d %s", i, got, symbol, want.Seq, want.Body)
			}
		}
		quotes += f.quotes
		skipped += f.skipped
	}
	t.Logf("%d ticks in %v to %d clients: %d quotes delivered, %d conflated", ticks, took.Round(time.Millisecond), clients, quotes, skipped)
	for _, p := range []*processNode{a, b} {
		if code := p.exit(); code != 0 {
			t.Errorf("exit code %d\n%s", code, p.stderr)
		}
		if log := p.stderr.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") {
			t.Errorf("it logged errors:\n%s", log)
		}
	}
}

// TestNothingConfigured starts the program as a newcomer does: the page, a guest
// session and moving prices within seconds; SIGTERM tells the clients.
func TestNothingConfigured(t *testing.T) {
	start := time.Now()
	p := serveProgram(t)
	r, err := http.Get(p.public + "/")
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != 200 || !bytes.Contains(page, []byte("<html")) || r.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("the page: %s, %d bytes", r.Status, len(page))
	}
	ws, err := dialWS(p.public, p.guest())
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.send(1, []byte(`{"op":"subscribe","id":1,"symbols":["*"]}`))
	f := &follower{seen: map[string]lastSeen{}}
	for f.quotes < 100 || len(f.seen) < 20 {
		m, err := ws.next()
		if err == nil {
			err = f.take(m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("the first hundred prices took %v", d)
	}

	// The tokens are on the terminal, once, and nowhere in the log.
	for _, name := range []string{"ADMIN_TOKEN", "PUBLISH_TOKEN"} {
		token := p.stdout.Find(name + `=(\S+)`)
		if len(token) < 24 || strings.Contains(p.stderr.String(), token) {
			t.Errorf("%s is %q, or stands in the log", name, token)
		}
	}
	if !strings.Contains(p.stderr.Find(`(?m)^(.*)$`), "in memory") {
		t.Errorf("the log begins with %s", p.stderr.Find(`(?m)^(.*)$`))
	}
	get := func(address, token string) (int, string) {
		req, _ := http.NewRequest("GET", address, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if status, body := get(p.admin+"/metrics", ""); status != 200 || !strings.Contains(body, "\nfx_hub_clients 1\n") || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("metrics: %d", status)
	}
	if status, _ := get(p.admin+"/api/v1/feed/rejected", p.stdout.Find(`ADMIN_TOKEN=(\S+)`)); status != 200 {
		t.Errorf("with the admin token: %d", status)
	}

	stopped := make(chan int, 1)
	go func() { stopped <- p.exit() }()
	closing := false
	for {
		m, err := ws.next()
		var code closeCode
		if errors.As(err, &code) {
			if code != 1012 || !closing {
				t.Errorf("%v, told before: %v", code, closing)
			}
			break
		}
		if err != nil {
			t.Fatalf("while it goes down: %v", err)
		}
		if bytes.HasPrefix(m, []byte(`{"type":"closing"`)) {
			closing = true
		}
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(p.admin, "http://"), time.Second); err == nil {
		t.Error("the admin listener is still open")
	}
}
