package sessions

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/session"
)

func TestSessionCommand(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	rdb := r.Client()
	environ := []string{"REDIS_URL=" + r.URL(), "LOG_LEVEL=error"} // the Redis library has one log for all tests
	secrets := []string{}
	do := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := programtest.Run(t, Run, environ, args...)
		if code != want || want == 0 && errs != "" || want != 0 && (out != "" || strings.Count(errs, "\n") != 1) {
			t.Fatalf("%q: %d, stdout %q, stderr %q; want %d", args, code, out, errs, want)
		}
		for _, secret := range secrets {
			if strings.Contains(out+errs, secret) {
				t.Errorf("%q shows a token:\n%s%s", args, out, errs)
			}
		}
		return out + errs
	}
	field := func(table, name string) string {
		for line := range strings.Lines(table) {
			if rest, ok := strings.CutPrefix(line, name+"  "); ok {
				return strings.TrimSpace(rest)
			}
		}
		return ""
	}

	table := do(0, "create", "--user", "ann", "--role=user", "--ttl", "10m", "--data", `{"desk":"fx"}`)
	token, id := field(table, "token"), field(table, "session_id")
	if token == "" || session.ID(token) != id || field(table, "role") != "user" || field(table, "data") != `{"desk":"fx"}` {
		t.Fatalf("created:\n%s", table)
	}
	secrets = append(secrets, token)
	if ttl := rdb.TTL(t.Context(), "session:"+id).Val(); ttl < 9*60e9 || ttl > 10*60e9 {
		t.Errorf("ttl %v, want 10 minutes", ttl)
	}
	var second struct {
		ID    string `json:"session_id"`
		User  string `json:"user_id"`
		Token string
	}
	if err := json.Unmarshal([]byte(do(0, "create", "--json", "--role", "admin", "--user", "ann")), &second); err != nil || session.ID(second.Token) != second.ID || second.User != "ann" {
		t.Fatalf("%+v, %v", second, err)
	}
	secrets = append(secrets, second.Token)

	if shown := do(0, "show", id); field(shown, "session_id") != id || field(shown, "user") != "ann" || field(shown, "expires") == "" {
		t.Errorf("show:\n%s", shown)
	}
	var one session.Session
	if err := json.Unmarshal([]byte(do(0, "show", id, "--json")), &one); err != nil || one.ID != id || string(one.Data) == "" {
		t.Errorf("show --json: %+v, %v", one, err)
	}
	if list := do(0, "list", "--user", "ann"); strings.Count(list, "\n") != 3 || !strings.Contains(list, id) || !strings.Contains(list, second.ID) {
		t.Errorf("list:\n%s", list)
	}
	var all []session.Session
	if err := json.Unmarshal([]byte(do(0, "list", "--user", "ann", "--json")), &all); err != nil || len(all) != 2 {
		t.Errorf("list --json: %+v, %v", all, err)
	}
	if none := do(0, "list", "--user", "nobody", "--json"); strings.TrimSpace(none) != "[]" {
		t.Errorf("list of nobody: %q", none)
	}
	if out := do(0, "revoke", id); out != "revoked 1\n" || rdb.Exists(t.Context(), "session:"+id).Val() != 0 {
		t.Errorf("revoke: %q", out)
	}
	if out := do(1, "revoke", id); !strings.Contains(out, "not found") {
		t.Errorf("revoked twice: %q", out)
	}
	do(1, "show", id)
	if out := do(0, "revoke", "--user=ann", "--json"); !strings.Contains(out, `"revoked": 1`) || rdb.Exists(t.Context(), "session:"+second.ID).Val() != 0 {
		t.Errorf("revoke all: %q", out)
	}
	if out := do(0, "revoke", "--user", "ann"); out != "revoked 0\n" {
		t.Errorf("revoke all again: %q", out)
	}

	// What another program, or a client, wrote does not move the terminal's cursor.
	rdb.Set(t.Context(), "session:"+id, `{"user_id":"eve","role":"user","agent":"\u001b[2Jx"}`, 0)
	if shown := do(0, "show", id); strings.ContainsRune(shown, 0x1b) {
		t.Errorf("show: %q", shown)
	}
	rdb.Set(t.Context(), "session:"+id, `{"user_id":`, 0)
	if out := lastLine(do2(t, environ, 1, "show", id)); !strings.Contains(out, "corrupt") {
		t.Errorf("a corrupt session: %q", out)
	}

	// An unknown role is told of and made: the server may know it.
	if out := do2(t, environ[:1], 0, "create", "--user", "u", "--role", "trader"); !strings.Contains(out, "ROLES") || !strings.Contains(out, "token") {
		t.Errorf("unknown role: %q", out)
	}
	environ = []string{"REDIS_URL=redis://127.0.0.1:1/0"}
	if out := lastLine(do2(t, environ, 1, "list", "--user", "ann")); !strings.Contains(out, "redis at 127.0.0.1:1") {
		t.Errorf("without Redis: %q", out)
	}
}

// do2 runs the program and returns all it printed.
func do2(t *testing.T, environ []string, want int, args ...string) string {
	t.Helper()
	code, out, errs := programtest.Run(t, Run, environ, args...)
	if code != want {
		t.Fatalf("%q: %d %q %q, want %d", args, code, out, errs, want)
	}
	return out + errs
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func TestSessionUsage(t *testing.T) {
	id, token := strings.Repeat("ab", 32), strings.Repeat("T", 43)
	for _, args := range [][]string{{"--help"}, {"help"}, {"create", "-h"}, {"revoke", "--help"}} {
		if code, out, errs := programtest.Run(t, Run, nil, args...); code != 0 || errs != "" || out != programtest.Usage {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"create, show, list, revoke", nil},
		{`"make"`, []string{"make"}},
		{"--user", []string{"create"}},
		{"--user", []string{"create", "--role", "user"}},
		{"--role", []string{"create", "--user", "u"}},
		{"--ttl", []string{"create", "--user", "u", "--role", "user", "--ttl", "10"}},
		{"--ttl", []string{"create", "--user", "u", "--role", "user", "--ttl", "0s"}},
		{"--data", []string{"create", "--user", "u", "--role", "user", "--data", "{"}},
		{"--data", []string{"create", "--user", "u", "--role", "user", "--data", ""}},
		{"--token", []string{"create", "--user", "u", "--role", "user", "--token", token}},
		{`"more"`, []string{"create", "more", "--user", "u", "--role", "user"}},
		{"id", []string{"show"}},
		{"not its token", []string{"show", token}},
		{"not its token", []string{"revoke", token}},
		{`"x"`, []string{"show", id, "x"}},
		{"--user", []string{"show", "--user", "u"}},
		{"--user", []string{"list"}},
		{"--user", []string{"list", "--user", ""}},
		{"--user", []string{"revoke"}},
		{"either", []string{"revoke", id, "--user", "u"}},
		{"--user", []string{"revoke", "--user="}},
		// With a good command line it is the settings that lack something.
		{"REDIS_URL", []string{"list", "--user", "u"}},
		{"REDIS_URL", []string{"create", "--user", "u", "--role", "user"}},
		{"REDIS_URL", []string{"show", id}},
		{"REDIS_URL", []string{"revoke", id}},
	} {
		code, out, errs := programtest.Run(t, Run, nil, tc.args...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tc.want) || strings.Contains(errs, token) && !strings.Contains(tc.want, "--token") {
			t.Errorf("%q: %d, stdout %q, stderr %q; want 2 and one line with %s", tc.args, code, out, errs, tc.want)
		}
	}
	// Redis is asked for these, and says nothing wrong.
	r := redistest.Start(t)
	for _, tc := range []struct{ want, user, role, ttl string }{
		{"user_id", strings.Repeat("u", 129), "user", "1h"},
		{"role", "u", "no role", "1h"},
		{"ttl", "u", "user", "9000h"},
	} {
		out := do2(t, []string{"REDIS_URL=" + r.URL(), "LOG_LEVEL=error"}, 2, "create", "--user", tc.user, "--role", tc.role, "--ttl", tc.ttl)
		if strings.Count(out, "\n") != 1 || !strings.Contains(out, tc.want) {
			t.Errorf("%+v: %q", tc, out)
		}
	}
}
