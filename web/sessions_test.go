package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestSessionEndpoints goes through the life of a session, from guest to signed out.
func TestSessionEndpoints(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("GET", "/api/v1/session", "", nil).Problem(t, 401)
	h.Do("POST", "/api/v1/ws-ticket", "", nil).Problem(t, 401)
	var guest, again webtest.SessionAnswer
	a := h.Do("POST", "/api/v1/session/guest", "", nil)
	a.Into(t, 201, &guest)
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"session_id=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %q lacks %s", cookie, part)
		}
	}
	if strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %q is Secure without TLS", cookie)
	}
	if guest.Role != "guest" || guest.UserID == "" || guest.ID == "" || guest.Token != "" || strings.Contains(a.Body, strings.Split(strings.TrimPrefix(cookie, "session_id="), ";")[0]) {
		t.Errorf("guest: %s", a.Body)
	}
	h.Do("POST", "/api/v1/session/guest", "", nil).Into(t, 200, &again)
	if again.ID != guest.ID {
		t.Error("a second request of a guest gets another session")
	}
	h.Do("GET", "/api/v1/session", "", nil).Into(t, 200, &again)
	if again.ID != guest.ID {
		t.Errorf("session: %+v", again)
	}
	var other webtest.SessionAnswer
	webtest.NewHTTPClient(t, n.Public).Do("POST", "/api/v1/session/guest", "", nil).Into(t, 201, &other)
	if other.UserID == guest.UserID {
		t.Error("two guests are one user")
	}
	// Sign out; doing it twice is not an error.
	for range 2 {
		a = h.Do("DELETE", "/api/v1/session", "", nil)
		if a.Status != 204 || !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") {
			t.Errorf("sign out: %d %v", a.Status, a.Header)
		}
	}
	h.Do("GET", "/api/v1/session", "", http.Header{"Cookie": {cookie}}).Problem(t, 401)

	// A bearer token becomes a cookie, with a new id.
	token, sess := n.SignIn("mia", "user")
	var renewed webtest.SessionAnswer
	a = h.Do("POST", "/api/v1/session", "", webtest.Bearer(token))
	a.Into(t, 200, &renewed)
	if renewed.ID == sess.ID || renewed.UserID != "mia" {
		t.Errorf("renewed: %+v", renewed)
	}
	h.Do("GET", "/api/v1/session", "", nil).Into(t, 200, &again)
	if again.ID != renewed.ID {
		t.Errorf("by cookie: %+v, want %s", again, renewed.ID)
	}
	h.Do("GET", "/api/v1/session", "", webtest.Bearer(token)).Problem(t, 401)
	h.Do("POST", "/api/v1/session", "", nil).Problem(t, 401) // the cookie alone does not renew

	off := webtest.Start(t, func(c *webtest.Config) { c.NoGuests = true; c.TLS = true; c.Redis = n.Redis })
	secure := webtest.NewHTTPClient(t, off.Public)
	secure.Do("POST", "/api/v1/session/guest", "", nil).Problem(t, 403)
	token, _ = off.SignIn("mia", "user")
	if c := secure.Do("POST", "/api/v1/session", "", webtest.Bearer(token)).Header.Get("Set-Cookie"); !strings.Contains(c, "Secure") {
		t.Errorf("cookie %q is not Secure under TLS", c)
	}
}

// TestSeveralCookies: a stale cookie of the session's name does not hide the good one.
func TestSeveralCookies(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Public)
	token, sess := n.SignIn("otto", "user")
	stale := "session_id=" + strings.Repeat("A", 43)
	var got webtest.SessionAnswer
	h.Do("GET", "/api/v1/session", "", http.Header{"Cookie": {stale + "; session_id=" + token}}).Into(t, 200, &got)
	if got.ID != sess.ID {
		t.Errorf("session %s, want %s", got.ID, sess.ID)
	}
	five := strings.Repeat(stale+"; ", 4) + "session_id=" + token
	h.Do("GET", "/api/v1/session", "", http.Header{"Cookie": {five}}).Problem(t, 401)
}
