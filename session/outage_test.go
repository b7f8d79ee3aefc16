package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// Where Redis hangs, callers are not made to wait for what is known already.
func TestLookupsFailAtOnce(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t)
	m := run(t, manager(client(t, srv.Addr())))
	running(t, m)
	_, token := create(t, m, session.Draft{})
	srv.Pause()
	atOnce := func(call func(context.Context) error) func() bool {
		return func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := call(ctx)
			return errors.Is(err, session.ErrUnavailable) && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded)
		}
	}
	eventually(t, "a look-up fails at once", atOnce(func(ctx context.Context) error { _, err := m.Load(ctx, token); return err }))
	for what, call := range map[string]func(context.Context) error{
		"create": func(ctx context.Context) error {
			_, _, err := m.Create(ctx, session.Draft{UserID: "u", Role: "user"})
			return err
		},
		"redeem": func(ctx context.Context) error { _, err := m.RedeemTicket(ctx, token); return err },
		"renew": func(ctx context.Context) error {
			_, _, err := m.Renew(ctx, session.ID(token), session.Change{})
			return err
		},
	} {
		if !atOnce(call)() {
			t.Errorf("%s waits for Redis", what)
		}
	}
	srv.Resume()
	eventually(t, "it works again", func() bool { _, err := m.Load(t.Context(), token); return err == nil })
}

// A role that another program changed without touching the expiry is seen when the sessions are read.
func TestChangedInPlace(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	m := run(t, manager(rdb))
	s, _ := create(t, m, session.Draft{Role: "admin"})
	same, _ := create(t, m, session.Draft{Role: "admin"})
	k, kept := bind(m, s), bind(m, same)
	value := strings.Replace(rdb.Get(t.Context(), "session:"+s.ID).Val(), `"admin"`, `"guest"`, 1)
	if err := rdb.Set(t.Context(), "session:"+s.ID, value, redis.KeepTTL).Err(); err != nil {
		t.Fatal(err)
	}
	m.ReadOnce(t.Context())
	slowest(t, []*socket{k}, time.Now(), 5*time.Second, session.Renewed)
	if k.cause.Next.Role != "guest" || k.cause.Next.ID != s.ID {
		t.Errorf("told of %+v", k.cause.Next)
	}
	if kept.calls.Load() != 0 {
		t.Error("a session nobody changed has ended")
	}
}

// A Redis that refuses new connections ends no session and signs nobody out: it has said nothing
// about the sessions.
func TestRefusedConnectionEndsNoSession(t *testing.T) {
	t.Parallel()
	do := func(t *testing.T, rdb *redis.Client, args ...any) {
		t.Helper()
		if err := rdb.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	for name, refuse := range map[string]func(t *testing.T, srv *redistest.Server, admin *redis.Client){
		"another password": func(t *testing.T, _ *redistest.Server, admin *redis.Client) {
			do(t, admin, "ACL", "SETUSER", "node", "resetpass", ">new")
		},
		"a long script": func(t *testing.T, srv *redistest.Server, admin *redis.Client) {
			do(t, admin, "CONFIG", "SET", "lua-time-limit", 1)
			script := redis.NewClient(&redis.Options{Addr: srv.Addr(), ReadTimeout: -1, MaxRetries: -1})
			t.Cleanup(func() { script.Close() })
			go script.Eval(context.Background(), "while true do end", nil)
			eventually(t, "the script keeps Redis busy", func() bool { return redis.HasErrorPrefix(admin.Ping(t.Context()).Err(), "BUSY") })
			t.Cleanup(func() { admin.ScriptKill(context.Background()) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := redistest.Start(t)
			admin := srv.Client()
			do(t, admin, "ACL", "SETUSER", "node", "on", ">old", "~*", "&*", "+@all")
			rdb := redis.NewClient(&redis.Options{Addr: srv.Addr(), Username: "node", Password: "old", ClientName: "node", MaxRetries: -1, DisableIdentity: true})
			t.Cleanup(func() { rdb.Close() })
			m := manager(rdb)
			s, token := create(t, m, session.Draft{})
			k := bind(m, s)
			defer k.binding.Close()
			do(t, admin, "CLIENT", "KILL", "USER", "node")
			refuse(t, srv, admin)
			m.CheckOnce(t.Context())
			m.ReadOnce(t.Context())
			if m.Bound() != 1 {
				t.Error("the session has ended")
			}
			if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("load: %v, want that Redis is not available", err)
			}
		})
	}
}
