package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestAudit tests that each attempted change logs one line with the caller, the change and the
// result, and without a secret.
func TestAudit(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	o := n.Operator()
	var made struct{ Token, SessionID string }
	a := o.Do("POST", "/api/v1/sessions", `{"user_id":123,"role":"user","data":{"pin":"data-secret"}}`, webtest.Bearer("second-"+webtest.AdminToken))
	if err := json.Unmarshal([]byte(strings.Replace(a.Body, "session_id", "SessionID", 1)), &made); err != nil || a.Status != 201 {
		t.Fatal(a, err)
	}
	o.Ask("POST", "/api/v1/sessions", `{"user_id":""}`).Problem(t, 400)
	o.Ask("DELETE", "/api/v1/redis/session/"+made.SessionID, "").Into(t, 200, new(any))
	o.Ask("DELETE", "/api/v1/sessions?user_id=123", "").Into(t, 200, new(any))
	o.Ask("POST", "/api/v1/redis/cache/invalidate", `{"pattern":"a:*"}`).Into(t, 200, new(any))
	o.Ask("POST", "/api/v1/redis/pubsub/publish", `{"channel":"x","message":"message-secret"}`).Into(t, 200, new(any))
	o.Ask("DELETE", "/api/v1/connections/none", "").Problem(t, 404)
	o.Get("/api/v1/redis/stats", new(any)) // no change, no line
	lines := strings.Split(strings.TrimSpace(n.Log.Lines("msg=audit")), "\n")
	for i, want := range [][]string{
		{`who="token 2"`, `change="session made"`, "of.user=123", "of.role=user", "of.session=" + made.SessionID, "result=done"},
		{`who="token 1"`, `change="session made"`, `result="400 Bad request`},
		{`change="session revoked"`, "of.session=" + made.SessionID, "result=done"},
		{`change="user signed out"`, "of.user=123", "of.revoked=0", "result=done"},
		{`change="cache invalidated"`, "of.pattern=a:*", "of.deleted=0", "result=done"},
		{`change="message published"`, "of.channel=x", "of.receivers=0", "result=done"},
		{`change="connection closed"`, "of.connection=none", `result="404 Not found`},
	} {
		if i >= len(lines) {
			t.Fatalf("only %d audit lines:\n%s", len(lines), strings.Join(lines, "\n"))
		}
		for _, part := range append(want, "level=INFO", "from=127.0.0.1", "request=") {
			if !strings.Contains(lines[i], part) {
				t.Errorf("no %s in %s", part, lines[i])
			}
		}
	}
	if len(lines) != 7 {
		t.Errorf("%d audit lines, want 7", len(lines))
	}
	for _, secret := range []string{made.Token, webtest.AdminToken, "data-secret", "message-secret"} {
		if strings.Contains(n.Log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
