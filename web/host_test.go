package web_test

import (
	"net/http"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestForeignHost: a site whose name resolves to this machine reads nothing from a listener that
// only this machine should use.
func TestForeignHost(t *testing.T) {
	t.Parallel()
	guarded := webtest.Start(t, func(c *webtest.Config) { c.OwnHost = "desk.example:8080" })
	open := webtest.Start(t, nil)
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST:9090": true, "app.localhost:1": true, "127.0.0.1": true, "127.7.0.1:80": true,
		"[::1]:8080": true, "localhost.": true, "desk.example": true, "Desk.Example:9": true,
		"evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"192.0.2.1": false, "[2001:db8::1]:80": false, "0.0.0.0": false, "notlocalhost": false,
	} {
		header := http.Header{"Host": {host}}
		for path, listener := range map[string]*webtest.HTTPClient{
			"/api/v1/symbols": webtest.NewHTTPClient(t, guarded.Public), "/metrics": webtest.NewHTTPClient(t, guarded.Admin),
		} {
			a := listener.Do("GET", path, "", header)
			if ok && a.Status != 200 {
				t.Errorf("%s of host %q: %d", path, host, a.Status)
			}
			if !ok {
				a.Problem(t, 421)
			}
		}
		if a := webtest.NewHTTPClient(t, open.Public).Do("GET", "/api/v1/symbols", "", header); a.Status != 200 {
			t.Errorf("host %q where none is checked: %d", host, a.Status)
		}
	}
	p, resp := webtest.Upgrade(t, webtest.DialServer(t, guarded.Public), "/ws", http.Header{"Host": {"evil.example"}}, nil)
	if p.Close(); resp.StatusCode != 421 {
		t.Errorf("/ws: %s", resp.Status)
	}
	webtest.NewHTTPClient(t, guarded.Public).Do("POST", "/api/v1/session/guest", "", http.Header{"Host": {"evil.example"}}).Problem(t, 421)
}
