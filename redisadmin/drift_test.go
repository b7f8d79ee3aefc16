package redisadmin_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/redisadmin"
)

func writeConf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redis.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseConf(t *testing.T) {
	c, err := redisadmin.ParseConf(strings.NewReader("# a comment\n\n  MaxMemory   256mb\r\nport 1\nport 2\nrequirepass \"a b\\x41\\n\\\"#\"\nlogfile ''\n" +
		"masterauth 'it\\'s \\n'\nsave 900 1\nsave 300 10 60 1000\ninclude /etc/a.conf\nuser default off\nuser ann on\nrename-command FLUSHALL \"\"\n" +
		"client-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit pubsub 32mb 8mb 60\nbind 127.0.0.1 -::1\nnotify-keyspace-events \"\""))
	if err != nil {
		t.Fatal(err)
	}
	want := redisadmin.ConfFile{Includes: []string{"/etc/a.conf"}, Added: []string{"user", "rename-command"}, Values: map[string][]string{
		"maxmemory": {"256mb"}, "port": {"2"}, "requirepass": {"a bA\n\"#"}, "logfile": {""}, "masterauth": {`it's \n`},
		"save": {"900", "1", "300", "10", "60", "1000"}, "bind": {"127.0.0.1", "-::1"}, "notify-keyspace-events": {""},
		"client-output-buffer-limit": {"normal", "0", "0", "0", "pubsub", "32mb", "8mb", "60"},
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %#v\nwant %#v", c, want)
	}
	if c, err := redisadmin.ParseConf(strings.NewReader("save 900 1\nsave \"\"\nsave 5 1")); err != nil || !slices.Equal(c.Values["save"], []string{"5", "1"}) {
		t.Errorf("save cleared: %v, %v", c.Values, err)
	}
	for text, want := range map[string]string{
		"port 1\nrequirepass \"" + secret: "line 2", "requirepass \"" + secret + "\"x": "line 1", "maxmemory": "line 1", "save 900 1 5": "pairs",
		"'' x": "no directive", strings.Repeat("x", 70<<10): "a line of more", strings.Repeat("# x\n", 300_000): "more than",
	} {
		if _, err := redisadmin.ParseConf(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%.30q: %v, want an error with %q and without the secret", text, err, want)
		}
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add("maxmemory 256mb\nsave 900 1\nrequirepass \"a\\x41\"\nbind '*' -::*\n")
	f.Add("client-output-buffer-limit pubsub 32mb 8mb\n\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := redisadmin.ParseConf(strings.NewReader(text))
		if err != nil && (c.Values != nil || len(err.Error()) > 200) {
			t.Errorf("%v, %v", c, err)
		}
		for name, args := range c.Values {
			if name == "" || name != strings.ToLower(name) || args == nil {
				t.Errorf("%q: %q", name, args)
			}
		}
	})
}

// TestOwnConfHasNoDrift starts a server with the file of this repository and compares them.
func TestOwnConfHasNoDrift(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	file, err := redisadmin.ReadConfFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Leave out the settings that only work in a container.
	var args []string
	for name, values := range file.Values {
		if !slices.Contains([]string{"bind", "port", "aclfile", "dir", "logfile", "pidfile", "unixsocket"}, name) {
			args = append(append(args, "--"+name), strings.Join(values, " "))
		}
	}
	server := redistest.Start(t, args...)
	d, err := redisadmin.New(redisadmin.Config{Redis: server.Client(), ConfPath: path}).Drift(t.Context())
	if err != nil || d.Missing != "" || d.Compared < 20 {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, one := range d.Differences {
		if !slices.Contains([]string{"bind", "port", "aclfile", "dir", "logfile", "pidfile", "unixsocket"}, one.Setting) {
			t.Errorf("%+v", one)
		}
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	path := writeConf(t, "maxmemory 1gb\nmaxmemory-policy volatile-ttl\nhz 10\nsave 900 1\nnotify-keyspace-events gxE\nappendonly YES\n"+
		"requirepass "+secret+"\nmasterauth "+secret+"\nclient-output-buffer-limit pubsub 32mb 8mb 60\ndir ./\ndatabases 4\nno-such-setting 1\n"+
		"slave-priority 50\nlazyfree-lazy-expire yes\nuser default on >"+secret+"\ninclude /etc/more.conf\nlogfile \"\"\ntls-key-file-pass "+secret+"\n")
	server := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "volatile-ttl", "--notify-keyspace-events", "Exg", "--masterauth", "other-"+secret,
		"--client-output-buffer-limit", "pubsub 0 0 0", "--timeout", "60")
	admin := redisadmin.New(redisadmin.Config{Redis: server.Client(), ConfPath: path})
	d, err := admin.Drift(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.MarshalIndent(d, "", " ")
	if strings.Contains(string(text), secret) {
		t.Errorf("a secret is shown: %s", text)
	}
	want := map[string]redisadmin.Difference{
		"maxmemory":                  {File: "1gb", Running: "64mb", Apply: redisadmin.ApplyLive},
		"save":                       {File: "900 1", Running: `""`, Apply: redisadmin.ApplyLive},
		"appendonly":                 {File: "YES", Running: "no", Apply: redisadmin.ApplyLive},
		"requirepass":                {File: "set", Running: "not set", Apply: redisadmin.ApplyByHand},
		"masterauth":                 {File: "set", Running: "set, to another value", Apply: redisadmin.ApplyByHand},
		"client-output-buffer-limit": {File: "pubsub 32mb 8mb 60", Running: "pubsub 0 0 0", Apply: redisadmin.ApplyLive},
		"databases":                  {File: "4", Running: "16", Apply: redisadmin.ApplyRestart},
		"no-such-setting":            {File: "1", Running: "unknown setting", Apply: redisadmin.ApplyByHand},
		"slave-priority":             {File: "50", Running: "100", Apply: redisadmin.ApplyLive},
		"lazyfree-lazy-expire":       {File: "yes", Running: "no", Apply: redisadmin.ApplyLive},
		"timeout":                    {File: "0", Running: "60", Apply: redisadmin.ApplyLive, Default: true},
		"tls-key-file-pass":          {File: "set", Running: "not set", Apply: redisadmin.ApplyByHand},
	}
	for _, got := range d.Differences {
		exp, ok := want[got.Setting]
		exp.Setting, exp.Meaning = got.Setting, got.Meaning
		if !ok || got != exp || got.Meaning == "" {
			t.Errorf("got %+v, want %+v", got, exp)
		}
		delete(want, got.Setting)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
	if !slices.Equal(d.NotCompared, []string{"user"}) || !slices.Equal(d.Includes, []string{"/etc/more.conf"}) || d.File != path {
		t.Errorf("%+v", d)
	}

	for _, one := range []struct{ path, want string }{
		{"", "not configured"}, {path + ".no", "cannot be read"}, {writeConf(t, "save 1"), "line 1"}, {t.TempDir(), "cannot be read"},
	} {
		d, err := redisadmin.New(redisadmin.Config{Redis: server.Client(), ConfPath: one.path}).Drift(t.Context())
		if err != nil || !strings.Contains(d.Missing, one.want) || d.Differences != nil {
			t.Errorf("%s: %+v, %v", one.want, d, err)
		}
	}
	embedded, _ := redistest.Embedded(t)
	forbidden := redistest.Start(t, "--rename-command", "CONFIG", "")
	for _, rdb := range []*redis.Client{embedded, forbidden.Client()} {
		if d, err := redisadmin.New(redisadmin.Config{Redis: rdb, ConfPath: path}).Drift(t.Context()); err != nil || !strings.HasPrefix(d.Missing, "not available here: ERR unknown command") {
			t.Errorf("%+v, %v", d, err)
		}
	}
	server.Kill()
	if _, err := admin.Drift(t.Context()); !errors.Is(err, redisadmin.ErrUnavailable) {
		t.Errorf("killed: %v, want ErrUnavailable", err)
	}
}

// TestHowToApply sets every setting of a real server to its own value. CONFIG SET must refuse
// exactly the settings that need a restart.
func TestHowToApply(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client()
	all, err := rdb.ConfigGet(t.Context(), "*").Result()
	if err != nil || len(all) < 100 {
		t.Fatal(len(all), err)
	}
	for name, value := range all {
		err := rdb.ConfigSet(t.Context(), name, value).Err()
		refused := err != nil && strings.Contains(err.Error(), "immutable")
		if got := redisadmin.ApplyOf(name); refused != (got == redisadmin.ApplyRestart) {
			t.Errorf("%s: CONFIG SET returned %v, but ApplyOf returns %q", name, err, got)
		}
		if value != "" && strings.Contains(name, "pass") && redisadmin.ApplyOf(name) != redisadmin.ApplyByHand && name != "no-appendfsync-on-rewrite" {
			t.Errorf("%s looks like a secret", name)
		}
	}
}
