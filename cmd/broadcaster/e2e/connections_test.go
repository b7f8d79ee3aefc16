package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// from returns an HTTP client whose connections come from a loopback address.
func from(t *testing.T, address string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: d.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// TestConnectionFlood: a process with few descriptors serves others while one address opens as many
// connections as it can, each idle after a request that needs no rights.
func TestConnectionFlood(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := launch(t, []string{"REDIS_URL=" + server.URL(), "ADMIN_TOKEN=" + adminToken, "GUEST_SESSIONS=true"}, "/bin/sh", "-c", `ulimit -n 256; exec "$0"`)
	p.awaitReady()
	p.http.CloseIdleConnections()
	for range 400 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.public, "http://"))
		if err != nil {
			continue // refused
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	metric := func(name string) float64 { value, _ := p.metric(name); return value }
	programtest.Eventually(t, "connections are refused", func() bool {
		return metric(`fx_web_refused_connections_total{reason="address"}`) >= 290
	})
	if n := metric("fx_web_connections"); n < 96 || n > 104 || metric("fx_web_connections_max") != 192 {
		t.Errorf("%g connections of %g, want half of 192 and a few", n, metric("fx_web_connections_max"))
	}
	if n := metric("fx_web_accept_errors_total"); n != 0 {
		t.Errorf("%g accept errors: the process was out of descriptors", n)
	}
	// Another address gets a session and a socket; the admin API works.
	other := from(t, "127.0.0.2")
	resp, err := other.Post(p.public+"/api/v1/session/guest", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(p.public, "http")+"/ws",
		&websocket.DialOptions{HTTPClient: other, HTTPHeader: http.Header{"Cookie": {resp.Cookies()[0].String()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, first, err := ws.Read(ctx); err != nil || !strings.Contains(string(first), `"welcome"`) {
		t.Errorf("%s %v", first, err)
	}
	if s := p.signIn("mia", "user"); s.Token == "" {
		t.Error("no session by the admin API")
	}
	if log := p.stderr.String(); strings.Count(log, "MAX_CONNECTIONS_PER_ADDRESS allows") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// TestForwardedConnections: behind a trusted proxy the forwarded address counts, from its request on
// until the connection serves another or is closed.
func TestForwardedConnections(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	programtest.Certificate(t, certFile, keyFile, 1)
	for _, tls := range [][]string{nil, {"TLS_CERT_FILE=" + certFile, "TLS_KEY_FILE=" + keyFile}} {
		n := startNode(t, redistest.Start(t), append(tls, "MAX_CONNECTIONS_PER_ADDRESS=3", "TRUSTED_PROXIES=127.0.0.1/32", "RATE_EXEMPT=203.0.113.0/24")...)
		token := n.signIn("mia", "user").Token
		open := func(address string) (*socket, int) {
			header := bearer(token)
			header.Set("X-Forwarded-For", address)
			k, resp, err := n.dial("/ws", header)
			if err != nil {
				if resp == nil {
					t.Fatal(err)
				}
				return nil, resp.StatusCode
			}
			k.want("welcome")
			return k, http.StatusSwitchingProtocols
		}
		var first *socket
		for i := range 3 {
			k, status := open("192.0.2.1")
			if k == nil {
				t.Fatalf("socket %d: %d", i, status)
			}
			first = k
		}
		if _, status := open("192.0.2.1"); status != http.StatusTooManyRequests {
			t.Errorf("a fourth socket of one address: %d, want 429", status)
		}
		for range 4 {
			if _, status := open("203.0.113.9"); status != http.StatusSwitchingProtocols {
				t.Errorf("a socket of an exempt address: %d", status)
			}
		}
		if _, status := open("2001:db8::1"); status != http.StatusSwitchingProtocols {
			t.Errorf("a socket of another address: %d", status)
		}
		first.ws.CloseNow()
		programtest.Eventually(t, "the place is free again", func() bool {
			k, _ := open("192.0.2.1")
			return k != nil
		})
		n.stop()
	}
}
