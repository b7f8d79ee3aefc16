package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A program is a running `broadcaster serve`.
type program struct {
	t      *testing.T
	url    string // of the public listener
	admin  string
	cancel context.CancelFunc // as SIGTERM
	code   chan int
	stdout *lineWriter
	stderr *lineWriter
}

// lineWriter keeps what is written and can be searched meanwhile.
type lineWriter struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *lineWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// find returns the first group of a pattern in what was written.
func (w *lineWriter) find(pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(w.String()); m != nil {
		return m[1]
	}
	return ""
}

// serveProgram runs the program as main does and waits until it is ready.
func serveProgram(t *testing.T, environ ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{t: t, cancel: cancel, code: make(chan int, 1), stdout: &lineWriter{}, stderr: &lineWriter{}}
	environ = append([]string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=text"}, environ...)
	go func() { p.code <- run(ctx, nil, environ, p.stdout, p.stderr) }()
	t.Cleanup(func() { p.stop() })
	eventually(t, "the listeners are open", func() bool {
		select {
		case code := <-p.code:
			p.code <- code
			t.Fatalf("it ended with %d:\n%s", code, p.stderr)
		default:
		}
		p.url = p.stdout.find(`fxcast is at (http://\S+?)/\s`)
		p.admin = p.stderr.find(`msg="admin listener" addr=(\S+)`)
		return p.url != "" && p.admin != ""
	})
	eventually(t, "it is ready", func() bool {
		r, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// stop ends it as SIGTERM does and returns the exit code.
func (p *program) stop() int {
	p.cancel()
	select {
	case code := <-p.code:
		p.code <- code
		return code
	case <-time.After(40 * time.Second):
		p.t.Error("it does not end")
		return -1
	}
}

// guest asks for a guest session and returns its cookie.
func (p *program) guest() *http.Cookie {
	p.t.Helper()
	r, err := http.Post(p.url+"/api/v1/session/guest", "", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusCreated || len(r.Cookies()) != 1 {
		p.t.Fatalf("guest session: %s", r.Status)
	}
	return r.Cookies()[0]
}

// A wsClient reads the protocol of a server that is believed to frame rightly;
// package web tests that with a strict one.
type wsClient struct {
	net.Conn
	br *bufio.Reader
}

func dialWS(base string, cookie *http.Cookie) (*wsClient, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: fx.v1\r\nCookie: %s\r\n\r\n", u.Host, cookie)
	ws := &wsClient{c, bufio.NewReaderSize(c, 64<<10)}
	r, err := http.ReadResponse(ws.br, nil)
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		c.Close()
		return nil, fmt.Errorf("connect: %v %w", r, err)
	}
	return ws, nil
}

func (w *wsClient) send(opcode byte, payload []byte) error {
	b := []byte{0x80 | opcode, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	if len(payload) < 126 {
		b = []byte{0x80 | opcode, 0x80 | byte(len(payload))}
	}
	var key [4]byte
	rand.Read(key[:])
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	_, err := w.Write(b)
	return err
}

// next returns the next text message; pings are answered. A close frame is a
// closeCode error.
func (w *wsClient) next() ([]byte, error) {
	w.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		var h [10]byte
		if _, err := io.ReadFull(w.br, h[:2]); err != nil {
			return nil, err
		}
		n := uint64(h[1])
		switch n {
		case 126:
			if _, err := io.ReadFull(w.br, h[2:4]); err != nil {
				return nil, err
			}
			n = uint64(binary.BigEndian.Uint16(h[2:]))
		case 127:
			if _, err := io.ReadFull(w.br, h[2:10]); err != nil {
				return nil, err
			}
			n = binary.BigEndian.Uint64(h[2:])
		}
		if n > 16<<20 {
			return nil, fmt.Errorf("frame of %d bytes", n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(w.br, b); err != nil {
			return nil, err
		}
		switch h[0] {
		case 0x81:
			return b, nil
		case 0x88:
			w.send(8, b)
			return nil, closeCode(binary.BigEndian.Uint16(b))
		case 0x89:
			w.send(10, b)
		default:
			return nil, fmt.Errorf("frame % x", h)
		}
	}
}

type closeCode int

func (c closeCode) Error() string { return fmt.Sprintf("closed with %d", int(c)) }

type streamed struct {
	Type, Status, Symbol string
	Code, Reconnect      int
	Data                 []struct {
		Symbol, Bid, Ask, Epoch string
		Seq, Skipped            uint64
	}
}

// A follower is what one client has seen of the stream.
type follower struct {
	seen    map[string]lastSeen
	quotes  int
	skipped uint64
}

type lastSeen struct {
	epoch, bid, ask string
	seq             uint64
}

// take checks the arithmetic of seq.
func (f *follower) take(b []byte) error {
	var m streamed
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	if m.Type != "update" && m.Type != "snapshot" {
		return nil
	}
	for _, q := range m.Data {
		old, known := f.seen[q.Symbol]
		switch {
		case !known && q.Epoch == "":
			return fmt.Errorf("first quote without epoch: %s", b)
		case q.Epoch != "" && known && q.Epoch != old.epoch:
			return fmt.Errorf("the epoch changed from %s: %s", old.epoch, b)
		case known && m.Type == "update" && q.Seq != old.seq+q.Skipped+1:
			return fmt.Errorf("after seq %d came %s", old.seq, b)
		}
		if q.Epoch != "" {
			old.epoch = q.Epoch
		}
		f.seen[q.Symbol] = lastSeen{old.epoch, q.Bid, q.Ask, q.Seq}
		f.quotes++
		f.skipped += q.Skipped
	}
	return nil
}

// TestReplayDay replays recorded days as fast as Redis takes them to clients of
// two nodes. Each ends on the last value of every symbol; seq grows by one more
// than skipped in every step; both nodes give the same numbers.
func TestReplayDay(t *testing.T) {
	files := []string{dataFile(t, "dukascopy_GBPJPY_2012-12-03_ticks.csv"), dataFile(t, "histdata_DAT_ASCII_EURUSD_T_202001_head.csv")}
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
		ws, err := dialWS(node.url, node.guest())
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
			defer ws.Close()                                                                                 // or the drain would wait for an answer
			for f.seen[marker].seq == 0 || f.seen["GBP/JPY"].seq != 58953 || f.seen["EUR/USD"].seq != 9500 { // symbols are not in step
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
	replaying, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	if code := run(replaying, args, []string{"REDIS_URL=" + server.URL()}, &out, &errs); code != 0 {
		t.Fatalf("replay: %d\n%s\n%s", code, &out, &errs)
	}
	took := time.Since(start)
	if n := number(t, out.String(), "accepted"); n != 58953+9500 {
		t.Errorf("%d ticks accepted, want %d\n%s%s", n, 58953+9500, &out, &errs)
	}
	client := server.Client()
	publisher, done, _ := openOn(t, client)(t.Context())
	if _, err := publisher.Publish(t.Context(), []feed.Quote{{Symbol: marker, Bid: "12.3", Ask: "12.4"}}); err != nil {
		t.Fatal(err)
	}
	done()
	reading.Wait()

	quotes, skipped := 0, uint64(0)
	for i, f := range followers {
		if ended[i] != nil {
			t.Errorf("client %d: %v", i, ended[i])
		}
		for symbol, count := range map[feed.Symbol]uint64{"GBP/JPY": 58953, "EUR/USD": 9500} {
			want := last(t, client, symbol)
			got := f.seen[string(symbol)]
			if got.seq != want.Seq || got.epoch != want.Epoch || want.Seq != count || !bytes.Contains(want.Body, fmt.Appendf(nil, `"bid":"%s","ask":"%s"`, got.bid, got.ask)) {
				t.Errorf("client %d ends with %+v of %s, want %d %s", i, got, symbol, want.Seq, want.Body)
			}
		}
		quotes += f.quotes
		skipped += f.skipped
	}
	t.Logf("%d ticks in %v to %d clients: %d quotes delivered, %d conflated", 58953+9500, took.Round(time.Millisecond), clients, quotes, skipped)
	for _, p := range []*program{a, b} {
		if code := p.stop(); code != 0 {
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
	r, err := http.Get(p.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != 200 || !bytes.Contains(page, []byte("<html")) || r.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("the page: %s, %d bytes", r.Status, len(page))
	}
	ws, err := dialWS(p.url, p.guest())
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
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("the first hundred prices took %v", d)
	}

	// The tokens are on the terminal, once, and nowhere in the log.
	for _, name := range []string{"ADMIN_TOKEN", "PUBLISH_TOKEN"} {
		token := p.stdout.find(name + `=(\S+)`)
		if len(token) < 24 || strings.Contains(p.stderr.String(), token) {
			t.Errorf("%s is %q, or stands in the log", name, token)
		}
	}
	if !strings.Contains(p.stderr.find(`(?m)^(.*)$`), "in memory") {
		t.Errorf("the log begins with %s", p.stderr.find(`(?m)^(.*)$`))
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
	if status, body := get("http://"+p.admin+"/metrics", ""); status != 200 || !strings.Contains(body, "\nfx_hub_clients 1\n") || !strings.Contains(body, "\ngo_goroutines ") {
		t.Errorf("metrics: %d", status)
	}
	if status, _ := get("http://"+p.admin+"/api/v1/feed/rejected", p.stdout.find(`ADMIN_TOKEN=(\S+)`)); status != 200 {
		t.Errorf("with the admin token: %d", status)
	}

	stopped := make(chan int, 1)
	go func() { stopped <- p.stop() }()
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
	if _, err := net.DialTimeout("tcp", p.admin, time.Second); err == nil {
		t.Error("the admin listener is still open")
	}
}
