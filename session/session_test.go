package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

var eventually = redistest.Eventually

// eachRedis runs a test on a real Redis and on the embedded one.
func eachRedis(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Run("real", func(t *testing.T) { t.Parallel(); test(t, redistest.Start(t).Client()) })
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		rdb, _ := redistest.Embedded(t)
		test(t, rdb)
	})
}

func manager(rdb redis.UniversalClient, change ...func(*session.Config)) *session.Manager {
	c := session.Config{Redis: rdb, AutoExtend: true}
	for _, f := range change {
		f(&c)
	}
	return session.New(c)
}

func create(t testing.TB, m *session.Manager, d session.Draft) (session.Session, string) {
	t.Helper()
	if d.UserID == "" {
		d.UserID = "u1"
	}
	if d.Role == "" {
		d.Role = "user"
	}
	s, token, err := m.Create(t.Context(), d)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return s, token
}

// by puts a session into Redis as another program would, and returns its token and id.
func byHand(t testing.TB, rdb *redis.Client, value string, ttl time.Duration) (token, id string) {
	t.Helper()
	token = fmt.Sprintf("hand-made.%d", rand.Int64())
	id = session.ID(token)
	if err := rdb.Set(t.Context(), "session:"+id, value, ttl).Err(); err != nil {
		t.Fatal(err)
	}
	return token, id
}

func near(got, want, off time.Duration) bool { return (got - want).Abs() <= off }

func TestCreateAndLoad(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb)
		data := json.RawMessage(`{"n":12345678901234567890,"list":[],"html":"<b>&"}`)
		made, token, err := m.Create(t.Context(), session.Draft{
			UserID: "123", Role: "user", Data: data, TTL: 10 * time.Minute, Address: "192.0.2.7", Agent: strings.Repeat("ä", 300),
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(token) != 43 || made.ID != session.ID(token) || !session.ValidID(made.ID) {
			t.Errorf("token %q, id %q", token, made.ID)
		}
		s, err := m.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if s.ID != made.ID || s.UserID != "123" || s.Role != "user" || string(s.Data) != string(data) ||
			s.Address != "192.0.2.7" || len(s.Agent) != 256 || s.TTL != 10*time.Minute {
			t.Errorf("loaded %+v", s)
		}
		if !near(time.Until(s.ExpiresAt), 10*time.Minute, 30*time.Second) || !near(time.Until(s.AbsoluteExpiresAt), 24*time.Hour, 30*time.Second) ||
			!near(time.Since(s.CreatedAt), 0, 30*time.Second) || !near(time.Since(s.LastSeenAt), 0, 30*time.Second) {
			t.Errorf("times of %+v", s)
		}
		keys, err := rdb.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) != 2 {
			t.Errorf("keys %q, %v; want the session and the index", keys, err)
		}
		for _, k := range keys {
			if v, err := rdb.Get(t.Context(), k).Result(); err == nil && strings.Contains(v, token) || strings.Contains(k, token) {
				t.Errorf("the token is in Redis, at %s", k)
			}
		}
		out, err := json.Marshal(s)
		if err != nil || strings.Contains(string(out), token) || !strings.Contains(string(out), `"session_id":"`+s.ID) {
			t.Errorf("JSON form %s, %v", out, err)
		}
	})
}

func TestBadDrafts(t *testing.T) {
	t.Parallel()
	m := manager(redistest.Start(t).Client())
	for name, d := range map[string]session.Draft{
		"user_id": {Role: "user"},
		"user_id: contains a character that changes the direction": {UserID: "ann\u202egnp", Role: "user"},
		"role":    {UserID: "1"},
		"role:":   {UserID: "1", Role: "user\nadmin"},
		"data":    {UserID: "1", Role: "user", Data: json.RawMessage("{")},
		"data: 8": {UserID: "1", Role: "user", Data: json.RawMessage(`"` + strings.Repeat("x", 8192) + `"`)},
		"ttl":     {UserID: "1", Role: "user", TTL: time.Millisecond},
		"ttl: -":  {UserID: "1", Role: "user", TTL: -time.Hour},
		"user":    {UserID: "a\x00b", Role: "user"},
	} {
		_, token, err := m.Create(t.Context(), d)
		if !errors.Is(err, session.ErrInvalid) || !strings.Contains(err.Error(), name) || token != "" {
			t.Errorf("%+v: token %q, error %v; want ErrInvalid naming %s", d, token, err, name)
		}
	}
}

// countingHook counts the commands sent to Redis.
type countingHook struct{ n, trips atomic.Int64 }

func (h *countingHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *countingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.n.Add(1)
		h.trips.Add(1)
		return next(ctx, cmd)
	}
}
func (h *countingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.n.Add(int64(len(cmds)))
		h.trips.Add(1)
		return next(ctx, cmds)
	}
}

func TestBadTokensCostNothing(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	hook := &countingHook{}
	rdb.AddHook(hook)
	m := manager(rdb)
	for _, token := range []string{"", strings.Repeat("a", 513), "white space", "nul\x00", "ümlaut", "semi;colon", "{}", "a\r\nDEL x"} {
		if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("token %.20q: %v", token, err)
		}
		if _, err := m.RedeemTicket(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("ticket %.20q: %v", token, err)
		}
	}
	for _, id := range []string{"", "user:123", "../x", strings.Repeat("A", 64), strings.Repeat("0", 63)} {
		if _, err := m.LoadID(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("id %q: %v", id, err)
		}
		if err := m.Revoke(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("revoke %q: %v", id, err)
		}
	}
	if hook.n.Load() != 0 {
		t.Errorf("%d commands sent to Redis", hook.n.Load())
	}
	// A token a client chose opens nothing and makes nothing.
	if _, err := m.Load(t.Context(), "chosen-by-the-client"); !errors.Is(err, session.ErrNotFound) {
		t.Error(err)
	}
	if n, _ := rdb.DBSize(t.Context()).Result(); n != 0 {
		t.Errorf("%d keys after refused tokens", n)
	}
}

func TestHandMadeSessions(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb, func(c *session.Config) { c.TTL = 30 * time.Minute })

		// The least there can be: a number for a user, no expiry.
		token, id := byHand(t, rdb, `{"user_id":123,"role":"user","theirs":{"keep":[1.50]}}`, 0)
		s, err := m.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if s.UserID != "123" || s.Role != "user" || s.TTL != 30*time.Minute || !near(time.Until(s.AbsoluteExpiresAt), 24*time.Hour, 30*time.Second) {
			t.Errorf("loaded %+v", s)
		}
		if ttl, _ := rdb.PTTL(t.Context(), "session:"+id).Result(); !near(ttl, 30*time.Minute, 30*time.Second) {
			t.Errorf("ttl %s, want 30m", ttl)
		}
		if v, _ := rdb.Get(t.Context(), "session:"+id).Result(); !strings.Contains(v, `"theirs":{"keep":[1.50]}`) || !strings.Contains(v, `"user_id":123`) {
			t.Errorf("fields of the other program changed: %s", v)
		}

		// Its own expiry is its own ttl, also when extended.
		token, id = byHand(t, rdb, `{"user_id":"a","role":"guest"}`, 90*time.Second)
		if s, err = m.Load(t.Context(), token); err != nil || s.TTL != 90*time.Second {
			t.Fatalf("%+v, %v", s, err)
		}
		rdb.Expire(t.Context(), "session:"+id, 20*time.Second)
		if s, err = m.Extend(t.Context(), id); err != nil || !near(time.Until(s.ExpiresAt), 90*time.Second, 30*time.Second) {
			t.Errorf("extended to %s, %v; want 90 s", time.Until(s.ExpiresAt), err)
		}

		// An expiry past the absolute lifetime is shortened.
		token, _ = byHand(t, rdb, `{"user_id":"a","role":"guest"}`, 7*24*time.Hour)
		if s, err = m.Load(t.Context(), token); err != nil || !near(time.Until(s.ExpiresAt), 24*time.Hour, 30*time.Second) {
			t.Errorf("expires in %s, %v; want 24 h", time.Until(s.ExpiresAt), err)
		}

		// Unix times are read; one whose absolute time is over is dead, and deleted.
		token, id = byHand(t, rdb, fmt.Sprintf(`{"user_id":"a","role":"guest","created_at":%d}`, time.Now().Add(-25*time.Hour).Unix()), time.Hour)
		if _, err = m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("past its absolute lifetime: %v", err)
		}
		if n, _ := rdb.Exists(t.Context(), "session:"+id).Result(); n != 0 {
			t.Error("the key is still there")
		}
	})
}

func TestCorruptSessions(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	m := manager(rdb)
	for _, value := range []string{
		"", "x", "null", "[]", `"text"`, `{"user_id":"1"}`, `{"role":"user"}`, `{"user_id":"","role":"user"}`,
		`{"user_id":1.5,"role":"user"}`, `{"user_id":true,"role":"user"}`, `{"user_id":"1","role":7}`, `{"user_id":"1","role":"user"`,
		`{"user_id":"1","role":"user"} trailing`, `{"user_id":"1","role":"user","ttl_seconds":-1}`, `{"user_id":"1","role":"user","ttl_seconds":"1h"}`,
		`{"user_id":"1","role":"user","ttl_seconds":1e300}`, `{"user_id":"1","role":"user","created_at":"yesterday"}`,
		`{"USER_ID":"1","Role":"admin"}`, `{"user_id":"1","role":"user","data":"` + strings.Repeat("x", 70000) + `"}`,
		strings.Repeat("[", 60000),
	} {
		token, id := byHand(t, rdb, value, time.Hour)
		if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("%.60s: %v", value, err)
		}
		if err := m.Revoke(t.Context(), id); err != nil {
			t.Errorf("revoke %.60s: %v", value, err)
		}
	}
	token := "a-list"
	rdb.LPush(t.Context(), "session:"+session.ID(token), "x")
	if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrCorrupt) {
		t.Errorf("a list: %v", err)
	}
	if err := m.Revoke(t.Context(), session.ID(token)); err != nil {
		t.Errorf("revoke a list: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb)
		s, token := create(t, m, session.Draft{})
		if err := m.Revoke(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("load after revoke: %v", err)
		}
		if _, err := m.Extend(t.Context(), s.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("extend after revoke: %v", err)
		}
		if err := m.Revoke(t.Context(), s.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("second revoke: %v", err)
		}
		if n, _ := rdb.DBSize(t.Context()).Result(); n != 0 {
			keys, _ := rdb.Keys(t.Context(), "*").Result()
			t.Errorf("left in Redis: %q", keys)
		}
	})
}

func TestUserSessions(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb)
		var tokens []string
		for range 5 {
			_, token := create(t, m, session.Draft{UserID: "many"})
			tokens = append(tokens, token)
		}
		other, _ := create(t, m, session.Draft{UserID: "other"})
		list, err := m.List(t.Context(), "many")
		if err != nil || len(list) != 5 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		if empty, err := m.List(t.Context(), "nobody"); err != nil || empty == nil || len(empty) != 0 {
			t.Errorf("unknown user: %v, %v; want []", empty, err)
		}
		// What is not a living session of the user is pruned or passed over.
		rdb.Del(t.Context(), "session:"+list[0].ID)
		rdb.SAdd(t.Context(), "session:user:many", "rubbish", strings.Repeat("a", 64), other.ID)
		if list, err = m.List(t.Context(), "many"); err != nil || len(list) != 4 {
			t.Errorf("%d sessions after one was deleted, %v", len(list), err)
		}
		if n, _ := rdb.SCard(t.Context(), "session:user:many").Result(); n != 6 { // 4, rubbish, the other's
			t.Errorf("%d ids in the index, want 6", n)
		}
		n, err := m.RevokeUser(t.Context(), "many")
		if err != nil || n != 5 { // the other's id was in this user's index
			t.Errorf("revoked %d, %v", n, err)
		}
		for _, token := range tokens {
			if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("load after revoke-all: %v", err)
			}
		}
		if n, err := m.RevokeUser(t.Context(), "nobody"); n != 0 || err != nil {
			t.Errorf("revoke nobody: %d, %v", n, err)
		}
	})
}

func TestRenew(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb)
		old, oldToken := create(t, m, session.Draft{UserID: "g-1", Role: "guest", Data: json.RawMessage(`{"a":1}`), TTL: 7 * time.Minute})
		s, token, err := m.Renew(t.Context(), old.ID, session.Change{UserID: "anna", Role: "user"})
		if err != nil {
			t.Fatal(err)
		}
		if token == oldToken || s.ID == old.ID || s.ID != session.ID(token) {
			t.Error("token or id did not change")
		}
		got, err := m.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.UserID != "anna" || got.Role != "user" || string(got.Data) != `{"a":1}` || got.TTL != 7*time.Minute ||
			!got.CreatedAt.Equal(old.CreatedAt) || !got.AbsoluteExpiresAt.Equal(old.AbsoluteExpiresAt) {
			t.Errorf("renewed %+v from %+v", got, old)
		}
		if _, err := m.Load(t.Context(), oldToken); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the old token: %v", err)
		}
		if ttl, _ := rdb.PTTL(t.Context(), "session:"+old.ID).Result(); ttl <= 0 || ttl > 30*time.Second {
			t.Errorf("tombstone lives %s", ttl)
		}
		if l, _ := m.List(t.Context(), "g-1"); len(l) != 0 {
			t.Errorf("the guest still has %d sessions", len(l))
		}
		if l, _ := m.List(t.Context(), "anna"); len(l) != 1 {
			t.Errorf("anna has %d sessions", len(l))
		}
		if _, _, err := m.Renew(t.Context(), s.ID, session.Change{Role: "no role"}); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("bad role: %v", err)
		}
		// Revoking the id somebody still has on screen ends the session it became.
		if err := m.Revoke(t.Context(), old.ID); err != nil {
			t.Errorf("revoke by the old id: %v", err)
		}
		if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("renewed session after revoking the old id: %v", err)
		}
	})
}

func TestExtendNeverPassesAbsolute(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb, func(c *session.Config) { c.AbsoluteTTL = 2 * time.Second })
		s, token := create(t, m, session.Draft{TTL: time.Hour})
		for {
			asked := time.Now()
			e, err := m.Extend(t.Context(), s.ID)
			if errors.Is(err, session.ErrNotFound) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.ExpiresAt.After(s.AbsoluteExpiresAt) || asked.Sub(s.AbsoluteExpiresAt) > 10*time.Second { // embedded, time runs in steps, longer ones on a busy machine
				t.Fatalf("expires %s, absolute %s", e.ExpiresAt, s.AbsoluteExpiresAt)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if time.Until(s.AbsoluteExpiresAt) > time.Second { // of time in steps
			t.Error("ended before its time")
		}
		if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Error(err)
		}
	})
}

// Wall clocks that jumped leave impossible times behind; the time left in Redis then decides.
func TestTimesThatCannotBe(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	m := manager(rdb)
	token, id := byHand(t, rdb, `{"user_id":"1","role":"user","ttl_seconds":3600,"last_seen_at":"2099-01-01T00:00:00Z","created_at":"2099-01-01T00:00:00Z","absolute_expires_at":"2100-01-01T00:00:00Z"}`, time.Minute)
	s, err := m.Load(t.Context(), token)
	if err != nil || !s.ExtensionDue() {
		t.Fatalf("due %v, %v", s.ExtensionDue(), err)
	}
	if s, err = m.Touch(t.Context(), s); err != nil || !near(time.Until(s.ExpiresAt), time.Hour, 30*time.Second) || !near(time.Since(s.LastSeenAt), 0, 30*time.Second) {
		t.Errorf("%+v, %v", s, err)
	}
	if s.ExtensionDue() {
		t.Error("due again at once")
	}
	if ttl := rdb.PTTL(t.Context(), "session:"+id).Val(); !near(ttl, time.Hour, 30*time.Second) {
		t.Errorf("ttl %s", ttl)
	}
}

func TestTouchIsThrottled(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	m := manager(rdb)
	s, token := create(t, m, session.Draft{TTL: 6 * time.Second}) // due after 2 s, so 4 s are left for a busy machine
	hook := &countingHook{}
	rdb.AddHook(hook)
	if _, err := m.Touch(t.Context(), s); err != nil || hook.n.Load() != 0 {
		t.Errorf("%d commands for a fresh session, %v", hook.n.Load(), err)
	}
	eventually(t, "extension by use", func() bool {
		var err error
		if s, err = m.Load(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		due := s.ExtensionDue()
		e, err := m.Touch(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if due && !near(time.Until(e.ExpiresAt), 6*time.Second, 1500*time.Millisecond) {
			t.Errorf("extended to %s", time.Until(e.ExpiresAt))
		}
		return due
	})
	off := manager(rdb, func(c *session.Config) { c.AutoExtend = false })
	hand, id := byHand(t, rdb, `{"user_id":"1","role":"user","ttl_seconds":3600}`, 10*time.Second)
	if s, _ = off.Load(t.Context(), hand); !s.ExtensionDue() {
		// completed just now, so not due by its last use
		rdb.Set(t.Context(), "session:"+id, `{"user_id":"1","role":"user","ttl_seconds":3600,"absolute_expires_at":"2100-01-01T00:00:00Z"}`, 10*time.Second)
		s, _ = off.Load(t.Context(), hand)
	}
	if !s.ExtensionDue() {
		t.Fatal("not due")
	}
	if e, err := off.Touch(t.Context(), s); err != nil || time.Until(e.ExpiresAt) > 11*time.Second {
		t.Errorf("extended to %s with auto-extend off, %v", time.Until(e.ExpiresAt), err)
	}
}

// A session revoked while it is being extended stays dead, however the two fall together.
func TestRevokeWhileExtending(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	a, b := manager(srv.Client()), manager(srv.Client())
	const rounds = 2000
	var extended, tooLate atomic.Int64
	rdb := srv.Client()
	for range rounds {
		s, token := create(t, a, session.Draft{TTL: time.Hour})
		start := make(chan struct{})
		var wg sync.WaitGroup
		for _, extend := range []func() error{
			func() error { _, err := a.Extend(t.Context(), s.ID); return err },
			func() error { _, err := b.Extend(t.Context(), s.ID); return err },
		} {
			wg.Go(func() {
				<-start
				switch err := extend(); {
				case err == nil:
					extended.Add(1)
				case errors.Is(err, session.ErrNotFound):
					tooLate.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			<-start
			if d := rand.IntN(3); d > 0 {
				time.Sleep(time.Duration(rand.IntN(400)) * time.Microsecond)
			}
			if err := b.Revoke(t.Context(), s.ID); err != nil {
				t.Error(err)
			}
		})
		close(start)
		wg.Wait()
		if n, err := rdb.Exists(t.Context(), "session:"+s.ID).Result(); err != nil || n != 0 {
			t.Fatalf("the key of a revoked session exists: %d, %v", n, err)
		}
		if _, err := a.Load(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
			t.Fatalf("a revoked session lives: %v", err)
		}
	}
	t.Logf("%d rounds: %d extensions before, %d after the revocation", rounds, extended.Load(), tooLate.Load())
	if extended.Load() == 0 || tooLate.Load() == 0 {
		t.Error("the calls never interleaved")
	}
}

// Renewals and sign-ins that fall together with a revocation leave nothing alive behind it.
func TestRevokeWhileRenewing(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	a, b := manager(srv.Client()), manager(srv.Client())
	const rounds = 600
	var renewed, refused atomic.Int64
	for i := range rounds {
		user := fmt.Sprintf("u%d", i)
		s, _ := create(t, a, session.Draft{UserID: user})
		start := make(chan struct{})
		var wg sync.WaitGroup
		var next string
		wg.Go(func() {
			<-start
			_, token, err := a.Renew(t.Context(), s.ID, session.Change{Role: "admin"})
			switch {
			case err == nil:
				next = token
				renewed.Add(1)
			case errors.Is(err, session.ErrNotFound):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		wg.Go(func() {
			<-start
			time.Sleep(time.Duration(rand.IntN(800)) * time.Microsecond)
			var err error
			if i%2 == 0 {
				err = b.Revoke(t.Context(), s.ID)
			} else {
				_, err = b.RevokeUser(t.Context(), user)
			}
			// Revoke finds nothing where it blocked a session that was about to be made.
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Error(err)
			}
		})
		close(start)
		wg.Wait()
		if next != "" {
			if _, err := b.Load(t.Context(), next); !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("round %d: renewed session outlived the revocation: %v", i, err)
			}
		}
		if l, err := b.List(t.Context(), user); err != nil || len(l) != 0 {
			t.Fatalf("round %d: %d sessions left, %v", i, len(l), err)
		}
	}
	t.Logf("%d renewed first, %d refused", renewed.Load(), refused.Load())
}

// Reading the list prunes ids without a session; one that is being made at that moment is not lost.
func TestPruneWhileCreating(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	a, b := manager(srv.Client()), manager(srv.Client())
	const makers, each = 4, 150
	var wg sync.WaitGroup
	var tokens sync.Map
	done := make(chan struct{})
	for range makers {
		wg.Go(func() {
			for range each {
				s, token, err := a.Create(t.Context(), session.Draft{UserID: "busy", Role: "user"})
				if err != nil {
					t.Error(err)
					return
				}
				tokens.Store(s.ID, token)
			}
		})
	}
	var lister sync.WaitGroup
	lister.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := b.List(t.Context(), "busy"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	close(done)
	lister.Wait()
	n, err := b.RevokeUser(t.Context(), "busy")
	if err != nil || n != makers*each {
		t.Errorf("revoked %d of %d, %v", n, makers*each, err)
	}
}

func TestTickets(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb)
		s, _ := create(t, m, session.Draft{})
		ticket, expires, err := m.IssueTicket(t.Context(), s.ID)
		if err != nil || expires != 30*time.Second {
			t.Fatal(expires, err)
		}
		// Raced by 100, one wins.
		var won, refused atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range 100 {
			wg.Go(func() {
				<-start
				got, err := m.RedeemTicket(t.Context(), ticket)
				switch {
				case err == nil && got.ID == s.ID:
					won.Add(1)
				case errors.Is(err, session.ErrNotFound):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if won.Load() != 1 || refused.Load() != 99 {
			t.Errorf("%d won, %d refused", won.Load(), refused.Load())
		}

		ticket, _, err = m.IssueTicket(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if ttl, _ := rdb.PTTL(t.Context(), "session:ticket:"+session.ID(ticket)).Result(); ttl <= 0 || ttl > 30*time.Second {
			t.Errorf("ticket lives %s", ttl)
		}
		if err := m.Revoke(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := m.RedeemTicket(t.Context(), ticket); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("ticket of a revoked session: %v", err)
		}
		if _, _, err := m.IssueTicket(t.Context(), s.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("ticket for a revoked session: %v", err)
		}
	})
}

// A full Redis makes no sessions, and still extends and revokes those there are.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	m := manager(rdb)
	s, _ := create(t, m, session.Draft{TTL: time.Hour})
	rdb.Expire(t.Context(), "session:"+s.ID, time.Minute)
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Create(t.Context(), session.Draft{UserID: "2", Role: "user"}); !errors.Is(err, session.ErrUnavailable) || !redislink.IsFull(err) {
		t.Errorf("create: %v", err)
	}
	if e, err := m.Extend(t.Context(), s.ID); err != nil || !near(time.Until(e.ExpiresAt), time.Hour, 30*time.Second) {
		t.Errorf("extend: %v", err)
	}
	if ttl, _ := rdb.PTTL(t.Context(), "session:"+s.ID).Result(); !near(ttl, time.Hour, 30*time.Second) {
		t.Errorf("the key lives %s", ttl)
	}
	if err := m.Revoke(t.Context(), s.ID); err != nil {
		t.Errorf("revoke: %v", err)
	}
}
