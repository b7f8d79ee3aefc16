package httpsession_test

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/session/httpsession"
)

func TestMain(m *testing.M) {
	redistest.Silence() // refused connections are part of the tests
	goleak.VerifyTestMain(m)
}

func manager(rdb redis.UniversalClient) *session.Manager {
	return session.New(session.Config{Redis: rdb, AutoExtend: true})
}

func create(t testing.TB, m *session.Manager, d session.Draft) (session.Session, string) {
	t.Helper()
	d.UserID, d.Role = cmp.Or(d.UserID, "u1"), cmp.Or(d.Role, "user")
	s, token, err := m.Create(t.Context(), d)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return s, token
}

// byHand puts a session into Redis as another program would, and returns its token and id.
func byHand(t testing.TB, rdb *redis.Client, value string, ttl time.Duration) (token, id string) {
	t.Helper()
	token = rand.Text()
	id = session.ID(token)
	if err := rdb.Set(t.Context(), "session:"+id, value, ttl).Err(); err != nil {
		t.Fatal(err)
	}
	return token, id
}

func near(got, want, off time.Duration) bool { return (got - want).Abs() <= off }

func TestMiddleware(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: srv.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true})
	t.Cleanup(func() { rdb.Close() })
	m := manager(rdb)
	s, token := create(t, m, session.Draft{UserID: "anna"})
	_, other := create(t, m, session.Draft{UserID: "otto", Role: "admin"})
	corrupt, _ := byHand(t, srv.Client(), "{", time.Hour)

	c := httpsession.Guard{Sessions: m, Cookie: httpsession.Cookie{Name: "sid"}}
	who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := httpsession.FromContext(r.Context())
		fmt.Fprintf(w, "%s %v", got.UserID, err == nil)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("the ResponseWriter lost its Flush: %v", err)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/open", who)
	mux.Handle("/session", c.RequireSession(who))
	mux.Handle("/admin", c.RequireRole("admin", "publisher")(who))
	web := httptest.NewServer(c.Middleware(mux))
	t.Cleanup(web.Close)

	for _, tt := range []struct {
		path, bearer, cookie string
		status               int
		body                 string
	}{
		{"/open", "", "", 200, " false"},
		{"/open", token, "", 200, "anna true"},
		{"/open", "", token, 200, "anna true"},
		{"/open", "wrong", token, 200, " false"}, // an explicit bearer token is not replaced by the cookie
		{"/open", other, token, 200, "otto true"},
		{"/open", "", strings.Repeat("x", 3000), 200, " false"},
		{"/session", "", "", 401, ""},
		{"/session", "", s.ID, 401, ""}, // the public id is no token
		{"/session", corrupt, "", 401, ""},
		{"/session", "", token, 200, "anna true"},
		{"/admin", "", token, 403, ""},
		{"/admin", other, "", 200, "otto true"},
	} {
		status, body, _ := get(t, web.URL+tt.path, tt.bearer, tt.cookie)
		if status != tt.status || tt.body != "" && body != tt.body {
			t.Errorf("%s bearer %.8s cookie %.8s: %d %q, want %d %q", tt.path, tt.bearer, tt.cookie, status, body, tt.status, tt.body)
		}
	}
	srv.Kill()
	if status, _, header := get(t, web.URL+"/session", token, ""); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("Redis gone: %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	if status, body, _ := get(t, web.URL+"/open", token, ""); status != 200 || body != " false" {
		t.Errorf("Redis gone, no session needed: %d %q", status, body)
	}
}

func get(t testing.TB, url, bearer, cookie string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "bearer "+bearer)
	}
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: "sid", Value: cookie})
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestMiddlewareExtends(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	m := manager(rdb)
	token, id := byHand(t, rdb, `{"user_id":"1","role":"user","ttl_seconds":3600,"absolute_expires_at":"2100-01-01T00:00:00Z"}`, time.Minute)
	var refused error
	c := httpsession.Guard{Sessions: m, OnError: func(w http.ResponseWriter, _ *http.Request, err error) { refused = err }}
	h := c.Middleware(c.RequireSession(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "session_id", Value: token})
	h.ServeHTTP(httptest.NewRecorder(), r)
	if ttl := rdb.PTTL(t.Context(), "session:"+id).Val(); !near(ttl, time.Hour, 5*time.Second) {
		t.Errorf("ttl %s after a request", ttl)
	}
	if refused != nil {
		t.Error(refused)
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if !errors.Is(refused, session.ErrNotFound) {
		t.Errorf("the hook got %v", refused)
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	m := manager(redistest.Start(t).Client())
	s, token := create(t, m, session.Draft{})
	for _, secure := range []bool{true, false} {
		c := httpsession.Cookie{Secure: func(*http.Request) bool { return secure }}
		w := httptest.NewRecorder()
		c.Set(w, httptest.NewRequest("GET", "/", nil), token, s)
		got := w.Result().Cookies()[0]
		if got.Name != "session_id" || got.Value != token || got.Path != "/" || !got.HttpOnly || got.SameSite != http.SameSiteLaxMode ||
			got.Secure != secure || !near(time.Duration(got.MaxAge)*time.Second, 24*time.Hour, 5*time.Second) || got.Domain != "" {
			t.Errorf("cookie %v", got)
		}
		w = httptest.NewRecorder()
		c.Clear(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Result().Cookies()[0]; got.MaxAge >= 0 || got.Value != "" || got.Secure != secure || !got.HttpOnly {
			t.Errorf("cleared by %v", got)
		}
	}
	r := httptest.NewRequest("GET", "https://example.test/", nil)
	w := httptest.NewRecorder()
	httpsession.Cookie{}.Set(w, r, token, s)
	if !w.Result().Cookies()[0].Secure {
		t.Error("not Secure under TLS")
	}
	data, err := json.Marshal(s)
	if err != nil || strings.Contains(string(data), token) {
		t.Error("the JSON form has the token")
	}
}

// TestSeveralCookies: a cookie of the same name from another path or domain may come first.
func TestSeveralCookies(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	m := manager(srv.Client())
	_, token := create(t, m, session.Draft{UserID: "anna"})
	corrupt, _ := byHand(t, srv.Client(), "{", time.Hour)
	c := httpsession.Guard{Sessions: m}
	ask := func(bearer string, cookies ...string) (string, error) {
		var user string
		var found error
		r := httptest.NewRequest("GET", "/", nil)
		for _, value := range cookies {
			r.AddCookie(&http.Cookie{Name: "session_id", Value: value})
		}
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		c.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s, err := httpsession.FromContext(r.Context())
			user, found = s.UserID, err
		})).ServeHTTP(httptest.NewRecorder(), r)
		return user, found
	}
	stale := func() string { return rand.Text() + rand.Text() }
	for name, tc := range map[string]struct {
		bearer  string
		cookies []string
		user    string
	}{
		"stale first":     {"", []string{stale(), token}, "anna"},
		"corrupt first":   {"", []string{corrupt, token}, "anna"},
		"empty first":     {"", []string{"", token}, "anna"},
		"fourth":          {"", []string{stale(), "x", stale(), token}, "anna"},
		"fifth":           {"", []string{stale(), stale(), stale(), stale(), token}, ""},
		"none good":       {"", []string{stale(), stale()}, ""},
		"a bearer counts": {stale(), []string{token}, ""},
	} {
		if user, err := ask(tc.bearer, tc.cookies...); user != tc.user || (err == nil) != (user != "") {
			t.Errorf("%s: %q %v, want %q", name, user, err, tc.user)
		}
	}
	srv.Kill()
	if _, err := ask("", stale(), token); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Redis gone: %v", err)
	}
}
