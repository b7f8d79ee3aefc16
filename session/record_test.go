package session_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

// What is written can be read, whatever the text.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(rapid.String().Draw(t, "data"))
		if err != nil {
			t.Fatal(err)
		}
		ms := rapid.Int64Range(1, 4e12)
		want := session.Session{
			UserID: rapid.StringMatching(`[^\pC]{1,20}`).Draw(t, "user"), Role: rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "role"),
			Data: text, TTL: time.Duration(rapid.Int64Range(1000, 3e10).Draw(t, "ttl")) * time.Millisecond,
			CreatedAt: time.UnixMilli(ms.Draw(t, "created")).UTC(), LastSeenAt: time.UnixMilli(ms.Draw(t, "seen")).UTC(),
			AbsoluteExpiresAt: time.UnixMilli(ms.Draw(t, "absolute")).UTC(),
			Address:           rapid.String().Draw(t, "address"), Agent: rapid.String().Draw(t, "agent"),
		}
		value, err := session.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := session.Decode(value)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Fatalf("%s\ngot  %+v\nwant %+v", value, got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"user_id":1,"role":"user"}`, `{"user_id":"ä","role":"guest","ttl_seconds":1e3,"created_at":1795342500}`,
		`{"tombstone":"renewed","to":"x"}`, `[]`, `{"user_id":-0,"role":""}`, `{"user_id":"1","role":"user","last_seen_at":"2026-11-22T10:15:00.123Z"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s, err := session.Decode(value)
		if err != nil {
			if len(err.Error()) > 200 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			return
		}
		if s.UserID == "" || len(s.UserID) > 128 || s.Role == "" || s.TTL < 0 {
			t.Errorf("accepted %q as %+v", value, s)
		}
	})
}

// Another program has nothing but redis-cli.
func TestRedisCLI(t *testing.T) {
	t.Parallel()
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("no redis-cli on PATH")
		}
		t.Skip("no redis-cli on PATH")
	}
	srv := redistest.Start(t)
	redisCLI := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), cli, append([]string{"-u", srv.URL()}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	m := run(t, manager(client(t, srv.Addr())))
	running(t, m)
	const token = "6c1f0e4d9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d"
	key := "session:" + session.ID(token)
	redisCLI("SADD", "session:user:123", session.ID(token))
	redisCLI("SET", key, `{"user_id":123,"role":"user","data":{"desk":"fx"}}`, "EX", "600")

	s, err := m.Load(t.Context(), token)
	if err != nil || s.UserID != "123" || s.Role != "user" || string(s.Data) != `{"desk":"fx"}` {
		t.Fatalf("%+v, %v", s, err)
	}
	if list, err := m.List(t.Context(), "123"); err != nil || len(list) != 1 {
		t.Errorf("listed %d, %v", len(list), err)
	}
	k := bind(m, s)
	redisCLI("DEL", key)
	most := slowest(t, []*socket{k}, time.Now(), 5*time.Second, session.Revoked)
	t.Logf("closed %s after redis-cli DEL", most.Round(time.Millisecond))

	// And it can read what this program made.
	made, _ := create(t, m, session.Draft{UserID: "9", Data: json.RawMessage(`{"a":"<&>"}`)})
	if v := redisCLI("GET", "session:"+made.ID); !strings.HasPrefix(v, `{"user_id":"9","role":"user","data":{"a":"<&>"},"ttl_seconds":3600,"created_at":"2`) {
		t.Errorf("redis-cli sees %s", v)
	}
}
