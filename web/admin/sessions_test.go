package admin_test

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestAdminSessions creates, reads and revokes sessions, with and without the token.
func TestAdminSessions(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Admin)
	for _, token := range []string{"", "wrong", webtest.PublishToken, webtest.AdminToken + "x", webtest.AdminToken[1:], strings.ToUpper(webtest.AdminToken)} {
		for _, path := range []string{"/api/v1/sessions?user_id=a", "/api/v1/feed/rejected", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
			a := h.Do("GET", path, "", webtest.Bearer(token))
			if a.Problem(t, 401); a.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		}
	}
	h.Do("GET", "/debug/pprof/goroutine?debug=1", "", webtest.Bearer(webtest.AdminToken))
	var made webtest.SessionAnswer
	h.Do("POST", "/api/v1/sessions", `{"user_id":123,"role":"user","data":{"desk":7},"ttl_seconds":3600}`, webtest.Bearer("second-"+webtest.AdminToken)).Into(t, 201, &made)
	if made.Token == "" || made.ID == "" || made.UserID != "123" || made.Expires == "" {
		t.Errorf("made: %+v", made)
	}
	if strings.Contains(n.Log.String(), made.Token) {
		t.Error("the log holds the token")
	}
	c, _ := n.Connect(made.Token)
	a := h.Do("GET", "/api/v1/redis/session/"+made.ID, "", webtest.Bearer(webtest.AdminToken))
	if a.Status != 200 || strings.Contains(a.Body, made.Token) || !strings.Contains(a.Body, `"desk":7`) {
		t.Errorf("shown: %s", a.Body)
	}
	var list []webtest.SessionAnswer
	if h.Do("GET", "/api/v1/sessions?user_id=123", "", webtest.Bearer(webtest.AdminToken)).Into(t, 200, &list); len(list) != 1 || list[0].ID != made.ID {
		t.Errorf("list: %+v", list)
	}
	a = h.Do("GET", "/api/v1/sessions?user_id=nobody", "", webtest.Bearer(webtest.AdminToken))
	if a.Status != 200 || strings.TrimSpace(a.Body) != "[]" {
		t.Errorf("sessions of nobody: %d %s", a.Status, a.Body)
	}
	for body, says := range map[string]string{
		``: "JSON", `nonsense`: "JSON", `null`: "user_id", `[]`: "JSON", `{}`: "user_id", `{} {}`: "more than one", `{"user_id":"1","role":"user"}]`: "more than one",
		`{"user_id":true,"role":"user"}`:                               "user_id",
		`{"user_id":1.5,"role":"user"}`:                                "user_id",
		`{"user_id":{},"role":"user"}`:                                 "user_id",
		`{"user_id":"1","role":5}`:                                     "role",
		`{"user_id":"1"}`:                                              "role",
		`{"user_id":"1","role":"user","ttl_seconds":"long"}`:           "ttl_seconds",
		`{"user_id":"1","role":"user","ttl_seconds":0}`:                "ttl_seconds",
		`{"user_id":"1","role":"user","ttl_seconds":1e12}`:             "ttl_seconds",
		`{"user_id":"1","role":"user","tll":1}`:                        "tll",
		`{"user_id":"` + strings.Repeat("u", 200) + `","role":"user"}`: "user_id",
	} {
		p := h.Do("POST", "/api/v1/sessions", body, webtest.Bearer(webtest.AdminToken)).Problem(t, 400)
		if !strings.Contains(p.Detail, says) || strings.Contains(p.Detail, "struct") || strings.Contains(p.Detail, "*float") || strings.Contains(p.Detail, "json:") {
			t.Errorf("%.60s: %q, want it to name %s", body, p.Detail, says)
		}
	}
	h.Do("POST", "/api/v1/sessions", `{"user_id":"`+strings.Repeat("u", 70<<10)+`"}`, webtest.Bearer(webtest.AdminToken)).Problem(t, 413)
	h.Do("GET", "/api/v1/sessions", "", webtest.Bearer(webtest.AdminToken)).Problem(t, 400)
	h.Do("DELETE", "/api/v1/redis/session/"+made.ID, "", webtest.Bearer(webtest.AdminToken)).Into(t, 200, new(any))
	c.WantClose(4001)
	h.Do("GET", "/api/v1/redis/session/"+made.ID, "", webtest.Bearer(webtest.AdminToken)).Problem(t, 404)
	h.Do("DELETE", "/api/v1/redis/session/"+made.ID, "", webtest.Bearer(webtest.AdminToken)).Problem(t, 404)
	h.Do("GET", "/api/v1/redis/session/..%2f..%2fetc", "", webtest.Bearer(webtest.AdminToken)).Problem(t, 404)
	for range 3 {
		n.SignIn("456", "user")
	}
	var revoked struct{ Revoked int }
	if h.Do("DELETE", "/api/v1/sessions?user_id=456", "", webtest.Bearer(webtest.AdminToken)).Into(t, 200, &revoked); revoked.Revoked != 3 {
		t.Errorf("revoked %d of 3", revoked.Revoked)
	}
}
