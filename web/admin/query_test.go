package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/admin"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestAdminQueryUnknown tests that the API refuses a query that cannot be read, and names an unknown
// or repeated parameter. With a misspelled or repeated one, a request would change something other
// than its sender meant.
func TestAdminQueryUnknown(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	o := n.Operator()
	_, sess := n.SignIn("ann", "user")
	for path, want := range map[string]string{
		"/api/v1/redis/slowlog?limt=5":                     `"limt"; want limit`,
		"/api/v1/redis/slowlog?limit=5&limit=x":            "limit: given 2 times",
		"/api/v1/redis/slowlog?limit=x":                    "limit: want 1 to 1000",
		"/api/v1/redis/slowlog?%zz":                        "the query cannot be read",
		"/api/v1/redis/slowlog?limit=5;x=1":                "the query cannot be read",
		"/api/v1/redis/stats?verbose":                      `"verbose"; want none`,
		"/api/v1/feed/rejected?limit=5":                    `"limit"; want reason, symbol, source`,
		"/api/v1/feed/rejected?reason=ugly":                "reason: want one of [bad_json ",
		"/api/v1/feed/rejected?symbol=EURFOO":              "symbol: ",
		"/api/v1/connections?user=ann":                     `"user"; want limit, user_id`,
		"/api/v1/connections?" + strings.Repeat("x", 3000): "…",
		"/api/v1/redis/session/" + sess.ID + "?force=1":    `"force"; want none`,
	} {
		if p := o.Ask("GET", path, "").Problem(t, 400); !strings.Contains(p.Detail, want) || len(p.Detail) > 300 {
			t.Errorf("%.60s: %q, want %q", path, p.Detail, want)
		}
	}
	for _, path := range []string{"/api/v1/sessions?user_id=ann&user_id=bob", "/api/v1/sessions?user_id=ann&dry_run=true", "/api/v1/redis/session/" + sess.ID + "?dry_run=true"} {
		o.Ask("DELETE", path, "").Problem(t, 400)
		if !strings.Contains(n.Log.String(), "msg=audit") {
			t.Error("the try left no audit line")
		}
	}
	o.Ask("POST", "/api/v1/redis/cache/invalidate?namespace=users", `{"pattern":"*"}`).Problem(t, 400)
	o.Get("/api/v1/redis/session/"+sess.ID, new(any)) // nothing was revoked
	o.Get("/api/v1/redis/slowlog?limit=", new(any))
}

// TestAdminFaultsNameTheField tests that a problem names the bad field of a body and the accepted
// values, and not the words of a Go package.
func TestAdminFaultsNameTheField(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	o := n.Operator()
	for _, tc := range []struct{ path, body, want string }{
		{"sessions", `{}`, "user_id: missing"},
		{"sessions", `{"user_id":"1"}`, "role: missing"},
		{"sessions", `{"user_id":"1","role":"user","ttl_seconds":"60"}`, "ttl_seconds: want a number, not a JSON string"},
		{"sessions", `{"user_id":"1","role":5}`, "role: want a string, not a JSON number"},
		{"redis/rate-limit/check", `{}`, "key: want at least one byte"},
		{"redis/rate-limit/check", `{"key":"a","limit":0,"window_seconds":1}`, "limit 0: want 1 or more"},
		{"redis/rate-limit/check", `{"key":"a","limit":1.5,"window_seconds":1}`, "limit: want a whole number of at most 64 bits, not 1.5"},
		{"redis/rate-limit/check", `{"key":"a","limit":100.0,"window_seconds":1}`, "limit: want a whole number of at most 64 bits, not 100.0"},
		{"redis/rate-limit/check", `{"key":"a","limit":1,"window_seconds":1,"peek":"yes"}`, "peek: want true or false, not a JSON string"},
		{"redis/cache/invalidate", `{"pattern":"*","namespace":"BAD"}`, `namespace "BAD": want 1 to 64 of the characters a-z 0-9 _ . -`},
		{"redis/cache/invalidate", `{"pattern":"["}`, `pattern "[": [ without ]: want \[ for the character itself`},
		{"redis/pubsub/publish", `{"channel":["x"],"message":1}`, "channel: want a string, not a JSON array"},
	} {
		if p := o.Ask("POST", "/api/v1/"+tc.path, tc.body).Problem(t, 400); p.Detail != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.path, tc.body, p.Detail, tc.want)
		}
	}
}

// TestPubSubNotPermitted tests that a channel forbidden by the ACL of Redis is not answered as an
// outage, and that the answer names the missing rule.
func TestPubSubNotPermitted(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.PubSub = func(context.Context, string, []byte) (int64, error) {
			return 0, fmt.Errorf("%w: NOPERM this user has no permissions", admin.ErrNotPermitted)
		}
	})
	p := n.Operator().Ask("POST", "/api/v1/redis/pubsub/publish", `{"channel":"other","message":1}`).Problem(t, 403)
	if !strings.Contains(p.Detail, `"other"`) || !strings.Contains(p.Detail, "ACL") || strings.Contains(p.Detail, "NOPERM") {
		t.Errorf("%q", p.Detail)
	}
	if log := n.Log.Lines("msg=audit"); !strings.Contains(log, `result="403 Forbidden`) {
		t.Errorf("audit: %s", log)
	}
}

// TestNoSuchProfile tests that an unknown profile is a problem, unlike pprof's own plain-text error.
func TestNoSuchProfile(t *testing.T) {
	t.Parallel()
	o := webtest.Start(t, nil).Operator()
	o.Ask("GET", "/debug/pprof/nosuch", "").Problem(t, 404)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		if a := o.Ask("GET", path, ""); a.Status != 200 {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}
