package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestOtherSites tests that no other site can make a browser change anything, and that listed
// origins work without cookies.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Origins = []string{"https://app.example", "capacitor://localhost"} })
	h := webtest.NewHTTPClient(t, n.Public)
	var guest webtest.SessionAnswer
	h.Do("POST", "/api/v1/session/guest", "", nil).Into(t, 201, &guest)
	host := n.Public.URL
	for name, tc := range map[string]struct {
		header http.Header
		ok     bool
	}{
		"no browser":                    {nil, true},
		"same origin":                   {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {host}}, true},
		"typed":                         {http.Header{"Sec-Fetch-Site": {"none"}}, true},
		"old browser, same":             {http.Header{"Origin": {host}}, true},
		"cross-site":                    {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, false},
		"same-site":                     {http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.example"}}, false},
		"cross-site, hidden":            {http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		"null":                          {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}}, false},
		"old browser, default port":     {http.Header{"Origin": {"https://fx.example"}, "Host": {"fx.example:443"}}, true},
		"old browser, port of http":     {http.Header{"Origin": {"http://fx.example"}, "Host": {"fx.example:80"}}, true},
		"old browser, port of no other": {http.Header{"Origin": {"http://fx.example"}, "Host": {"fx.example:443"}}, false},
		"old browser, other":            {http.Header{"Origin": {"https://evil.example"}}, false},
	} {
		for _, call := range [][2]string{{"POST", "/api/v1/ws-ticket"}, {"POST", "/api/v1/session/guest"}, {"POST", "/api/v1/quotes"}, {"DELETE", "/api/v1/nothing"}, {"POST", "/"}} {
			a := h.Do(call[0], call[1], "", tc.header)
			if refused := a.Status == 403 && strings.Contains(a.Body, "another site"); refused == tc.ok {
				t.Errorf("%s: %s %s: %d %s", name, call[0], call[1], a.Status, a.Body)
			}
			if a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: gets CORS", name)
			}
		}
		if a := h.Do("GET", "/api/v1/symbols", "", tc.header); a.Status != 200 {
			t.Errorf("%s: reading: %d", name, a.Status)
		}
	}
	// A listed origin gets CORS headers and uses a bearer token; its cookies do not count.
	listed := http.Header{"Origin": {"https://app.example"}, "Sec-Fetch-Site": {"cross-site"}}
	a := h.Do("OPTIONS", "/api/v1/quotes", "", http.Header{"Origin": listed["Origin"], "Access-Control-Request-Method": {"POST"}})
	if a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") ||
		!strings.Contains(a.Header.Get("Access-Control-Allow-Methods"), "POST") || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", a.Status, a.Header)
	}
	a = h.Do("GET", "/api/v1/session", "", listed)
	a.Problem(t, 401)
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("the page of a listed origin cannot read its 401: %v", a.Header)
	}
	token, sess := n.SignIn("nina", "user")
	listed.Set("Authorization", "Bearer "+token)
	var got webtest.SessionAnswer
	if h.Do("GET", "/api/v1/session", "", listed).Into(t, 200, &got); got.ID != sess.ID {
		t.Errorf("a listed origin with a bearer token: %+v", got)
	}
	h.Do("POST", "/api/v1/ws-ticket", "", listed).Into(t, 200, new(any))
	a = h.Do("OPTIONS", "/api/v1/quotes", "", http.Header{"Origin": {"capacitor://localhost"}, "Access-Control-Request-Method": {"POST"}})
	if a.Header.Get("Access-Control-Allow-Origin") != "capacitor://localhost" {
		t.Errorf("preflight of an app: %d %v", a.Status, a.Header)
	}
	a = h.Do("OPTIONS", "/api/v1/quotes", "", http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}})
	if a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin gets CORS")
	}
	for _, path := range []string{"/", "/ws", "/livez"} {
		if a := h.Do("GET", path, "", listed); a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s gets CORS", path)
		}
	}
	if a := h.Do("GET", "/", "", nil); a.Header.Get("Content-Security-Policy") == "" {
		t.Error("the page has no Content-Security-Policy")
	}
}
