package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestModes runs two nodes as processes over every kind of Redis and wants the
// same of each.
func TestModes(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		a := startProcess(t)
		addr := a.stderr.Find(`msg="embedded redis listens" addr=(\S+)`)
		b := startProcess(t, "REDIS_URL=redis://"+addr, "GUEST_SESSIONS=true")
		rdb := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
		defer rdb.Close()
		everything(t, a, b, rdb)
	})
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			settings, rdb := m.start(t)
			settings = append(settings, "GUEST_SESSIONS=true")
			a, b := startProcess(t, settings...), startProcess(t, settings...)
			everything(t, a, b, rdb)
			if strings.HasPrefix(m.name, "sentinel") {
				sentinelsSeen(t, a)
			}
			for _, n := range []*processNode{a, b} {
				// A user with few permissions may not ask for the configuration; that is no fault.
				log := regexp.MustCompile(`(?m)^.*level=DEBUG msg="redis command".*\n`).ReplaceAllString(n.stderr.String(), "")
				if strings.Contains(log, "CROSSSLOT") || strings.Contains(log, "NOPERM") || strings.Contains(log, "MOVED") || strings.Contains(log, "level=ERROR") {
					t.Errorf("the log of a node:\n%s", log)
				}
			}
		})
	}
}

// sentinelsSeen: the health of Redis counts the sentinels.
func sentinelsSeen(t *testing.T, n *processNode) {
	var health struct {
		Checks []struct{ Name, Value, Why string }
	}
	n.do("GET", n.admin+"/api/v1/redis/health", "", bearer(adminToken)).into(t, 200, &health)
	for _, c := range health.Checks {
		if c.Name == "sentinel" {
			if !strings.Contains(c.Value, "sentinels know the master") || strings.HasPrefix(c.Value, "0 ") {
				t.Errorf("the check of the sentinels: %+v", c)
			}
			return
		}
	}
	t.Errorf("no check of the sentinels in %+v", health)
}

// The simulated market of the embedded mode has none of these; in a cluster of
// three they are on different nodes.
var exotic = []string{"CHF/SEK", "NOK/PLN", "ZAR/MXN", "SEK/DKK", "HUF/CZK"}

// everything is what two nodes on one Redis must do.
func everything(t *testing.T, a, b *processNode, rdb redis.UniversalClient) {
	user := a.signIn("7", "user")
	onA, _ := a.connect(user.Token)
	onB, _ := b.connect(user.Token)
	pair := []*socket{onA, onB}
	quoted, _ := json.Marshal(exotic)
	for _, k := range pair {
		k.say(`{"op":"subscribe","id":1,"symbols":` + string(quoted) + `}`)
		if ack := k.until("ack"); len(ack.OK) != len(exotic) {
			t.Fatalf("subscribe: %s", ack.raw)
		}
	}

	// Over HTTP, and twice so that the sequence is seen to grow.
	seen := []*follower{{seen: map[string]lastSeen{}}, {seen: map[string]lastSeen{}}}
	for round := 1; round <= 2; round++ {
		n := a
		if round == 2 {
			n = b
		}
		var quotes []string
		for i, s := range exotic {
			quotes = append(quotes, fmt.Sprintf(`{"symbol":%q,"bid":"%d.1%d0","ask":"%d.13"}`, s, i+1, round, i+1))
		}
		var accepted struct {
			Accepted int
			Rejected []any
		}
		n.do("POST", n.public+"/api/v1/quotes", "["+strings.Join(quotes, ",")+"]", bearer(pubToken)).into(t, 200, &accepted)
		if accepted.Accepted != len(exotic) || len(accepted.Rejected) != 0 {
			t.Fatalf("publishing: %+v", accepted)
		}
		for i, k := range pair {
			for j, s := range exotic {
				k.untilQuote(seen[i], s, fmt.Sprintf("%d.1%d0", j+1, round), uint64(round))
			}
		}
	}

	// Over the inbox.
	for i, s := range exotic {
		if err := rdb.Publish(t.Context(), "forex_updates", fmt.Sprintf(`{"symbol":%q,"bid":"%d.130","ask":"%d.13"}`, s, i+1, i+1)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i, k := range pair {
		for j, s := range exotic {
			k.untilQuote(seen[i], s, fmt.Sprintf("%d.130", j+1), 3)
		}
		if i > 0 {
			for s, q := range seen[i].seen {
				if q != seen[0].seen[s] {
					t.Errorf("%s: one node says %+v, the other %+v", s, seen[0].seen[s], q)
				}
			}
		}
	}
	// A later subscriber begins with the last values.
	late, _ := b.connect(user.Token)
	late.say(`{"op":"subscribe","id":1,"symbols":` + string(quoted) + `}`)
	late.until("ack")
	got := &follower{seen: map[string]lastSeen{}}
	for len(got.seen) < len(exotic) {
		if err := got.take([]byte(late.until("snapshot").raw)); err != nil {
			t.Fatal(err)
		}
	}
	for s, q := range got.seen {
		if q != seen[0].seen[s] {
			t.Errorf("snapshot of %s: %+v, want %+v", s, q, seen[0].seen[s])
		}
	}

	// History, read through either node.
	for _, n := range []*processNode{a, b} {
		for _, s := range exotic {
			var history []struct{ Bid string }
			got := n.do("GET", n.public+"/api/v1/quotes/"+s+"/history?limit=10", "", bearer(user.Token))
			got.into(t, 200, &history)
			if len(history) != 3 || history[0].Bid >= history[2].Bid {
				t.Errorf("history of %s: %s, want three quotes", s, got.body)
			}
		}
	}

	checkRemoval(t, a.testNode, b.testNode, exotic[0], user.Token, onA, onB)
	if n := keysOf(t, rdb, exotic[0]); n != 0 {
		t.Errorf("%d keys of a removed symbol are left", n)
	}
	sessionsHold(t, a, b, user)
	limitsHold(t, a, b)
}

// untilQuote reads until this quote of the symbol has come, which must be the
// next of it.
func (k *socket) untilQuote(f *follower, symbol, bid string, seq uint64) {
	k.t.Helper()
	for f.seen[symbol].seq < seq {
		m, ok := k.next()
		if !ok {
			k.t.Fatalf("ended (%v) before %s %s", k.err, symbol, bid)
		}
		if err := f.take([]byte(m.raw)); err != nil {
			k.t.Fatal(err)
		}
	}
	if got := f.seen[symbol]; got.seq != seq || got.bid != bid {
		k.t.Errorf("%s: bid %s with seq %d, want %s with %d", symbol, got.bid, got.seq, bid, seq)
	}
}

// sessionsHold uses sessions of one node on the other, and ends them.
func sessionsHold(t *testing.T, a, b *processNode, user madeSession) {
	var s struct {
		UserID string `json:"user_id"`
	}
	b.do("GET", b.public+"/api/v1/session", "", bearer(user.Token)).into(t, 200, &s)
	if s.UserID != "7" {
		t.Errorf("the session on the other node is of %q", s.UserID)
	}
	// One by its id, two at once by their user, one that signs out.
	one, out := a.signIn("one", "user"), a.signIn("out", "user")
	many := []madeSession{a.signIn("many", "user"), b.signIn("many", "user")}
	var listed []struct{ SessionID string }
	b.do("GET", b.admin+"/api/v1/sessions?user_id=many", "", bearer(adminToken)).into(t, 200, &listed)
	if len(listed) != 2 {
		t.Errorf("%d sessions are listed, want 2", len(listed))
	}
	type open struct {
		*socket
		name string
		end  *time.Time
	}
	var sockets []open
	ends := make([]time.Time, 3)
	for _, n := range []*processNode{a, b} {
		for i, s := range []madeSession{one, out, many[0], many[1]} {
			k, _ := n.connect(s.Token)
			sockets = append(sockets, open{k, s.UserID, &ends[min(i, 2)]})
		}
	}
	stays, _ := b.connect(user.Token)
	for i, call := range []func() answer{
		func() answer {
			return a.do("DELETE", a.admin+"/api/v1/redis/session/"+one.ID, "", bearer(adminToken))
		},
		func() answer { return a.do("DELETE", a.public+"/api/v1/session", "", bearer(out.Token)) },
		func() answer {
			return b.do("DELETE", b.admin+"/api/v1/sessions?user_id=many", "", bearer(adminToken))
		},
	} {
		ends[i] = time.Now()
		if got := call(); got.status/100 != 2 {
			t.Errorf("ending sessions: %d %s", got.status, got.body)
		}
	}
	for _, k := range sockets {
		k.wantClose(4001, "session")
		if took := k.ended.Sub(*k.end); took > revokedWithin+slack {
			t.Errorf("%s: closed after %v", k.name, took)
		}
	}
	for _, s := range []madeSession{one, out, many[0], many[1]} {
		if _, resp, err := a.dial("/ws", bearer(s.Token)); err == nil || resp == nil || resp.StatusCode != 401 {
			t.Errorf("connecting with an ended session: %v", err)
		}
	}
	stays.say(`{"op":"ping"}`)
	stays.until("pong")
}

// alone names the limits that the node has decided by itself. A node that is too busy to hear of
// Redis in time does so, by its policy: then nothing is shown of its limits.
func (n *testNode) alone() (decisions string) {
	n.t.Helper()
	for line := range strings.Lines(n.do("GET", n.admin+"/metrics", "", nil).body) {
		if strings.HasPrefix(line, "fx_limiter_decisions_total") && strings.Contains(line, `source="local"`) && !strings.HasSuffix(line, " 0\n") {
			decisions += line
		}
	}
	return decisions
}

// limitsHold uses a limit up on one node and is refused by the other, unless a node decides alone.
// Then another key is tried.
func limitsHold(t *testing.T, a, b *processNode) {
	nodes := []*processNode{a, b}
	for attempt := range 20 {
		var allowed []bool
		before := a.alone() + b.alone()
		for i := range 6 {
			var d struct{ Allowed bool }
			n := nodes[i%2]
			body := fmt.Sprintf(`{"key":"user:limited-%d","limit":5,"window_seconds":60}`, attempt)
			n.do("POST", n.admin+"/api/v1/redis/rate-limit/check", body, bearer(adminToken)).into(t, 200, &d)
			allowed = append(allowed, d.Allowed)
		}
		if a.alone()+b.alone() != before {
			continue
		}
		if want := []bool{true, true, true, true, true, false}; !slices.Equal(allowed, want) {
			t.Errorf("six checks of a limit of 5: allowed %v, want %v", allowed, want)
		}
		return
	}
	t.Error("in each of 20 attempts a node decided without Redis")
}

// TestModesLimitRequests wants 429 from every kind of Redis, counted over nodes.
func TestModesLimitRequests(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"standalone", "cluster"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(modes, func(m mode) bool { return m.name == name })
			settings, _ := modes[i].start(t)
			settings = append(settings, "RATE_PER_MINUTE=10", "RATE_ON_REDIS_DOWN=deny")
			a, b := startProcess(t, settings...), startProcess(t, settings...)
			for attempt := range 20 {
				user := a.signIn(fmt.Sprint("busy-", attempt), "user")
				var statuses []int
				for i := range 12 {
					n := []*processNode{a, b}[i%2]
					got := n.do("GET", n.public+"/api/v1/session", "", bearer(user.Token))
					statuses = append(statuses, got.status)
					if got.status == 429 && got.header.Get("Retry-After") == "" {
						t.Error("429 without Retry-After")
					}
				}
				if slices.Contains(statuses, 503) {
					continue // a node was too busy to hear of Redis in time, and denied: another user is tried
				}
				if want := append(slices.Repeat([]int{200}, 10), 429, 429); !slices.Equal(statuses, want) {
					t.Errorf("statuses %v, want %v", statuses, want)
				}
				return
			}
			t.Error("in each of 20 attempts a node decided without Redis")
		})
	}
}
