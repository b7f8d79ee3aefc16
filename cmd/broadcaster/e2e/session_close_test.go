package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// The promises. A loaded machine may break them without a fault of the program, so
// that the tests fail only well beyond, and report what they measured.
const (
	revokedWithin = time.Second
	goneWithin    = 5 * time.Second
	slack         = 4 * time.Second
)

// doors are all ways a session ends, and how soon its sockets must.
var doors = []struct {
	name  string
	limit time.Duration
	end   func(t *testing.T, a *testNode, user string, sessions []madeSession) time.Time // returns when the sessions had ended
}{
	{"absolute expiry", goneWithin, func(t *testing.T, a *testNode, _ string, sessions []madeSession) time.Time {
		at, err := time.Parse(time.RFC3339Nano, sessions[0].ExpiresAt)
		if err != nil {
			t.Error(err)
		}
		return at
	}},
	{"revoke", revokedWithin, func(t *testing.T, a *testNode, _ string, sessions []madeSession) time.Time {
		start := time.Now()
		for _, s := range sessions {
			if got := a.do("DELETE", a.admin+"/api/v1/redis/session/"+s.ID, "", bearer(adminToken)); got.status != 200 {
				t.Errorf("revoke: %+v", got)
			}
		}
		return start
	}},
	{"sign-out", revokedWithin, func(t *testing.T, a *testNode, _ string, sessions []madeSession) time.Time {
		start := time.Now()
		for _, s := range sessions {
			if got := a.do("DELETE", a.public+"/api/v1/session", "", bearer(s.Token)); got.status != 204 {
				t.Errorf("sign-out: %+v", got)
			}
		}
		return start
	}},
	{"revoke all", revokedWithin, func(t *testing.T, a *testNode, user string, _ []madeSession) time.Time {
		start := time.Now()
		if got := a.do("DELETE", a.admin+"/api/v1/sessions?user_id="+user, "", bearer(adminToken)); got.status != 200 {
			t.Errorf("revoke all: %+v", got)
		}
		return start
	}},
	{"terminal", revokedWithin, func(t *testing.T, a *testNode, user string, sessions []madeSession) time.Time {
		start := time.Now()
		code, out, errs := runCommand(t, []string{"REDIS_URL=" + a.cfg.Redis.URL, "LOG_LEVEL=error"}, "session", "revoke", "--user", user)
		if code != 0 || out != fmt.Sprintf("revoked %d\n", len(sessions)) {
			t.Errorf("session revoke: %d %q %q", code, out, errs)
		}
		return start
	}},
	{"deleted by another program", goneWithin, func(t *testing.T, a *testNode, _ string, sessions []madeSession) time.Time {
		start := time.Now()
		for _, s := range sessions {
			if err := a.rdb.Del(t.Context(), "session:"+s.ID).Err(); err != nil {
				t.Error(err)
			}
		}
		return start
	}},
	{"idle expiry", goneWithin, func(t *testing.T, a *testNode, _ string, sessions []madeSession) time.Time {
		start := time.Now()
		for _, s := range sessions { // as an auto-extension that did not come
			if err := a.rdb.PExpire(t.Context(), "session:"+s.ID, 500*time.Millisecond).Err(); err != nil {
				t.Error(err)
			}
		}
		return start.Add(500 * time.Millisecond)
	}},
}

// TestSocketsCloseOnEveryNode opens 200 sockets of 20 sessions on two nodes, for
// each door, and ends the sessions through the first node or in Redis. It runs
// before the tests that run side by side: it times thousands of sockets.
func TestSocketsCloseOnEveryNode(t *testing.T) {
	for _, kind := range []struct {
		name string
		args []string
	}{{"without events", nil}, {"with keyspace events", []string{"--notify-keyspace-events", "Exg"}}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			r := redistest.Start(t, kind.args...)
			settings := []string{"WS_HEARTBEAT=20s"}
			a, b := startNode(t, r, settings...), startNode(t, r, settings...)
			kept := a.signIn("stays", "user")
			stays, _ := b.connect(kept.Token)
			// All at once: most of the time is waiting.
			crowds := make([]*crowd, len(doors))
			for i, door := range doors {
				crowds[i] = openCrowd(t, a, b, fmt.Sprintf("u%d", i), door.name == "absolute expiry")
			}
			ended := make([]time.Time, len(doors))
			for i, door := range doors {
				ended[i] = door.end(t, a, crowds[i].user, crowds[i].sessions)
			}
			for i, door := range doors {
				var slowest time.Duration
				for _, k := range crowds[i].sockets {
					k.wantClose(4001, "session")
					slowest = max(slowest, k.ended.Sub(ended[i]))
				}
				t.Logf("%s: %d sockets on two nodes, the slowest closed after %v (promised %v)", door.name, len(crowds[i].sockets), slowest.Round(time.Millisecond), door.limit)
				if slowest > door.limit+slack {
					t.Errorf("%s: the slowest socket closed after %v, promised are %v", door.name, slowest, door.limit)
				}
				if _, resp, err := b.dial("/ws", bearer(crowds[i].sessions[0].Token)); err == nil || resp.StatusCode != 401 {
					t.Errorf("%s: connecting with an ended session: %v", door.name, err)
				}
			}
			stays.say(`{"op":"ping"}`)
			stays.want("pong")
		})
	}
}

// A crowd is the sockets of one user's sessions.
type crowd struct {
	user     string
	sessions []madeSession
	sockets  []*socket
}

// openCrowd opens 200 sockets of 20 sessions, on both nodes in turn.
func openCrowd(t *testing.T, a, b *testNode, user string, expiring bool) *crowd {
	t.Helper()
	const sessions, each = 20, 10
	c := &crowd{user: user, sockets: make([]*socket, sessions*each)}
	expire := time.Now().Add(6 * time.Second)
	for i := range sessions {
		if expiring {
			c.sessions = append(c.sessions, byHand(t, a.rdb, user, i, expire))
		} else {
			c.sessions = append(c.sessions, a.signIn(user, "user"))
		}
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(c.sockets); i += 4 {
				k, _, err := []*testNode{a, b}[i%2].dial("/ws", bearer(c.sessions[i/each].Token))
				if err != nil {
					t.Errorf("socket %d: %v", i, err)
					return
				}
				c.sockets[i] = k
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, k := range c.sockets {
		k.want("welcome")
	}
	return c
}

// byHand makes a session as another program does, one that ends at a time.
func byHand(t *testing.T, rdb *redis.Client, user string, i int, end time.Time) madeSession {
	t.Helper()
	token := fmt.Sprintf("by-hand-token-of-%s-0123456789-%d", user, i)
	s := madeSession{ID: session.ID(token), Token: token, ExpiresAt: end.Format(time.RFC3339Nano)}
	value := fmt.Sprintf(`{"user_id":%q,"role":"user","absolute_expires_at":%q}`, user, end.UTC().Format("2006-01-02T15:04:05.000Z"))
	if err := rdb.Set(t.Context(), "session:"+s.ID, value, time.Until(end)).Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSocketsFollowRenewal renews sessions with open sockets on two nodes: same
// rights go on under the new id, other rights and another user do not.
func TestSocketsFollowRenewal(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	a, b := startNode(t, r), startNode(t, r)
	s := a.signIn("ann", "user")
	onA, _ := a.connect(s.Token)
	onB, first := b.connect(s.Token)
	if first.Session.ID != s.ID {
		t.Errorf("welcome: %s", first.raw)
	}
	// The token becomes a cookie, with a new id.
	got := a.do("POST", a.public+"/api/v1/session", "", bearer(s.Token))
	var next madeSession
	got.into(t, 200, &next)
	if next.ID == s.ID || got.header.Get("Set-Cookie") == "" {
		t.Errorf("renewed: %+v", got)
	}
	for _, k := range []*socket{onA, onB} {
		if m := k.want("session"); m.Session.ID != next.ID || m.Session.Role != "user" {
			t.Errorf("told %s, want session %s", m.raw, next.ID)
		}
		k.say(`{"op":"ping"}`)
		k.want("pong")
	}
	if _, resp, err := b.dial("/ws", bearer(s.Token)); err == nil || resp.StatusCode != 401 {
		t.Errorf("the old token still opens: %v", err)
	}
	// It is the new session's end that counts now.
	if got := b.do("DELETE", b.admin+"/api/v1/redis/session/"+next.ID, "", bearer(adminToken)); got.status != 200 {
		t.Errorf("revoke: %+v", got)
	}
	onA.wantClose(4001, "revoked")
	onB.wantClose(4001, "revoked")

	for _, change := range []session.Change{{Role: "admin"}, {UserID: "bob"}} {
		s := a.signIn("ann", "user")
		onB, _ := b.connect(s.Token)
		if _, _, err := a.sessions().Renew(t.Context(), s.ID, change); err != nil {
			t.Fatal(err)
		}
		if said := onB.wantClose(4001, "other rights"); len(said) > 0 && said[0].Type == "session" {
			t.Errorf("%+v: told %s", change, said[0].raw)
		}
	}
	// Another program gives it another role in place.
	s = a.signIn("eve", "user")
	k, _ := b.connect(s.Token)
	if err := a.rdb.Set(t.Context(), "session:"+s.ID, `{"user_id":"eve","role":"guest"}`, 10*time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	k.wantClose(4001, "other rights")
}

// TestListeningKeepsASessionAlive outlives the idle lifetime with an open socket
// and nothing else; without one the session ends.
func TestListeningKeepsASessionAlive(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	a := startNode(t, r, "SESSION_TTL=2s")
	listens, idle := a.signIn("ann", "user"), a.signIn("bob", "user")
	k, _ := a.connect(listens.Token)
	programtest.Eventually(t, "the idle session ends", func() bool {
		return a.rdb.Exists(t.Context(), "session:"+idle.ID).Val() == 0
	})
	programtest.Eventually(t, "the other is extended beyond its first end", func() bool {
		var s madeSession
		a.do("GET", a.admin+"/api/v1/redis/session/"+listens.ID, "", bearer(adminToken)).into(t, 200, &s)
		at, err := time.Parse(time.RFC3339Nano, s.ExpiresAt)
		first, err2 := time.Parse(time.RFC3339Nano, listens.ExpiresAt)
		return err == nil && err2 == nil && at.After(first.Add(2*time.Second))
	})
	k.say(`{"op":"ping"}`)
	k.want("pong")
	k.ws.Close(websocket.StatusNormalClosure, "")
	programtest.Eventually(t, "it ends when nobody listens any more", func() bool {
		return a.rdb.Exists(t.Context(), "session:"+listens.ID).Val() == 0
	})
}
