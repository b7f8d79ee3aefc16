package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// The limiter's plain form and its view of who is refused, on the admin listener.
func TestRateLimitAdmin(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Admin)
	admin := webtest.Bearer(webtest.AdminToken)
	var got struct {
		Allowed    bool     `json:"allowed"`
		Remaining  int64    `json:"remaining"`
		RetryAfter *float64 `json:"retry_after_seconds"`
	}
	check := func(body string) {
		t.Helper()
		got.RetryAfter = nil
		h.Do("POST", "/api/v1/redis/rate-limit/check", body, admin).Into(t, 200, &got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600,"cost":2,"peek":true}`)
	if !got.Allowed || got.Remaining != 2 {
		t.Errorf("a look must not charge: %+v", got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600,"cost":2}`)
	if !got.Allowed || got.Remaining != 0 {
		t.Errorf("the first two units: %+v", got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600}`)
	if got.Allowed || got.RetryAfter == nil || *got.RetryAfter <= 0 {
		t.Errorf("a third unit: %+v", got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600,"cost":3}`)
	if got.Allowed || got.RetryAfter != nil {
		t.Errorf("a cost above the limit never fits: %+v", got)
	}
	for _, body := range []string{
		`{"key":"a","limit":0,"window_seconds":1}`, `{"key":"a","limit":1,"window_seconds":0}`,
		`{"key":"a","limit":1,"window_seconds":31622401}`, `{"key":"a","limit":1,"window_seconds":1,"cost":0}`,
		`{"key":7,"limit":1,"window_seconds":1}`, `{"key":"a","limit":"1","window_seconds":1}`,
		`{"key":"","limit":1,"window_seconds":1}`, `{"key":"a","limit":1,"window_seconds":1,"extra":true}`,
	} {
		if a := h.Do("POST", "/api/v1/redis/rate-limit/check", body, admin); a.Status != 400 {
			t.Errorf("%s: %d, want 400", body, a.Status)
		}
	}
	var offenders []struct {
		Subject string `json:"subject"`
		Refused int64  `json:"refused"`
	}
	h.Do("GET", "/api/v1/redis/rate-limit/offenders", "", admin).Into(t, 200, &offenders)
	if len(offenders) != 1 || offenders[0].Subject != "user:123" {
		t.Errorf("offenders: %+v", offenders)
	}
}

// A connect that is refused for its rate leaves its ticket good for another.
func TestLimitedConnectKeepsItsTicket(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Rate.PerMinute = 3 })
	token, sess := n.SignIn("carol", "user")
	connect := func(path string, h http.Header) int {
		t.Helper()
		p, resp := webtest.Upgrade(t, webtest.DialServer(t, n.Public), path, h, nil)
		p.Close()
		return resp.StatusCode
	}
	ticket, _, err := n.Sessions.IssueTicket(t.Context(), sess.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := connect("/ws?ticket="+ticket, nil); got != 101 {
		t.Fatalf("by ticket: %d", got)
	}
	if got := connect("/ws?ticket="+ticket, nil); got != 401 { // by address: it is nobody's any more
		t.Errorf("by a used ticket: %d, want 401", got)
	}
	ticket, _, _ = n.Sessions.IssueTicket(t.Context(), sess.ID)
	for i := range 3 {
		if got, want := connect("/ws", webtest.Bearer(token)), []int{101, 101, 429}[i]; got != want {
			t.Fatalf("connect %d: %d, want %d", i, got, want)
		}
	}
	if got := connect("/ws?ticket="+ticket, nil); got != 429 {
		t.Errorf("by the ticket of a limited user: %d, want 429", got)
	}
	if s, err := n.Sessions.RedeemTicket(t.Context(), ticket); err != nil || s.ID != sess.ID {
		t.Errorf("the ticket afterwards: %v %v, want it unused", s.ID, err)
	}
}

// A panic in a handler is a 500 whose name is in the log.
func TestPanicIsNamed(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := n.Web.Framed(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of this test") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	id := w.Header().Get("X-Request-Id")
	if w.Code != 500 || id == "" || !strings.Contains(w.Body.String(), "urn:request:"+id) || strings.Contains(w.Body.String(), "of this test") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if log := webtest.Lines(n.Log.String(), "request panicked"); !strings.Contains(log, "request="+id) || !strings.Contains(log, "of this test") {
		t.Errorf("logged %q, want request %s", log, id)
	}
	n.Log.Reset() // else the node's end takes it for a panic of its own
}
