package redisadmin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

// secret is sent to the server in every argument that may hold a secret.
const secret = "hunter2-S3CRET-0451"

// useSecrets runs commands with the secret in each argument that may hold a secret.
func useSecrets(t *testing.T, rdb *redis.Client) {
	t.Helper()
	hash := strings.Repeat("ab", 32)
	for _, args := range [][]any{
		{"AUTH", secret}, {"AUTH", "ann", secret}, {"HELLO", "3", "AUTH", "ann", secret},
		{"CONFIG", "SET", "masterauth", secret}, {"CONFIG", "SET", "masterauth", ""}, {"CONFIG", secret, "x"}, {"CONFIG", "GET", secret},
		{"ACL", "SETUSER", "bob", "on", ">" + secret, "+@all"}, {"ACL", secret},
		{"MIGRATE", "127.0.0.1", "1", "session:" + secret, "0", "10", "AUTH", secret}, {"MIGRATE", "127.0.0.1", "1", "", "0", "10", "AUTH2", "u", secret, "KEYS", secret},
		{"SET", "session:" + hash, `{"token":"` + secret + `"}`}, {"GETSET", "session:" + hash, secret}, {"SET", "session:ticket:" + secret, secret},
		{"SADD", "session:user:" + secret, secret}, {"HSET", "cache:users:1:" + secret, secret, secret}, {"SET", secret, secret},
		{"SETEX", "profile:" + secret, "10", secret}, {"PUBLISH", "forex_updates", secret}, {"PUBLISH", secret, secret},
		{"EVAL", "return '" + secret + "'", "1", "session:" + secret, secret}, {"EVAL", "return ARGV[1]", "0", secret}, {"EVALSHA", secret, "0", secret},
		{"SCAN", "0", "MATCH", "*" + secret + "*"}, {"ECHO", secret}, {secret}, {secret, secret}, {"GET"}, {"CLIENT", "SETNAME", "x"},
		{"XADD", "fx:{EUR/USD}:ticks", "*", "quote", secret}, {"XREAD", "COUNT", "1", "STREAMS", "session:" + secret, "0"},
		{"KEYS", "session:" + secret}, {"SORT", "session:" + secret, "BY", secret}, {"RENAME", "session:a", "session:" + secret},
		{"MSET", "session:" + secret, secret, secret, secret}, {"DEBUG", "SLEEP", "0", secret}, {"SCRIPT", "LOAD", "return '" + secret + "'"},
		{"DEL", "session:user:" + secret, secret, "token=" + secret}, {"RESTORE", "session:" + secret, "0", secret}, {"CONFIG", "SET", "requirepass", secret}, {"CONFIG", "SET", "requirepass", ""},
	} {
		rdb.Do(t.Context(), args...) // many of them fail, which the slow log keeps as well
	}
}

func TestSlowLogHidesSecrets(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "1000")
	rdb := server.Client()
	useSecrets(t, rdb)
	list, err := redisadmin.New(redisadmin.Config{Redis: rdb}).SlowLog(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.MarshalIndent(list, "", " ")
	for _, part := range []string{secret, "hunter2", "S3CRET"} {
		if strings.Contains(string(text), part) {
			t.Errorf("%q is shown:\n%s", part, text)
		}
	}
	shown := map[string]bool{}
	for _, entry := range list {
		shown[entry.Command] = true
		if entry.At.IsZero() || entry.Client == "" || entry.Micros < 0 || len(entry.Command) > 200 {
			t.Errorf("%+v", entry)
		}
	}
	for _, want := range []string{
		"SET session:… [1 hidden]", "SET session:ticket:… [1 hidden]", "SADD session:user:… [1 hidden]", "HSET cache:users:… [2 hidden]",
		"SETEX profile:… [2 hidden]", "PUBLISH forex_updates [1 hidden]", "PUBLISH … [1 hidden]", "XADD fx:{EUR/USD}:ticks [3 hidden]",
		"CONFIG SET requirepass [1 hidden]", "EVAL session:… [3 hidden]", "XREAD session:… [4 hidden]", "RENAME session:… session:…",
		"MSET session:… … [2 hidden]", "DEL session:user:… … …",
	} {
		if !shown[want] {
			t.Errorf("not shown: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}

func TestSlowLog(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--slowlog-log-slower-than", "20000")
	rdb := server.Client()
	admin := redisadmin.New(redisadmin.Config{Redis: rdb})
	if list, err := admin.SlowLog(t.Context(), 10); err != nil || list == nil || len(list) != 0 {
		t.Errorf("without slow commands: %v, %v, want an empty list", list, err)
	}
	rdb.Do(t.Context(), "CLIENT", "SETNAME", "feeder")
	before := time.Now().Add(-time.Second)
	for range 3 {
		rdb.Eval(t.Context(), "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1]-t[1])*1000000 + n[2]-t[2] > 40000", []string{"session:a"}, "x")
	}
	list, err := admin.SlowLog(t.Context(), 2)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	if e := list[0]; e.Micros < 40_000 || e.ID <= list[1].ID || e.ClientName != "feeder" || e.At.Before(before.Truncate(time.Second)) || e.Command != "EVAL session:… [3 hidden]" {
		t.Errorf("newest: %+v, then %+v", e, list[1])
	}
	embedded, _ := redistest.Embedded(t)
	if list, err := redisadmin.New(redisadmin.Config{Redis: embedded}).SlowLog(t.Context(), 2); !errors.Is(err, redisadmin.ErrNotOffered) {
		t.Errorf("embedded: %v, %v, want ErrNotOffered", list, err)
	}
	server.Kill()
	if _, err := admin.SlowLog(t.Context(), 2); !errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("killed: %v, want ErrUnavailable", err)
	}
}

func TestConceal(t *testing.T) {
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"GET …", []string{"get", "abc123"}},
		{"GET fx:{EUR/USD}:quote", []string{"GET", "fx:{EUR/USD}:quote"}},
		{"GET fx:{US30/USDT}:quote", []string{"GET", "fx:{US30/USDT}:quote"}},
		{"GET fx:…", []string{"GET", "fx:{EUR/USD/JPY}:quote"}},
		{"GET live:…", []string{"GET", "live:{EUR/USD}:9"}},
		{"HGETALL fx:symbols", []string{"HGETALL", "fx:symbols"}},
		{"EVALSHA ratelimit:… [4 hidden]", []string{"EVALSHA", "abc", "1", "ratelimit:{ann}:60", "1", "2"}},
		{"EVALSHA [3 hidden]", []string{"EVALSHA", "abc", "x", "session:a"}},
		{"EVALSHA session:… [2 hidden]", []string{"EVALSHA", "abc", "99999999", "session:a"}},
		{"MGET … … … [2 hidden]", []string{"MGET", "1", "2", "3", "4", "5"}},
		{"DEL … … … [36 hidden]", []string{"DEL", "1", "2", "3", "4", "... (35 more arguments)"}},
		{"CONFIG GET maxmemory* save", []string{"CONFIG", "GET", "maxmemory*", "save"}},
		{"CONFIG SET maxmemory save [2 hidden]", []string{"CONFIG", "SET", "maxmemory", "1gb", "save", ""}},
		{"XREADGROUP fx:… fx:… [8 hidden]", []string{"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "fx:1", "fx:2", ">", ">"}},
		{"(unknown command) [2 hidden]", []string{"GE T", "session:a", "b"}},
		{"(unknown command)", []string{strings.Repeat("x", 5000)}},
		{"(unknown command)", nil},
		{"GET", []string{"GET"}},
		{"BLPOP a b [1 hidden]", []string{"BLPOP", "a", "b", "0"}},
	} {
		if got := redisadmin.Conceal(tc.args); got != tc.want {
			t.Errorf("%q is shown as %q, want %q", tc.args, got, tc.want)
		}
	}
}

// FuzzConceal checks that the text is short and printable, and holds no secret argument.
func FuzzConceal(f *testing.F) {
	f.Add("SET\nsession:a\n"+secret, 2)
	f.Add("CONFIG\nSET\nrequirepass\n"+secret, 3)
	f.Add("xread\nstreams\n"+secret, 2)
	f.Add("EVAL\nx\n1\n"+secret, 3)
	f.Fuzz(func(t *testing.T, text string, at int) {
		args := strings.Split(text, "\n")
		if at > 0 && at < len(args) {
			args[at] = secret
		}
		got := redisadmin.Conceal(args)
		if len(got) > 250 || strings.Contains(got, secret) || strings.ContainsAny(got, "\x1b\r\n\x00") {
			t.Errorf("%q is shown as %q", args, got)
		}
	})
}
