package e2e

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestHealthcheck: the health check of the image asks the server and not Redis, at the address of
// every listener.
func TestHealthcheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	programtest.Certificate(t, certFile, keyFile, 1)
	for _, tc := range []struct {
		host    string
		environ []string
	}{
		{"127.0.0.1", nil},
		{"", []string{"TLS_CERT_FILE=" + certFile, "TLS_KEY_FILE=" + keyFile}}, // every address of the machine
		{"[::1]", nil},
		{"0.0.0.0", nil},
	} {
		t.Run(tc.host, func(t *testing.T) {
			t.Parallel()
			addr := tc.host + ":" + programtest.FreePort(t)
			if l, err := net.Listen("tcp", addr); err != nil {
				t.Skipf("%s is not available: %v", addr, err)
			} else {
				l.Close()
			}
			server := redistest.Start(t)
			environ := append(tc.environ, "HTTP_ADDR="+addr, "REDIS_URL="+server.URL(), "HTTP_PROXY=http://127.0.0.1:1")
			check := func(want int, reason string) {
				t.Helper()
				code, stdout, stderr := runCommand(t, environ, "healthcheck")
				if code != want || stdout != "" || !strings.Contains(stderr, reason) || strings.Count(stderr, "\n") != want {
					t.Errorf("%s: %d %q %q, want %d and a line with %q", addr, code, stdout, stderr, want, reason)
				}
			}
			check(1, "connection refused")
			p := launchProcess(t, environ...)
			check(0, "")
			server.Kill()
			check(0, "") // a restart of the server would not help
			if tc.host == "127.0.0.1" {
				p.cmd.Process.Signal(syscall.SIGSTOP)
				check(1, "no answer from HTTP_ADDR="+addr+" within 3s")
				p.cmd.Process.Signal(syscall.SIGCONT)
			}
			p.terminate()
			check(1, "connection refused")
		})
	}
	// Another program on the port of the server.
	l := listen(t)
	other := &http.Server{Handler: http.NotFoundHandler()}
	go other.Serve(l)
	defer other.Close()
	for _, tc := range []struct{ environ, want string }{
		{"HTTP_ADDR=" + l.Addr().String(), "/livez answers 404"},
		{"HTTP_ADDR=:0", "HTTP_ADDR"},
		{"HTTP_ADDR=8080", "HTTP_ADDR"},
	} {
		if code, _, stderr := runCommand(t, []string{tc.environ}, "healthcheck"); code != 1 || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d %q, want 1 and a line with %q", tc.environ, code, stderr, tc.want)
		}
	}
}
