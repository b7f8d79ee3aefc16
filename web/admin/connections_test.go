package admin_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// A connectionList is the answer of GET /api/v1/connections.
type connectionList struct {
	Total       int
	Nodes       map[string]int
	Silent      []string
	Connections []listedConnection
}

type listedConnection struct {
	ID      string `json:"conn_id"`
	Node    string
	Kind    string
	Session string `json:"session_id"`
	User    string `json:"user_id"`
	Role    string
	Address string
	Since   time.Time
	Bytes   int     `json:"waiting_bytes"`
	Stalled float64 `json:"stalled_seconds"`
	Symbols *int
	Pending *int `json:"waiting_quotes"`
	Mode    *string
	Skipped *int `json:"skipped_quotes"`
}

// pair returns two nodes on one Redis that know each other.
func pair(t *testing.T) (a, b *webtest.Node) {
	t.Helper()
	a = webtest.Start(t, nil)
	b = webtest.Start(t, func(c *webtest.Config) { c.Redis, c.WriteTimeout, c.Channels = a.Redis, time.Minute, []string{"news"} })
	webtest.Eventually(t, "the nodes know each other", func() bool {
		return slices.Equal(a.Nodes.Others(), []string{b.Nodes.Name()}) && slices.Equal(b.Nodes.Others(), []string{a.Nodes.Name()})
	})
	return a, b
}

// TestConnections tests that each node lists the connections of both, those furthest behind first,
// and that it can close a connection of the other node.
func TestConnections(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	token, sess := a.SignIn("alice", "user")
	here, welcome := a.Connect(token)
	there, _ := b.Connect(token)
	bob, _ := b.SignIn("bob", "user")
	narrow := webtest.DialServer(t, b.Public)
	if err := narrow.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	p, _ := webtest.Upgrade(t, narrow, "/ws", webtest.Bearer(bob), nil)
	t.Cleanup(func() { p.Close() })
	slow := webtest.NewClient(p, t)
	slowWelcome := slow.Want("welcome")
	for _, c := range []*webtest.Client{here, there} {
		c.Say(`{"op":"subscribe","symbols":["EUR/USD","GBP/USD"]}`)
		c.Until("ack")
	}
	var all connectionList
	o := a.Operator()
	o.Get("/api/v1/connections", &all)
	if all.Total != 3 || len(all.Connections) != 3 || len(all.Silent) != 0 || all.Nodes[a.Nodes.Name()] != 1 || all.Nodes[b.Nodes.Name()] != 2 {
		t.Fatalf("all connections: %+v", all)
	}
	i := slices.IndexFunc(all.Connections, func(c listedConnection) bool { return c.ID == welcome.ConnID })
	if i < 0 {
		t.Fatalf("no %s among %+v", welcome.ConnID, all.Connections)
	}
	c := all.Connections[i]
	if c.Node != a.Nodes.Name() || c.Kind != "websocket" || c.Session != sess.ID || c.User != "alice" || c.Role != "user" || c.Address != "127.0.0.1" ||
		time.Since(c.Since) > time.Minute || c.Since.After(time.Now()) || c.Symbols == nil || *c.Symbols != 2 || *c.Pending != 0 || c.Bytes != 0 || c.Stalled != 0 {
		t.Errorf("a connection: %+v", c)
	}
	if c.Mode == nil || *c.Mode != "latest" || c.Skipped == nil || *c.Skipped != 0 {
		t.Errorf("what it asked for: %v, skipped %v", c.Mode, c.Skipped)
	}
	modes := func(want string) {
		t.Helper()
		var list connectionList
		o.Get("/api/v1/connections?user_id=bob", &list)
		got := "null"
		if c := list.Connections[0]; c.Mode != nil {
			got = *c.Mode
		}
		if got != want {
			t.Errorf("bob's mode is %s, want %s", got, want)
		}
	}
	modes("null")
	slow.Say(`{"op":"subscribe","symbols":["CHF/JPY"],"mode":"all"}`)
	slow.Until("ack")
	modes("all")
	slow.Say(`{"op":"subscribe","symbols":["AUD/JPY"]}`)
	slow.Until("ack")
	modes("mixed")
	slow.Say(`{"op":"unsubscribe","symbols":["CHF/JPY","AUD/JPY"]}`)
	slow.Until("ack")
	var few connectionList
	if o.Get("/api/v1/connections?limit=1", &few); few.Total != 3 || len(few.Connections) != 1 {
		t.Errorf("one of three: %+v", few)
	}
	if o.Get("/api/v1/connections?user_id=alice", &few); few.Total != 2 || len(few.Connections) != 2 {
		t.Errorf("those of a user: %+v", few)
	}
	if o.Get("/api/v1/connections?user_id=nobody", &few); few.Total != 0 || few.Connections == nil {
		t.Errorf("those of nobody: %+v", few)
	}
	o.Ask("GET", "/api/v1/connections?limit=1001", "").Problem(t, 400)

	// slow reads nothing, so it has the most waiting bytes and comes first.
	slow.Say(`{"op":"subscribe","symbols":["*"],"channels":["news"]}`)
	slow.Until("ack")
	webtest.Eventually(t, "the client that does not read is listed first", func() bool {
		for range 20 {
			if err := b.RDB.Publish(t.Context(), "news", `"`+strings.Repeat("x", 8<<10)+`"`).Err(); err != nil {
				t.Fatal(err)
			}
		}
		o.Get("/api/v1/connections", &all)
		first := all.Connections[0]
		return first.ID == slowWelcome.ConnID && first.Bytes > 0 && first.Stalled > 0
	})

	// Close one connection on the other node, and one on this node.
	var kicked struct{ Node string }
	o.Ask("DELETE", "/api/v1/connections/"+slowWelcome.ConnID, "").Into(t, 200, &kicked)
	if kicked.Node != b.Nodes.Name() {
		t.Errorf("kicked by %q", kicked.Node)
	}
	slow.WantClose(1008)
	o.Ask("DELETE", "/api/v1/connections/"+welcome.ConnID, "").Into(t, 200, &kicked)
	if here.WantClose(1008); kicked.Node != a.Nodes.Name() {
		t.Errorf("kicked by %q", kicked.Node)
	}
	webtest.Eventually(t, "they are gone from the list", func() bool {
		o.Get("/api/v1/connections", &all)
		return all.Total == 1
	})
	for _, id := range []string{welcome.ConnID, "none", strings.Repeat("x", 500), "%2e%2e"} {
		if p := o.Ask("DELETE", "/api/v1/connections/"+id, "").Problem(t, 404); !strings.Contains(p.Detail, "conn_id") {
			t.Errorf("kick %.20s: %+v", id, p)
		}
	}
}

// TestConnectionsAlone tests that the list names a node that does not answer, and that closing its
// connection is not answered with 404. Without Redis, a node still lists and closes its own.
func TestConnectionsAlone(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	token, _ := a.SignIn("alice", "user")
	c, welcome := a.Connect(token)
	o := a.Operator()
	a.Redis.Kill()
	var all connectionList
	o.Get("/api/v1/connections", &all)
	if all.Total != 1 || !slices.Equal(all.Silent, []string{b.Nodes.Name()}) {
		t.Errorf("without Redis: %+v", all)
	}
	if p := o.Ask("DELETE", "/api/v1/connections/other", "").Problem(t, 503); !strings.Contains(p.Detail, b.Nodes.Name()) {
		t.Errorf("kick without Redis: %+v", p)
	}
	o.Ask("DELETE", "/api/v1/connections/"+welcome.ConnID, "").Into(t, 200, new(any))
	c.WantClose(1008)
}

// TestKickAfterWelcome tests that a client is in the list once it has received its welcome.
func TestKickAfterWelcome(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) { c.Conns = 100 })
	token, _ := n.SignIn("alice", "user")
	o := n.Operator()
	for range 50 {
		c, welcome := n.Connect(token)
		o.Ask("DELETE", "/api/v1/connections/"+welcome.ConnID, "").Into(t, 200, new(any))
		c.WantClose(1008)
	}
}
