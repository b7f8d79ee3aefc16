package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// run starts a Manager's background work and waits for its end with the test.
func run(t testing.TB, m *session.Manager) *session.Manager {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return m
}

// client returns a client that gives up with its context, as the server's does.
func client(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, DisableIdentity: true})
	t.Cleanup(func() { c.Close() })
	return c
}

// socket stands for what is bound to a session.
type socket struct {
	binding *session.Binding
	index   int // of its session, where there are many
	at      time.Time
	cause   session.Cause
	calls   atomic.Int32
	ended   chan struct{}
}

func bind(m *session.Manager, s session.Session) *socket {
	k := &socket{ended: make(chan struct{})}
	k.binding = m.Bind(s, func(c session.Cause) {
		k.at, k.cause = time.Now(), c
		if k.calls.Add(1) == 1 {
			close(k.ended)
		}
	})
	return k
}

// slowest waits until all sockets have ended with the reason, and returns the longest time since start.
func slowest(t testing.TB, sockets []*socket, start time.Time, limit time.Duration, want session.Reason) time.Duration {
	t.Helper()
	return slowestOf(t, sockets, []time.Time{start}, limit, want)
}

// busy is what a busy machine adds to a limit of the contract. One second and this are still less
// than what is left to sockets whose node only reads the sessions again.
const busy = 3 * time.Second

// slowestOf is slowest with a start for each session.
func slowestOf(t testing.TB, sockets []*socket, starts []time.Time, limit time.Duration, want session.Reason) time.Duration {
	t.Helper()
	most := time.Duration(-1 << 63)
	timeout := time.After(limit + time.Minute)
	for i, k := range sockets {
		select {
		case <-k.ended:
			most = max(most, k.at.Sub(starts[k.index]))
			if k.cause.Reason != want && want != anyReason {
				t.Fatalf("socket %d ended as %s, want %s", i, k.cause.Reason, want)
			}
		case <-timeout:
			t.Fatalf("socket %d of %d still open %s after", i, len(sockets), time.Since(starts[k.index]))
		}
	}
	if most > limit+busy {
		t.Errorf("slowest socket took %s, limit %s", most, limit)
	}
	return most
}

func running(t testing.TB, m *session.Manager) {
	t.Helper()
	eventually(t, "the control channel is heard", func() bool {
		s, _ := create(t, m, session.Draft{UserID: "warm-up"})
		k := bind(m, s)
		defer k.binding.Close()
		if err := m.Revoke(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		select {
		case <-k.ended:
			return true
		case <-time.After(500 * time.Millisecond):
			return false
		}
	})
}

// expireIn is when each session of the door "expired" does: soon enough for a test, late enough to be bound.
const expireIn = 3 * time.Second

// anyReason: a node that has not seen the shortened expiry takes an expired key for a deleted one.
const anyReason = session.Reason(-1)

// doors are the ways a session ends, and how soon its sockets must.
var doors = []struct {
	name  string
	limit time.Duration
	want  session.Reason
	all   func(t *testing.T, a *session.Manager, user string, n int) // ends all at once; nil = one ends each
	one   func(t *testing.T, a *session.Manager, rdb *redis.Client, s session.Session) time.Time
}{
	{"revoke", time.Second, session.Revoked, nil, func(t *testing.T, a *session.Manager, _ *redis.Client, s session.Session) time.Time {
		start := time.Now()
		if err := a.Revoke(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
		return start
	}},
	{"revoke user", time.Second, session.Revoked, func(t *testing.T, a *session.Manager, user string, n int) {
		if k, err := a.RevokeUser(t.Context(), user); err != nil || k != n {
			t.Errorf("revoked %d of %d, %v", k, n, err)
		}
	}, nil},
	{"deleted by hand", 5 * time.Second, session.Revoked, nil, func(t *testing.T, _ *session.Manager, rdb *redis.Client, s session.Session) time.Time {
		start := time.Now()
		rdb.Del(t.Context(), "session:"+s.ID)
		return start
	}},
	{"expired", 5 * time.Second, session.Expired, nil, func(_ *testing.T, _ *session.Manager, _ *redis.Client, s session.Session) time.Time {
		return s.ExpiresAt
	}},
	{"expiry shortened by hand", 5 * time.Second, anyReason, nil, func(t *testing.T, _ *session.Manager, rdb *redis.Client, s session.Session) time.Time {
		rdb.Expire(t.Context(), "session:"+s.ID, time.Second)
		return time.Now().Add(time.Second)
	}},
	{"replaced by rubbish", 5 * time.Second, session.Revoked, nil, func(t *testing.T, _ *session.Manager, rdb *redis.Client, s session.Session) time.Time {
		start := time.Now()
		rdb.Set(t.Context(), "session:"+s.ID, "rubbish", 0)
		return start
	}},
}

// Two nodes; sockets on B (and some on A), the session ends on A or in Redis.
func TestSocketsCloseInTime(t *testing.T) {
	for _, kind := range []string{"real with events", "real without events", "embedded"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var addr string
			switch kind {
			case "embedded":
				_, addr = redistest.Embedded(t)
			case "real with events":
				addr = redistest.Start(t, "--notify-keyspace-events", "Exg").Addr()
			default:
				addr = redistest.Start(t).Addr()
			}
			a, b := run(t, manager(client(t, addr))), run(t, manager(client(t, addr)))
			running(t, a)
			running(t, b)
			stay, _ := create(t, a, session.Draft{UserID: "stays"})
			kept := bind(b, stay)
			t.Cleanup(func() {
				if kept.calls.Load() != 0 || b.Bound() != 1 {
					t.Errorf("%d sessions bound on B, want the one that goes on", b.Bound())
				}
			})
			for _, door := range doors {
				t.Run(door.name, func(t *testing.T) {
					t.Parallel()
					rdb := client(t, addr)
					all, open := bindMany(t, a, b, door.name, rdb)
					starts := make([]time.Time, len(all))
					for i, s := range all {
						if starts[i] = time.Now(); door.one != nil {
							starts[i] = door.one(t, a, rdb, s)
						}
					}
					if door.all != nil {
						door.all(t, a, door.name, len(all))
						for i := range starts { // they are revoked when the call returns
							starts[i] = time.Now()
						}
					}
					most := slowestOf(t, open, starts, door.limit, door.want)
					t.Logf("%d sockets, slowest closed after %s", len(open), most.Round(time.Millisecond))
					for _, k := range open {
						if k.calls.Load() != 1 {
							t.Errorf("onEnd called %d times", k.calls.Load())
						}
					}
				})
			}
		})
	}
}

// bindMany makes 200 sessions on A for a user named like the door, and binds each on B and every tenth on A too.
func bindMany(t *testing.T, a, b *session.Manager, door string, rdb *redis.Client) (all []session.Session, open []*socket) {
	for i := range 200 {
		var token string
		if door == "expired" { // extension stops at the absolute expiry
			end := time.Now().Add(expireIn)
			token, _ = byHand(t, rdb, fmt.Sprintf(`{"user_id":"u","role":"user","absolute_expires_at":%d}`, end.UnixMilli()), expireIn)
		} else {
			_, token = create(t, a, session.Draft{UserID: door})
		}
		s, err := b.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		nodes := []*session.Manager{b}
		if i%10 == 0 {
			nodes = append(nodes, a)
		}
		for _, m := range nodes {
			k := bind(m, s)
			k.index = i
			open = append(open, k)
		}
	}
	return all, open
}

func TestRevokedBetweenLoadAndBind(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	reg := prometheus.NewRegistry()
	a := run(t, manager(srv.Client(), func(c *session.Config) { c.Registerer = reg }))
	running(t, a)
	s, _ := create(t, a, session.Draft{})
	if err := a.Revoke(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the notice is through and found nobody", func() bool {
		return counter(t, reg, "fx_session_notices_received_total", "") >= 1
	})
	k := bind(a, s)
	slowest(t, []*socket{k}, time.Now(), time.Second, session.Revoked)
}

func TestCloseBinding(t *testing.T) {
	t.Parallel()
	m := run(t, manager(redistest.Start(t).Client()))
	running(t, m)
	s, _ := create(t, m, session.Draft{})
	closed, open := bind(m, s), bind(m, s)
	closed.binding.Close()
	closed.binding.Close()
	if err := m.Revoke(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	slowest(t, []*socket{open}, time.Now(), time.Second, session.Revoked)
	open.binding.Close()
	if closed.calls.Load() != 0 || m.Bound() != 0 {
		t.Errorf("closed binding told %d times, %d bound", closed.calls.Load(), m.Bound())
	}
}

// onEnd may call back, and one that hangs does not keep the others waiting.
func TestOnEndMayBlock(t *testing.T) {
	t.Parallel()
	m := run(t, manager(redistest.Start(t).Client()))
	running(t, m)
	s, _ := create(t, m, session.Draft{})
	release := make(chan struct{})
	defer close(release)
	var b *session.Binding
	b = m.Bind(s, func(session.Cause) { b.Close(); m.Bound(); <-release })
	k := bind(m, s)
	if err := m.Revoke(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	slowest(t, []*socket{k}, time.Now(), time.Second, session.Revoked)
}

func TestSocketsFollowRenewal(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	a, b := run(t, manager(client(t, srv.Addr()))), run(t, manager(client(t, srv.Addr())))
	running(t, a)
	running(t, b)
	s, _ := create(t, a, session.Draft{Role: "guest"})
	open := []*socket{bind(a, s), bind(b, s)}
	next, _, err := a.Renew(t.Context(), s.ID, session.Change{Role: "user"})
	if err != nil {
		t.Fatal(err)
	}
	slowest(t, open, time.Now(), time.Second, session.Renewed)
	for _, k := range open {
		if n := k.cause.Next; n.ID != next.ID || n.Role != "user" {
			t.Errorf("followed to %+v", n)
		}
	}

	// A node that heard no notice finds the tombstone.
	deaf := run(t, manager(client(t, srv.Addr()), func(c *session.Config) { c.Prefix = "other:" }))
	k := bind(deaf, next)
	third, _, err := a.Renew(t.Context(), next.ID, session.Change{})
	if err != nil {
		t.Fatal(err)
	}
	slowest(t, []*socket{k}, time.Now(), 5*time.Second, session.Renewed)
	if k.cause.Next.ID != third.ID {
		t.Errorf("followed to %+v", k.cause.Next)
	}

	// Another program changes the role in place.
	k = bind(deaf, k.cause.Next)
	if err := srv.Client().Set(t.Context(), "session:"+third.ID, `{"user_id":"u1","role":"admin"}`, 10*time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	slowest(t, []*socket{k}, time.Now(), 5*time.Second, session.Renewed)
	if k.cause.Next.ID != third.ID || k.cause.Next.Role != "admin" {
		t.Errorf("followed to %+v", k.cause.Next)
	}
}

// Listening keeps a session alive, up to its absolute expiry.
func TestBindingExtends(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	reg := prometheus.NewRegistry()
	m := run(t, manager(client(t, srv.Addr()), func(c *session.Config) {
		c.AbsoluteTTL = 12 * time.Second
		c.Registerer = reg
	}))
	otherReg := prometheus.NewRegistry()
	other := run(t, manager(client(t, srv.Addr()), func(c *session.Config) {
		c.AbsoluteTTL = 12 * time.Second
		c.Registerer = otherReg
	}))
	s, token := create(t, m, session.Draft{TTL: 4 * time.Second})
	k := bind(m, s)
	bind(other, s)
	select {
	case <-k.ended:
		t.Fatalf("ended as %s although it was in use", k.cause.Reason)
	case <-time.After(time.Until(s.CreatedAt.Add(9 * time.Second))):
	}
	if _, err := m.Load(t.Context(), token); err != nil {
		t.Error(err)
	}
	slowest(t, []*socket{k}, s.AbsoluteExpiresAt, 5*time.Second, session.Expired)
	if k.at.Before(s.AbsoluteExpiresAt.Add(-2 * time.Second)) { // the time that a slow answer of Redis takes counts as used up
		t.Errorf("ended %s before the absolute expiry", s.AbsoluteExpiresAt.Sub(k.at))
	}
	got := counter(t, reg, "fx_session_events_total", "extended") + counter(t, otherReg, "fx_session_events_total", "extended")
	if got < 2 || got > 9 { // at most one in a third of the ttl, by whichever node
		t.Errorf("%v extensions by two nodes in 12 s", got)
	}
}

func counter(t testing.TB, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.Metric {
			if f.GetName() == name && (label == "" || len(m.Label) > 0 && m.Label[0].GetValue() == label) {
				if m.Counter != nil {
					return m.Counter.GetValue()
				}
				return m.Gauge.GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

// Redis hangs: sockets go on for the grace and no longer. Then it answers again.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"paused", "killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t)
			var degraded, recovered atomic.Int32
			m := run(t, manager(client(t, srv.Addr()), func(c *session.Config) {
				c.Grace = 7 * time.Second
				c.OnDegraded = func(on bool) {
					if on {
						degraded.Add(1)
					} else {
						recovered.Add(1)
					}
				}
			}))
			running(t, m)
			s, token := create(t, m, session.Draft{})
			k := bind(m, s)
			if how == "paused" {
				srv.Pause()
			} else {
				srv.Kill()
			}
			gone := time.Now()
			eventually(t, "degraded", m.Degraded)
			if k.calls.Load() != 0 {
				t.Errorf("ended %s after Redis went, as %s", k.at.Sub(gone), k.cause.Reason)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if _, err := m.Load(ctx, token); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("load: %v", err)
			}
			if _, _, err := m.IssueTicket(ctx, s.ID); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("ticket: %v", err)
			}
			if _, err := m.Leases.Acquire(ctx, "u", "c", 1); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("lease: %v", err)
			}
			cancel()
			most := slowest(t, []*socket{k}, gone, 8*time.Second, session.Unverified)
			t.Logf("cut off %s after Redis went", most.Round(time.Millisecond))
			if most < 3*time.Second {
				t.Error("cut off before the grace")
			}
			if how == "paused" {
				srv.Resume()
			} else {
				srv.Restart()
			}
			eventually(t, "not degraded", func() bool { return !m.Degraded() })
			eventually(t, "callbacks", func() bool { return degraded.Load() == 1 && recovered.Load() == 1 })
			if how == "paused" {
				if _, err := m.Load(t.Context(), token); err != nil {
					t.Errorf("load afterwards: %v", err)
				}
			}
			running(t, m)
		})
	}
}

// A broken control connection ends nothing, and what was missed meanwhile is caught up with.
func TestControlConnectionBroken(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	reg := prometheus.NewRegistry()
	m := run(t, manager(client(t, srv.Addr()), func(c *session.Config) { c.Registerer = reg }))
	running(t, m)
	stays, _ := create(t, m, session.Draft{})
	goes, _ := create(t, m, session.Draft{})
	kept, lost := bind(m, stays), bind(m, goes)
	rdb := srv.Client()
	if err := rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	rdb.Del(t.Context(), "session:"+goes.ID)
	slowest(t, []*socket{lost}, time.Now(), 5*time.Second, session.Revoked)
	eventually(t, "subscribed again", func() bool {
		return counter(t, reg, "fx_session_control_reconnects_total", "") >= 1 &&
			rdb.PubSubNumSub(t.Context(), "fx:control").Val()["fx:control"] == 1
	})
	running(t, m)
	if kept.calls.Load() != 0 || m.Degraded() {
		t.Errorf("a good session ended as %s, degraded %v", kept.cause.Reason, m.Degraded())
	}
}

// Redis comes back with older data: what was revoked is dead again before anybody can use it.
func TestRevokedStaysDeadAfterFailover(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	reg := prometheus.NewRegistry()
	m := run(t, manager(client(t, srv.Addr()), func(c *session.Config) { c.Registerer = reg }))
	running(t, m)
	s, token := create(t, m, session.Draft{})
	value := srv.Client().Get(t.Context(), "session:"+s.ID).Val()
	gone, _ := create(t, m, session.Draft{UserID: "not in the older data"})
	k := bind(m, gone)
	if err := m.Revoke(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	srv.Kill()
	eventually(t, "degraded", m.Degraded)
	if k.calls.Load() != 0 {
		t.Errorf("a socket ended as %s within the grace", k.cause.Reason)
	}
	srv.Restart()
	back := time.Now()
	if err := srv.Client().Set(t.Context(), "session:"+s.ID, value, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "revoked again", func() bool {
		if _, err := m.Load(t.Context(), token); err == nil {
			t.Fatal("a revoked session came back")
		}
		n, err := srv.Client().Exists(t.Context(), "session:"+s.ID).Result()
		return err == nil && n == 0
	})
	slowest(t, []*socket{k}, back, 5*time.Second, session.Revoked)
	if got := counter(t, reg, "fx_session_events_total", "revoked_again"); got != 1 {
		t.Errorf("revoked_again = %v", got)
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := manager(redistest.Start(t).Client(), func(c *session.Config) { c.Registerer = reg })
	id := session.ID("x")
	for _, bad := range []string{"", "x", "[]", `{"type":7}`, `{"type":"session_revoked"}`, `{"type":"session_revoked","ids":["no"]}`,
		`{"type":"session_revoked","ids":"` + id + `"}`, `{"type":"session_renewed","ids":["` + id + `"]}`, strings.Repeat(" ", 1<<18)} {
		m.Heard(bad)
	}
	if got := counter(t, reg, "fx_session_notices_bad_total", ""); got != 9 {
		t.Errorf("%v bad notices counted, want 9", got)
	}
	m.Heard(`{"type":"kick","conn":"1"}`)
	m.Heard(`{"type":"kick","ids":{"other":"form"}}`)
	if got := counter(t, reg, "fx_session_notices_bad_total", ""); got != 9 {
		t.Errorf("notices for others counted as bad")
	}
	if m.Remembered() != 0 {
		t.Errorf("%d remembered", m.Remembered())
	}
	for i := range 101 { // the memory is bounded
		ids := make([]string, 1000)
		for j := range ids {
			ids[j] = `"` + session.ID(fmt.Sprint(i, j)) + `"`
		}
		m.Heard(fmt.Sprintf(`{"type":"session_revoked","ids":[%s],"until":%d}`, strings.Join(ids, ","), time.Now().Add(time.Hour).UnixMilli()))
	}
	if n := m.Remembered(); n > 100_000 || n < 80_000 {
		t.Errorf("%d remembered", n)
	}
	if counter(t, reg, "fx_session_revoked_forgotten_total", "") == 0 {
		t.Error("forgetting was not counted")
	}
}

// The form of a notice is for other programs to rely on.
func TestNoticeForm(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	ps := rdb.Subscribe(t.Context(), "pre:control")
	defer ps.Close()
	if _, err := ps.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := manager(rdb, func(c *session.Config) { c.Prefix, c.Node = "pre:", "n1" })
	s, _ := create(t, m, session.Draft{})
	if err := m.Revoke(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	msg, err := ps.ReceiveMessage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var n struct {
		Type  string
		IDs   []string
		Until int64
		Node  string
	}
	if err := json.Unmarshal([]byte(msg.Payload), &n); err != nil {
		t.Fatal(err)
	}
	if n.Type != "session_revoked" || !slices.Equal(n.IDs, []string{s.ID}) || n.Node != "n1" ||
		!near(time.Until(time.UnixMilli(n.Until)), 24*time.Hour, time.Minute) {
		t.Errorf("notice %s", msg.Payload)
	}
}

// A Redis user that may not see keyspace events is enough.
func TestNoRightToEvents(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	if err := srv.Client().Do(t.Context(), "ACL", "SETUSER", "fx", "on", ">secret", "~session:*", "resetchannels", "&fx:*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: srv.Addr(), Username: "fx", Password: "secret", ContextTimeoutEnabled: true, DisableIdentity: true})
	t.Cleanup(func() { rdb.Close() })
	m := run(t, manager(rdb))
	running(t, m)
	s, _ := create(t, m, session.Draft{})
	k := bind(m, s)
	srv.Client().Del(t.Context(), "session:"+s.ID)
	slowest(t, []*socket{k}, time.Now(), 5*time.Second, session.Revoked)
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	m := run(t, manager(redistest.Start(t).Client()))
	running(t, m)
	if err := m.Run(t.Context()); !errors.Is(err, session.ErrRunning) {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	manager(redistest.Start(t).Client(), func(c *session.Config) { c.Registerer = reg })
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// Whichever of a session's bindings are closed, in whatever order, the others are told of its end.
func TestCloseSomeBindings(t *testing.T) {
	t.Parallel()
	m := run(t, manager(redistest.Start(t).Client()))
	running(t, m)
	for _, closing := range [][]int{{}, {0}, {1}, {3}, {0, 1}, {3, 2}, {1, 2}, {2, 0, 3}, {0, 1, 2, 3}, {3, 2, 1, 0}, {1, 1, 3, 1}} {
		s, _ := create(t, m, session.Draft{})
		all := []*socket{bind(m, s), bind(m, s), bind(m, s), bind(m, s)}
		open := slices.Clone(all)
		for _, i := range closing {
			all[i].binding.Close()
			open = slices.DeleteFunc(open, func(k *socket) bool { return k == all[i] })
		}
		if want := min(len(open), 1); m.Bound() != want {
			t.Errorf("closed %v: %d sessions bound, want %d", closing, m.Bound(), want)
		}
		if err := m.Revoke(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		slowest(t, open, time.Now(), time.Second, session.Revoked)
		for i, k := range all {
			k.binding.Close()
			if slices.Contains(closing, i) && k.calls.Load() != 0 {
				t.Errorf("closed %v: binding %d was told", closing, i)
			}
		}
	}
	if m.Bound() != 0 {
		t.Errorf("%d sessions bound at the end", m.Bound())
	}
}
