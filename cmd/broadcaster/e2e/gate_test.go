package e2e

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
)

// TestRefusedPricesAreSeenAtNoDoor publishes a price with a misplaced point beside good
// ones: two nodes refuse it, and no client gets it. An administrator can let it in.
func TestRefusedPricesAreSeenAtNoDoor(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	one, two := startNode(t, r), startNode(t, r)
	publish := func(n *testNode, bid, ask string) (reason string) {
		t.Helper()
		var got struct {
			Accepted int
			Rejected []struct{ Reason, Message string }
		}
		n.do("POST", n.public+"/api/v1/quotes", `{"symbol":"EUR/USD","bid":"`+bid+`","ask":"`+ask+`"}`, bearer(pubToken)).into(t, 200, &got)
		if len(got.Rejected) == 1 {
			return got.Rejected[0].Reason
		}
		return ""
	}
	token := one.signIn("ann", "user").Token
	latest, _ := one.connect(token)
	latest.say(`{"op":"subscribe","id":1,"symbols":["EUR/USD"]}`)
	latest.until("ack")
	for i, step := range []struct {
		node           *testNode
		bid, ask, want string
	}{
		{one, "1.08450", "1.0846", ""}, {two, "1.08451", "1.0846", ""}, {one, "1.08452", "1.0846", ""},
		{one, "10.8452", "10.846", "outlier"}, {two, "0.108452", "0.10846", "outlier"}, {two, "1.08453", "1.8", "wide"},
		{two, "1.08454", "1.0846", ""},
	} {
		if got := publish(step.node, step.bid, step.ask); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	for { // up to the last good one
		m := latest.until("update")
		if strings.Contains(m.raw, "10.8452") || strings.Contains(m.raw, "0.108452") || strings.Contains(m.raw, "1.08453") {
			t.Errorf("a client got %s", m.raw)
		}
		if strings.Contains(m.raw, "1.08454") {
			break
		}
	}
	for _, path := range []string{"/api/v1/quotes?symbols=EUR/USD", "/api/v1/quotes/EUR/USD/history"} {
		body := two.do("GET", two.public+path, "", bearer(token)).body
		if !strings.Contains(body, "1.08454") || strings.Contains(body, "10.8452") || strings.Contains(body, "0.108452") || strings.Contains(body, "1.08453") {
			t.Errorf("%s answers %s", path, body)
		}
	}

	reference := func(body string) answer {
		return one.do("POST", one.admin+"/api/v1/feed/reference", body, bearer(adminToken))
	}
	if a := reference(`{"symbol":"EUR/XXX"}`); a.status != 400 {
		t.Errorf("an unknown symbol: %d %s", a.status, a.body)
	}
	var forgotten struct{ Forgotten bool }
	reference(`{"symbol":"eurusd"}`).into(t, 200, &forgotten)
	if !forgotten.Forgotten {
		t.Error("the reference was not forgotten")
	}
	reference(`{"symbol":"EUR/USD"}`).into(t, 200, &forgotten)
	if forgotten.Forgotten {
		t.Error("it was forgotten twice")
	}
	if got := publish(two, "10.8452", "10.846"); got != "" {
		t.Errorf("without a reference: %q", got)
	}
}
