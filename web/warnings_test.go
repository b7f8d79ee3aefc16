package web_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// metric returns the value of a metric, as /metrics shows it.
func metric(t *testing.T, n *webtest.Node, name string) string {
	t.Helper()
	body := webtest.NewHTTPClient(t, n.Admin).Do("GET", "/metrics", "", nil).Body
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

// TestUntrustedForwardedHeader wants a proxy that is not listed to be noticed: all its clients share a limit.
func TestUntrustedForwardedHeader(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{false, true} {
		n := webtest.Start(t, func(c *webtest.Config) {
			if trusted {
				c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
		})
		h := webtest.NewHTTPClient(t, n.Public)
		for range 3 {
			h.Do("GET", "/livez", "", http.Header{"X-Forwarded-For": {"192.0.2.1"}})
			h.Do("GET", "/livez", "", nil)
		}
		count, lines := "3", 1
		if trusted {
			count, lines = "0", 0
		}
		if got := metric(t, n, "fx_web_untrusted_forwarded_total"); got != count {
			t.Errorf("trusted %v: counted %s, want %s", trusted, got, count)
		}
		log := n.Log.Lines("TRUSTED_PROXIES")
		if strings.Count(log, "X-Forwarded-For") != lines || lines > 0 && (!strings.Contains(log, "level=WARN") || !strings.Contains(log, "peer=127.0.0.1:")) {
			t.Errorf("trusted %v: log %q", trusted, log)
		}
	}
}

// TestFailedTokens wants wrong tokens to leave a trace, and no token in it.
func TestFailedTokens(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	public, admin := webtest.NewHTTPClient(t, n.Public), webtest.NewHTTPClient(t, n.Admin)
	const wrong = "wrong-token-0123456789-abcdef"
	for range 3 {
		public.Do("POST", "/api/v1/quotes", "[]", webtest.Bearer(wrong)).Problem(t, 401)
		admin.Do("GET", "/api/v1/redis/health", "", webtest.Bearer(wrong)).Problem(t, 401)
	}
	admin.Do("GET", "/api/v1/redis/health", "", nil).Problem(t, 401) // no token is no wrong one
	public.Do("POST", "/api/v1/quotes", "[]", webtest.Bearer(webtest.PublishToken)).Into(t, 200, new(any))
	for _, door := range []string{"admin", "publish"} {
		if got := metric(t, n, `fx_web_failed_tokens_total{door="`+door+`"}`); got != "3" {
			t.Errorf("%s: counted %s, want 3", door, got)
		}
		if line := n.Log.Lines(`"wrong token" door=` + door); strings.Count(line, "level=WARN") != 1 || !strings.Contains(line, "from=127.0.0.1 ") {
			t.Errorf("%s: log %q", door, line)
		}
	}
	if strings.Contains(n.Log.String(), wrong) {
		t.Error("the token is logged")
	}
}

// TestStalledUpload wants a body that stalls, or ends too early, to be the client's fault.
func TestStalledUpload(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	impatient := httptest.NewUnstartedServer(n.Web.Public())
	impatient.Config.ReadTimeout = 300 * time.Millisecond
	impatient.Start()
	defer impatient.Close()
	for what, tc := range map[string]struct {
		end    bool
		status int
	}{"stalls": {false, 408}, "ends": {true, 400}} {
		conn, err := net.Dial("tcp", impatient.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /api/v1/quotes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n[", webtest.PublishToken)
		if tc.end {
			conn.(*net.TCPConn).CloseWrite()
		}
		conn.SetReadDeadline(time.Now().Add(webtest.Patience))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", tc.status)) {
			t.Errorf("a body that %s: %q, %v; want %d", what, line, err, tc.status)
		}
	}
	if got := metric(t, n, "fx_web_stalled_uploads_total"); got != "1" {
		t.Errorf("counted %s stalled uploads, want 1", got)
	}
	if log := n.Log.Lines("level=ERROR"); log != "" {
		t.Errorf("log: %s", log)
	}
}
