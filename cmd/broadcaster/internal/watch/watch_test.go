package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/clients/conformance"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/protocol"
)

// scripted plays a scenario, and returns the address and a file with the token.
func scripted(t *testing.T, scenario string) (url, tokenFile string) {
	t.Helper()
	task, err := conformance.Begin(conformance.StartTest(t), scenario, protocol.Name)
	if err != nil {
		t.Fatal(err)
	}
	tokenFile = filepath.Join(t.TempDir(), "token")
	programtest.WriteFile(t, tokenFile, task.Token+"\n")
	return task.URL, tokenFile
}

// until runs the command until it has printed a text, and then ends it as Ctrl-C does.
func until(t *testing.T, text string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs programtest.Buffer
	ended := make(chan int)
	go func() { ended <- Run(ctx, cli.Call{Args: args, Stdout: &out, Stderr: &errs}) }()
	programtest.Eventually(t, text, func() bool { return strings.Contains(out.String()+errs.String(), text) })
	cancel()
	return <-ended, out.String(), errs.String()
}

func TestLines(t *testing.T) {
	url, token := scripted(t, "first-connect")
	code, stdout, stderr := until(t, "10:15:01", "EUR/USD", "--url", url, "--token-file", token)
	if code != cli.OK || stderr != "" || !strings.HasSuffix(stdout, "  EUR/USD  1.08500  1.085001  stale, jumped"+skippedOf(stdout)+"\n") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

// skippedOf returns what the last line says of skipped quotes, which depends on the moment.
func skippedOf(stdout string) string {
	if i := strings.LastIndex(stdout, ", skipped"); i >= 0 {
		return strings.TrimSuffix(stdout[i:], "\n")
	}
	return ""
}

func TestEveryTickAsJSON(t *testing.T) {
	url, token := scripted(t, "gap-planted")
	code, stdout, stderr := until(t, `"seq":5`, "EUR/USD", "--every-tick", "--json", "--url", url, "--token-file", token)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != cli.OK || len(lines) < 3 || !strings.Contains(stderr, "broadcaster: watch: EUR/USD: 2 quotes are missing between 2 and 5\n") {
		t.Fatalf("%d %q %q", code, stdout, stderr)
	}
	for i, seq := range []uint64{1, 2, 5} {
		var q client.Quote
		if err := json.Unmarshal([]byte(lines[i]), &q); err != nil || q.Seq != seq || q.Epoch != "k3f9" || q.Bid != fmt.Sprintf("1.%05d", seq) {
			t.Errorf("line %q: %v", lines[i], err)
		}
	}
}

func TestRefused(t *testing.T) {
	for scenario, want := range map[string]string{
		"refused-401": "broadcaster: watch: refused by the server: 401 Unauthorized\n",
		"closed-1008": "broadcaster: watch: refused by the server: 1008 closed by an operator\n",
	} {
		url, token := scripted(t, scenario)
		code, stdout, stderr := programtest.Run(t, Run, nil, "--url", url, "--token-file", token)
		if code != cli.Failed || stdout != "" || stderr != want {
			t.Errorf("%s: %d %q %q, want %q", scenario, code, stdout, stderr, want)
		}
	}
}

func TestMisuse(t *testing.T) {
	dir := t.TempDir()
	empty, twoLines := filepath.Join(dir, "empty"), filepath.Join(dir, "two")
	programtest.WriteFile(t, empty, "\n")
	programtest.WriteFile(t, twoLines, "sesame\nopen\n")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--port", "1"}, cli.Misuse, "unknown flag --port"},
		{[]string{"--url", "quotes.example"}, cli.Misuse, "--url"},
		{[]string{"--url", "ftp://quotes.example"}, cli.Misuse, `"ftp"`},
		{[]string{"--token-file", filepath.Join(dir, "none")}, cli.Failed, "no such file"},
		{[]string{"--token-file", empty}, cli.Failed, "it is empty"},
		{[]string{"--token-file", twoLines}, cli.Failed, "character 7"},
	} {
		code, stdout, stderr := programtest.Run(t, Run, nil, tc.args...)
		if code != tc.code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) || strings.Contains(stderr, "sesame") {
			t.Errorf("%q: %d %q %q, want %d and a line with %q", tc.args, code, stdout, stderr, tc.code, tc.want)
		}
	}
}

// TestGuest checks the request for a guest session, also behind a proxy that strips a path.
func TestGuest(t *testing.T) {
	used := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fx/api/v1/session/guest", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session_id", Value: "abc", Path: "/", HttpOnly: true})
		fmt.Fprint(w, `{}`)
	})
	mux.HandleFunc("POST /fx/api/v1/ws-ticket", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"ticket":%q,"expires_in":30}`, "for "+r.Header.Get("Cookie"))
	})
	mux.HandleFunc("GET /fx/ws", func(w http.ResponseWriter, r *http.Request) {
		used <- r.URL.Query().Get("ticket")
		ws, err := websocket.Accept(w, r, nil)
		if err == nil {
			_ = ws.Close(websocket.StatusPolicyViolation, "enough")
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, address := range []string{server.URL + "/fx", server.URL + "/fx/", "ws" + strings.TrimPrefix(server.URL, "http") + "/fx/ws"} {
		code, _, stderr := programtest.Run(t, Run, nil, "--url", address)
		if ticket := <-used; code != cli.Failed || !strings.Contains(stderr, "enough") || ticket != "for session_id=abc" {
			t.Errorf("%s: %d %q, ticket %q", address, code, stderr, ticket)
		}
	}
	code, _, stderr := programtest.Run(t, Run, nil, "--url", server.URL)
	if code != cli.Failed || !strings.Contains(stderr, "no guest session: 404") || !strings.Contains(stderr, "--token-file") {
		t.Errorf("%d %q, want that there is no guest session", code, stderr)
	}
}

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, "http://quotes.example", func() (int, int) { return 80, 6 })
	s.state(client.Connecting)
	s.trouble(fmt.Errorf("client: connect: refused\x1b[2J"))
	for _, symbol := range []string{"USD/JPY", "EUR/USD", "GBP/USD", "NZD/USD"} {
		q := client.Quote{Symbol: symbol, Bid: "1.08450", Ask: "1.0846", Seq: 1}
		q.Skipped = 2
		if err := s.quote(q); err != nil {
			t.Error(err)
		}
	}
	s.status(client.Status{Symbol: "EUR/USD", Status: "stale"})
	frame := strings.Join(s.lines(80, 6), "\n")
	for _, want := range []string{"http://quotes.example  connecting", "! connect: refused [2J", "EUR/USD             1.08450         1.0846          3  00:00:00.000  stale\nand 3 more"} {
		if !strings.Contains(frame, want) {
			t.Errorf("%s\nwant %q", frame, want)
		}
	}
	s.state(client.Live)
	s.end()
	if text := out.String(); !strings.HasPrefix(text, ansiOpen) || !strings.Contains(text, ansiClose+"http://quotes.example  live  Ctrl-C ends\n\nSYMBOL") || !strings.HasSuffix(text, "live\n") {
		t.Errorf("%q", text)
	}
	// A terminal that is gone ends the program.
	broken, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	s = newScreen(broken, "", func() (int, int) { return 80, 6 })
	programtest.Eventually(t, "the failed write", func() bool { return s.quote(client.Quote{Symbol: "EUR/USD"}) != nil })
	s.end()
}
