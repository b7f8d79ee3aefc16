package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

const roleTable = `{
	"basic": {"symbols":["eurusd","*/JPY"],"channels":["news"],"max_symbols":2,"max_rate":2,"max_connections":1,"modes":["latest"],"rate":{"per_minute":4,"per_hour":100}},
	"quiet": {"modes":[],"channels":[]},
	"bot":   {"max_rate":0.5}
}`

// TestRolesReachTheWire gives roles by ROLES, as JSON and as a file.
func TestRolesReachTheWire(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/roles.json"
	programtest.WriteFile(t, file, roleTable)
	r := redistest.Start(t)
	for how, setting := range map[string]string{"as JSON": roleTable, "as a file": file} {
		n := startNode(t, r, "ROLES="+setting, "FEED_CHANNELS=news,vip", "WS_MAX_SYMBOLS=7", "WS_MAX_CONNECTIONS_PER_USER=9")
		user := "u-" + how[3:]

		basic := n.signIn(user, "basic")
		k, w := n.connect(basic.Token)
		if l := w.Limits; w.Session.Role != "basic" || !slices.Equal(l.Symbols, []string{"EUR/USD", "*/JPY"}) || !slices.Equal(l.Channels, []string{"news"}) ||
			!slices.Equal(l.Modes, []string{"latest"}) || l.MaxSymbols != 2 || l.MaxRate != 2 || l.MaxConnections != 1 {
			t.Errorf("%s: welcome %s", how, w.raw)
		}
		k.say(`{"op":"subscribe","id":1,"symbols":["EUR/USD","USD/CHF","*","EUR/*","*/JPY","GBP/JPY"],"channels":["news","vip"],"max_rate":50}`)
		a := k.until("ack")
		if !slices.Equal(a.OK, []string{"EUR/USD", "*/JPY", "news"}) || a.MaxRate == nil || *a.MaxRate != 2 {
			t.Errorf("%s: ack %s", how, a.raw)
		}
		codes := map[string]string{}
		for _, f := range a.Failed {
			codes[f.Symbol+f.Channel] = f.Code
		}
		for name, code := range map[string]string{"USD/CHF": "not_entitled", "*": "not_entitled", "EUR/*": "not_entitled", "GBP/JPY": "too_many_symbols", "vip": "unknown_channel"} {
			if codes[name] != code {
				t.Errorf("%s: %s is refused with %q, want %s", how, name, codes[name], code)
			}
		}
		k.say(`{"op":"subscribe","id":2,"symbols":["EUR/USD"],"max_rate":0.5}`)
		if a := k.until("ack"); *a.MaxRate != 0.5 {
			t.Errorf("%s: a lower rate is granted as %v", how, *a.MaxRate)
		}
		second, _, err := n.dial("/ws", bearer(basic.Token))
		if err != nil {
			t.Fatal(err)
		}
		second.wantClose(4009, "connections")
		// Its tiers: 4 a minute, of which two connects are gone.
		for i := range 3 {
			got := n.do("GET", n.public+"/api/v1/session", "", bearer(basic.Token))
			if want := []int{200, 200, 429}[i]; got.status != want && n.alone() == "" || !strings.Contains(got.header.Get("RateLimit-Policy"), "q=4;w=60") || !strings.Contains(got.header.Get("RateLimit-Policy"), "q=100;w=3600") {
				t.Errorf("%s: request %d: %d %v, want %d", how, i+1, got.status, got.header, want)
			}
		}

		quiet, w := n.connect(n.signIn(user+"2", "quiet").Token)
		if w.Limits.Modes == nil || len(w.Limits.Modes) != 0 || w.Limits.MaxSymbols != 7 || w.Limits.MaxConnections != 9 || len(w.Limits.Channels) != 0 || !slices.Equal(w.Limits.Symbols, []string{"*"}) {
			t.Errorf("%s: welcome %s", how, w.raw)
		}
		quiet.say(`{"op":"subscribe","symbols":["EUR/USD"]}`)
		if a := quiet.until("ack"); len(a.OK) != 0 || len(a.Failed) != 1 || a.Failed[0].Code != "not_entitled" || !strings.Contains(a.Failed[0].Message, "latest") {
			t.Errorf("%s: a mode the role does not have: %s", how, a.raw)
		}
		bot, _ := n.connect(n.signIn(user+"3", "bot").Token)
		bot.say(`{"op":"subscribe","symbols":["*"]}`)
		if a := bot.until("ack"); *a.MaxRate != 0.5 || len(a.OK) != 1 {
			t.Errorf("%s: every tick asked by a slow role: %s", how, a.raw)
		}
		// The roles not in the table have the defaults.
		user1, w := n.connect(n.signIn(user+"4", "user").Token)
		if w.Limits.MaxSymbols != 7 || w.Limits.MaxRate != 0 || !slices.Equal(w.Limits.Channels, []string{"news", "vip"}) {
			t.Errorf("%s: welcome %s", how, w.raw)
		}
		user1.say(`{"op":"subscribe","symbols":["*"],"channels":["vip"]}`)
		if a := user1.until("ack"); len(a.OK) != 2 || *a.MaxRate != 0 {
			t.Errorf("%s: ack %s", how, a.raw)
		}
		n.stop()
	}
}

// TestUnknownRole: rights nobody wrote down are none, and its limits are not "no limit".
func TestUnknownRole(t *testing.T) {
	t.Parallel()
	n := startNode(t, redistest.Start(t), "RATE_PER_MINUTE=5", "GUEST_CONNECTIONS_PER_ADDRESS=2", "FEED_CHANNELS=news")
	s := n.signIn("ann", "trader")
	k, w := n.connect(s.Token)
	if len(w.Limits.Symbols)+len(w.Limits.Channels)+len(w.Limits.Modes)+w.Limits.MaxSymbols != 0 || w.Limits.MaxConnections != 2 {
		t.Errorf("welcome %s", w.raw)
	}
	k.say(`{"op":"subscribe","symbols":["EUR/USD"],"channels":["news"]}`)
	if a := k.until("ack"); len(a.OK) != 0 || len(a.Failed) != 2 {
		t.Errorf("ack %s", a.raw)
	}
	n.connect(s.Token)
	third, _, err := n.dial("/ws", bearer(s.Token))
	if err != nil {
		t.Fatal(err)
	}
	third.wantClose(4009, "")
	statuses := []int{}
	for range 3 {
		statuses = append(statuses, n.do("GET", n.public+"/api/v1/quotes", "", bearer(s.Token)).status)
	}
	if !slices.Equal(statuses, []int{200, 200, 429}) && n.alone() == "" {
		t.Errorf("requests of an unknown role: %v, want the third limited", statuses)
	}
}

// TestConnectionsOverAllNodes counts a user's sockets on two nodes, by leases.
func TestConnectionsOverAllNodes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	a, b := startNode(t, r, "WS_MAX_CONNECTIONS_PER_USER=4"), startNode(t, r, "WS_MAX_CONNECTIONS_PER_USER=4")
	first, second := a.signIn("ann", "user"), b.signIn("ann", "user") // the user counts, not the session
	var open []*socket
	for i, n := range []*testNode{a, b, a, b} {
		k, _ := n.connect([]string{first.Token, second.Token}[i/2])
		open = append(open, k)
	}
	full := func(n *testNode) bool {
		t.Helper()
		k, _, err := n.dial("/ws", bearer(second.Token))
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := k.next(); ok && m.Type == "welcome" {
			open = append(open, k)
			return false
		}
		k.wantClose(4009, "too many")
		return true
	}
	if !full(a) || !full(b) {
		t.Error("a fifth connection is let in")
	}
	other, _ := b.connect(b.signIn("bob", "user").Token)
	other.ws.CloseNow()
	open[0].ws.CloseNow() // without a handshake
	programtest.Eventually(t, "a closed connection makes room", func() bool { return !full(b) })

	// What a crashed node leaves is not renewed by anybody, and ends within a minute.
	key := a.rdb.Keys(t.Context(), "session:connections:*ann*").Val()
	if len(key) != 1 {
		t.Fatalf("leases: %v", key)
	}
	now := a.rdb.Time(t.Context()).Val()
	leases := a.rdb.ZRangeWithScores(t.Context(), key[0], 0, -1).Val()
	if len(leases) != 4 {
		t.Errorf("%d leases, want 4", len(leases))
	}
	for _, z := range leases {
		if left := time.UnixMilli(int64(z.Score)).Sub(now); left > time.Minute || left < 20*time.Second {
			t.Errorf("the lease of %v ends in %v", z.Member, left)
		}
	}
	for _, k := range open {
		k.ws.CloseNow()
	}
	programtest.Eventually(t, "all leases are given back", func() bool { return a.rdb.ZCard(t.Context(), key[0]).Val() == 0 })
	for _, conn := range []string{"crashed-1", "crashed-2", "crashed-3", "crashed-4"} {
		end := a.rdb.Time(t.Context()).Val().Add(time.Second) // the last of its minute
		a.rdb.ZAdd(t.Context(), key[0], redis.Z{Score: float64(end.UnixMilli()), Member: conn})
	}
	if !full(a) {
		t.Error("leases of a node that may be alive do not count")
	}
	programtest.Eventually(t, "they run out", func() bool { return !full(a) })
	if other := a.rdb.Exists(t.Context(), "session:connections:user:bob").Val(); other != 0 {
		programtest.Eventually(t, "the other user's leases are given back", func() bool { return a.rdb.Exists(t.Context(), "session:connections:user:bob").Val() == 0 })
	}
}
