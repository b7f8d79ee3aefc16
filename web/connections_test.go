package web_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A connectionList is what GET /api/v1/connections answers.
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

// pair is two nodes on one Redis that know each other.
func pair(t *testing.T) (a, b *testNode) {
	t.Helper()
	a = startNode(t, nil)
	b = startNode(t, func(c *nodeConfig) { c.redis, c.writeTimeout, c.channels = a.redis, time.Minute, []string{"news"} })
	eventually(t, "the nodes know each other", func() bool {
		return slices.Equal(a.nodes.Others(), []string{b.nodes.Name()}) && slices.Equal(b.nodes.Others(), []string{a.nodes.Name()})
	})
	return a, b
}

// TestConnections: either node lists the connections of both, those furthest
// behind first, and closes one of the other's.
func TestConnections(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	token, sess := a.signIn("alice", "user")
	here, welcome := a.connect(token)
	there, _ := b.connect(token)
	bob, _ := b.signIn("bob", "user")
	narrow := dialServer(t, b.public)
	if err := narrow.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	p, _ := upgrade(t, narrow, "/ws", bearer(bob), nil)
	t.Cleanup(func() { p.Close() })
	slow := &client{p, t}
	slowWelcome := slow.want("welcome")
	for _, c := range []*client{here, there} {
		c.say(`{"op":"subscribe","symbols":["EUR/USD","GBP/USD"]}`)
		c.until("ack")
	}
	var all connectionList
	o := a.operator()
	o.get("/api/v1/connections", &all)
	if all.Total != 3 || len(all.Connections) != 3 || len(all.Silent) != 0 || all.Nodes[a.nodes.Name()] != 1 || all.Nodes[b.nodes.Name()] != 2 {
		t.Fatalf("all connections: %+v", all)
	}
	i := slices.IndexFunc(all.Connections, func(c listedConnection) bool { return c.ID == welcome.ConnID })
	if i < 0 {
		t.Fatalf("no %s among %+v", welcome.ConnID, all.Connections)
	}
	c := all.Connections[i]
	if c.Node != a.nodes.Name() || c.Kind != "websocket" || c.Session != sess.ID || c.User != "alice" || c.Role != "user" || c.Address != "127.0.0.1" ||
		time.Since(c.Since) > time.Minute || c.Since.After(time.Now()) || c.Symbols == nil || *c.Symbols != 2 || *c.Pending != 0 || c.Bytes != 0 || c.Stalled != 0 {
		t.Errorf("a connection: %+v", c)
	}
	if c.Mode == nil || *c.Mode != "latest" || c.Skipped == nil || *c.Skipped != 0 {
		t.Errorf("what it asked for: %v, skipped %v", c.Mode, c.Skipped)
	}
	modes := func(want string) {
		t.Helper()
		var list connectionList
		o.get("/api/v1/connections?user_id=bob", &list)
		got := "null"
		if c := list.Connections[0]; c.Mode != nil {
			got = *c.Mode
		}
		if got != want {
			t.Errorf("bob's mode is %s, want %s", got, want)
		}
	}
	modes("null")
	slow.say(`{"op":"subscribe","symbols":["CHF/JPY"],"mode":"all"}`)
	slow.until("ack")
	modes("all")
	slow.say(`{"op":"subscribe","symbols":["AUD/JPY"]}`)
	slow.until("ack")
	modes("mixed")
	slow.say(`{"op":"unsubscribe","symbols":["CHF/JPY","AUD/JPY"]}`)
	slow.until("ack")
	var few connectionList
	if o.get("/api/v1/connections?limit=1", &few); few.Total != 3 || len(few.Connections) != 1 {
		t.Errorf("one of three: %+v", few)
	}
	if o.get("/api/v1/connections?user_id=alice", &few); few.Total != 2 || len(few.Connections) != 2 {
		t.Errorf("those of a user: %+v", few)
	}
	if o.get("/api/v1/connections?user_id=nobody", &few); few.Total != 0 || few.Connections == nil {
		t.Errorf("those of nobody: %+v", few)
	}
	o.ask("GET", "/api/v1/connections?limit=1001", "").problem(t, 400)

	// slow reads nothing: it has the most waiting, and comes first.
	slow.say(`{"op":"subscribe","symbols":["*"],"channels":["news"]}`)
	slow.until("ack")
	eventually(t, "the client that does not read is listed first", func() bool {
		for range 20 {
			if err := b.rdb.Publish(t.Context(), "news", `"`+strings.Repeat("x", 8<<10)+`"`).Err(); err != nil {
				t.Fatal(err)
			}
		}
		o.get("/api/v1/connections", &all)
		first := all.Connections[0]
		return first.ID == slowWelcome.ConnID && first.Bytes > 0 && first.Stalled > 0
	})

	// Kicked on the other node, and on this one.
	var kicked struct{ Node string }
	o.ask("DELETE", "/api/v1/connections/"+slowWelcome.ConnID, "").into(t, 200, &kicked)
	if kicked.Node != b.nodes.Name() {
		t.Errorf("kicked by %q", kicked.Node)
	}
	slow.wantClose(1008)
	o.ask("DELETE", "/api/v1/connections/"+welcome.ConnID, "").into(t, 200, &kicked)
	if here.wantClose(1008); kicked.Node != a.nodes.Name() {
		t.Errorf("kicked by %q", kicked.Node)
	}
	eventually(t, "they are gone from the list", func() bool {
		o.get("/api/v1/connections", &all)
		return all.Total == 1
	})
	for _, id := range []string{welcome.ConnID, "none", strings.Repeat("x", 500), "%2e%2e"} {
		if p := o.ask("DELETE", "/api/v1/connections/"+id, "").problem(t, 404); !strings.Contains(p.Detail, "conn_id") {
			t.Errorf("kick %.20s: %+v", id, p)
		}
	}
}

// TestConnectionsAlone: a node that does not answer is named, and what is only on
// it can not be said to be gone. Without Redis a node still shows and closes its own.
func TestConnectionsAlone(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	token, _ := a.signIn("alice", "user")
	c, welcome := a.connect(token)
	o := a.operator()
	a.redis.Kill()
	var all connectionList
	o.get("/api/v1/connections", &all)
	if all.Total != 1 || !slices.Equal(all.Silent, []string{b.nodes.Name()}) {
		t.Errorf("without Redis: %+v", all)
	}
	if p := o.ask("DELETE", "/api/v1/connections/other", "").problem(t, 503); !strings.Contains(p.Detail, b.nodes.Name()) {
		t.Errorf("kick without Redis: %+v", p)
	}
	o.ask("DELETE", "/api/v1/connections/"+welcome.ConnID, "").into(t, 200, new(any))
	c.wantClose(1008)
}

// TestKickAfterWelcome: who has read the welcome is in the list.
func TestKickAfterWelcome(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) { c.conns = 100 })
	token, _ := n.signIn("alice", "user")
	o := n.operator()
	for range 50 {
		c, welcome := n.connect(token)
		o.ask("DELETE", "/api/v1/connections/"+welcome.ConnID, "").into(t, 200, new(any))
		c.wantClose(1008)
	}
}
