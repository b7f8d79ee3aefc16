package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestAdminDoors walks every route of the admin listener: on the public one there
// is nothing, and without the admin token only health, metrics and
// the operator's page, which holds no data, answer.
func TestAdminDoors(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	closed := webtest.Start(t, func(c *webtest.Config) { c.Redis, c.NoTokens = n.Redis, true })
	public, admin, off := webtest.NewHTTPClient(t, n.Public), webtest.NewHTTPClient(t, n.Admin), webtest.NewHTTPClient(t, closed.Admin)
	open := map[string]bool{"/": true, "/metrics": true, "/livez": true, "/readyz": true}
	_, routes := n.Web.Routes()
	if len(routes) < 20 {
		t.Fatalf("only %q", routes)
	}
	shared := map[string]bool{} // paths both listeners have
	all, _ := n.Web.Routes()
	for _, pattern := range all {
		shared[pattern] = true
	}
	for _, pattern := range routes {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "GET", pattern
		}
		path = strings.NewReplacer("{session_id}", strings.Repeat("ab", 32), "{conn_id}", "abc").Replace(path)
		if !shared[pattern] {
			for name, header := range map[string]http.Header{"a token": webtest.Bearer(webtest.AdminToken), "no token": nil} {
				if p := public.Do(method, path, "", header).Problem(t, 404); p.Title != "Not found" {
					t.Errorf("%s on the public listener with %s: %+v", pattern, name, p)
				}
			}
		}
		if open[path] {
			if a := admin.Do(method, path, "", nil); a.Status != 200 {
				t.Errorf("%s without a token: %d", pattern, a.Status)
			}
			continue
		}
		for name, header := range map[string]http.Header{"no token": nil, "another": webtest.Bearer(webtest.PublishToken), "half": webtest.Bearer(webtest.AdminToken[:20]),
			"basic": {"Authorization": {"Basic " + webtest.AdminToken}}, "query": nil} {
			target := path
			if name == "query" {
				target += "?token=" + webtest.AdminToken + "&access_token=" + webtest.AdminToken
			}
			a := admin.Do(method, target, "{}", header)
			a.Problem(t, 401)
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s with %s: no WWW-Authenticate", pattern, name)
			}
		}
		off.Do(method, path, "", webtest.Bearer(webtest.AdminToken)).Problem(t, 403)
	}
}
