package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// rss is the resident memory of a process, in KiB.
func rss(t *testing.T, pid int) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("there is no /proc here: ", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return kib
}

// stuckClient connects, subscribes in a mode and reads nothing.
func (p *processNode) stuckClient(token, mode string, symbols []string) {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.public, "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	message := fmt.Sprintf(`{"op":"subscribe","id":1,"symbols":["%s"],"mode":%q}`, strings.Join(symbols, `","`), mode)
	frame := []byte{0x81, 0x80 | 126, byte(len(message) >> 8), byte(len(message)), 0, 0, 0, 0} // masked by zeros
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", token)
	if _, err := conn.Write(append(frame, message...)); err != nil {
		p.t.Fatal(err)
	}
}

// metric is one of the node's, 0 if it is not there, and how long the answer took.
func (p *processNode) metric(name string) (value float64, took time.Duration) {
	p.t.Helper()
	began := time.Now()
	got := p.do("GET", p.admin+"/metrics", "", nil)
	took = time.Since(began)
	for line := range strings.Lines(string(got.body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			value, _ = strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return value, took
}

// measures is how many measures of memory show whether it grows.
const measures = 8

// levelsOff reports whether measures of memory have grown little in their second half. A busy machine
// only delays that; a leak never ends.
func levelsOff(used []int) bool {
	if len(used) < measures {
		return false
	}
	early, late := slices.Max(used[:len(used)/2]), slices.Max(used[len(used)/2:])
	return late <= early+early/4+8<<10
}

// TestOverload publishes far more than a node can send. Its memory stays flat, it
// answers, who reads stays connected and has the newest, and who does not read is
// closed.
func TestOverload(t *testing.T) {
	const readers, slow, stuck, burst = 30, 5, 4, 25
	run := 6 * time.Second
	if long {
		run = 30 * time.Second
	}
	var names []string
	for _, base := range []string{"EUR", "USD", "GBP", "CHF"} {
		for _, quote := range []string{"JPY", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "MXN", "ZAR", "TRY"} {
			names = append(names, base+"/"+quote)
		}
	}
	server := redistest.Start(t)
	n := startProcess(t, "REDIS_URL="+server.URL(), "WS_WRITE_TIMEOUT=8s", "WS_HEARTBEAT=20s", "LOG_LEVEL=info")
	a := &arena{t: t, rdb: server.Client(), environ: []string{"REDIS_URL=" + server.URL()}, nodes: []*processNode{n}}
	p := a.scriptPublisher(slices.Repeat(names, burst)) // one call of the script takes many of a symbol
	publishing, stop := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	sending.Go(func() { p.Run(publishing, 10*time.Millisecond) })
	defer sending.Wait()
	defer stop()

	user := n.signIn("overload", "user")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	// The kernel keeps little for who reads slowly; else it is long before it asks for more.
	narrow := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}}
	for i := range readers {
		cfg := faulttest.ClientConfig{Name: fmt.Sprint("reader-", i), Mode: faulttest.Latest, Symbols: names,
			Token: user.Token, Stream: i%4 == 3, Address: func() string { return n.public }}
		if i < slow {
			cfg.Transport, cfg.Slow = narrow, 5*time.Millisecond
		}
		c := faulttest.NewClient(cfg)
		a.clients = append(a.clients, c)
		running.Go(func() { c.Run(ctx) })
	}
	for i := range stuck {
		n.stuckClient(user.Token, []string{faulttest.Latest, faulttest.All}[i%2], names)
	}
	field := faulttest.Field{Publishers: []*faulttest.Publisher{p}, Clients: a.clients, Log: t.Logf}
	right, done := context.WithTimeout(t.Context(), 5*time.Minute)
	defer done()
	var used []int // memory, again and again
	var slowest, newest time.Duration
	quick := &http.Client{Timeout: 10 * time.Second}
	var flat bool
	for began := time.Now(); time.Since(began) < run || len(used) < measures || !flat && time.Since(began) < 5*run; {
		asked := time.Now()
		if err := field.AwaitRight(right); err != nil {
			t.Fatal(err)
		}
		newest = max(newest, time.Since(asked))
		_, took := n.metric("fx_hub_conflated_total")
		asked = time.Now()
		r, err := quick.Get(n.public + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("/readyz says %d", r.StatusCode)
		}
		slowest = max(slowest, took, time.Since(asked))
		used = append(used, rss(t, n.cmd.Process.Pid))
		flat = levelsOff(used)
		time.Sleep(20 * time.Millisecond)
	}
	programtest.Eventually(t, "clients that read nothing are closed", func() bool {
		stalled, _ := n.metric(`fx_hub_client_disconnects_total{reason="stalled"}`)
		behind, _ := n.metric(`fx_hub_client_disconnects_total{reason="slow"}`) // of mode all
		return stalled+behind >= stuck
	})
	conflated, _ := n.metric("fx_hub_conflated_total")
	stop()
	sending.Wait()
	if err := p.Finish(right); err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	if err := field.AwaitLast(right); err != nil {
		t.Error("not everybody gets the last ticks")
	}
	last := time.Since(ended)
	cancel()
	running.Wait()
	for _, v := range shortened(faulttest.Verify(p.Ticks(), nil, a.records())) {
		t.Error(v)
	}
	got := 0 // by those who read slowly
	for i, r := range a.records() {
		for _, e := range r.Events {
			switch {
			case e.Kind == faulttest.Closed:
				t.Errorf("%s was disconnected with %d", r.Client, e.Code)
			case e.Kind == faulttest.Update && i < slow:
				got++
			}
		}
	}
	part := 100 * got / (slow * len(p.Ticks()))
	t.Logf("%d ticks published, %.0f conflated, slow readers got %d %%; memory %d KiB; slowest answer %v; every reader newer than now within %v, the last value within %v",
		len(p.Ticks()), conflated, part, used, slowest.Round(time.Millisecond), newest.Round(time.Millisecond), last.Round(time.Millisecond))
	if part > 80 {
		t.Errorf("slow readers got %d %% of the ticks: there was no overload", part)
	}
	if !flat {
		t.Errorf("memory grows on and on: %d KiB", used)
	}
	if slowest > 5*time.Second {
		t.Errorf("an answer took %v", slowest)
	}
	if newest > 20*time.Second || last > 20*time.Second {
		t.Errorf("the newest came after %v, the last after %v", newest, last)
	}
}
