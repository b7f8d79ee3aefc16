package e2e

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestSourcesByPriority: two nodes agree on which source is taken, whether it
// comes by HTTP or through the inbox, and the producer is told.
func TestSourcesByPriority(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	const setting = "FEED_SOURCES=main:1m," + namedSource
	one, two := startNode(t, r, setting), startNode(t, r, setting)
	post := func(n *testNode, token, source string) (reason string) {
		t.Helper()
		var got struct {
			Accepted int
			Rejected []struct{ Reason, Message string }
		}
		body := `{"symbol":"EUR/USD","bid":"1","ask":"1.01"` + source + `}`
		n.do("POST", n.public+"/api/v1/quotes", body, bearer(token)).into(t, 200, &got)
		if got.Accepted == 1 && len(got.Rejected) == 0 {
			return ""
		}
		if got.Accepted != 0 || len(got.Rejected) != 1 {
			t.Fatalf("answer %+v", got)
		}
		return got.Rejected[0].Reason
	}
	for i, step := range []struct {
		node                *testNode
		token, source, want string
	}{
		{one, otherPub, "", ""},                 // nobody better was heard
		{two, pubToken, `,"source":"main"`, ""}, // the best
		{one, otherPub, "", "outranked"},        // heard by the other node
		{one, pubToken, "", "unlisted"},         // source inbox
		{one, pubToken, `,"source":"main"`, ""}, //
		{two, otherPub, "", "outranked"},        //
		{two, pubToken, `,"source":"x"`, "unlisted"},
	} {
		if got := post(step.node, step.token, step.source); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	one.rdb.Publish(t.Context(), "forex_updates", `{"symbol":"EUR/USD","bid":"1","ask":"1.01","source":"`+namedSource+`"}`)
	programtest.Eventually(t, "the inbox's quote is outranked too", func() bool {
		n := 0
		for _, node := range []*testNode{one, two} {
			for line := range strings.Lines(node.do("GET", node.admin+"/metrics", "", nil).body) {
				if strings.HasPrefix(line, `fx_feed_rejected_total{reason="outranked"}`) {
					n += int(line[len(line)-2] - '0')
				}
			}
		}
		return n == 3
	})
}
