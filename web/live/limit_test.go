package live_test

import (
	"net/http"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

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
