package config

import (
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
)

var update = flag.Bool("update", false, "write the table of settings into README.md")

const longToken = "0123456789abcdefghijklmnopqrstuv"

func mustLoad(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := Load(environ)
	if err != nil {
		t.Fatalf("Load(%q): %v", environ, err)
	}
	return c
}

// What the settings were documented to be must stay; a new one needs no line here.
func TestDefaults(t *testing.T) {
	c := mustLoad(t, "REDIS_HOST=redis")
	want := map[string]any{
		"REDIS_URL": "", "REDIS_HOST": "redis", "REDIS_PORT": 6379, "REDIS_USERNAME": "", "REDIS_PASSWORD": "", "REDIS_DB": 0,
		"REDIS_MAX_CONNECTIONS": 10, "REDIS_MODE": "standalone", "REDIS_ADDRS": []string(nil), "REDIS_MASTER_NAME": "", "REDIS_PREFIX": "fx:",
		"REDIS_CONF": "", "EMBEDDED_REDIS_ADDR": "127.0.0.1:0",
		"HTTP_ADDR": ":8080", "ADMIN_ADDR": "127.0.0.1:9090", "TLS_CERT_FILE": "", "TLS_KEY_FILE": "", "ADMIN_TOKEN": AdminTokens(nil),
		"PUBLISH_TOKEN": PublishTokens(nil), "ALLOWED_ORIGINS": Origins(nil), "TRUSTED_PROXIES": Networks(nil),
		"QUOTE_TTL": time.Minute, "STALE_AFTER": 10 * time.Second, "HISTORY_TICKS": 1000, "FEED_INBOX": "forex_updates", "FEED_BASE": "EUR",
		"FEED_CHANNELS": []string(nil), "FEED_SOURCES": []string(nil),
		"SESSION_COOKIE_NAME": "session_id", "SESSION_TTL": time.Hour, "SESSION_ABSOLUTE_TTL": 24 * time.Hour, "SESSION_AUTO_EXTEND": true,
		"SESSION_GRACE": time.Minute, "GUEST_SESSIONS": false, "ROLES": "",
		"RATE_PER_MINUTE": 60, "RATE_PER_HOUR": 1000, "RATE_PER_DAY": 10000, "RATE_DRY_RUN": false, "RATE_EXEMPT": Networks(nil),
		"RATE_ON_REDIS_DOWN": "local", "PUBLISH_RATE_PER_SECOND": 20000,
		"WS_COMMANDS_PER_SECOND": 10, "WS_MAX_SYMBOLS": 200, "WS_MAX_CONNECTIONS_PER_USER": 20, "WS_HEARTBEAT": time.Second, "WS_PING": 20 * time.Second,
		"WS_WRITE_TIMEOUT": 10 * time.Second, "WS_COMPRESSION": false, "DRAIN_TIMEOUT": 20 * time.Second,
		"LOG_LEVEL": slog.LevelInfo, "LOG_FORMAT": "",
	}
	for _, s := range settings {
		got := reflect.ValueOf(c).FieldByIndex(s.index).Interface()
		if w, documented := want[s.name]; documented && !reflect.DeepEqual(got, w) {
			t.Errorf("%s is %#v, want %#v", s.name, got, w)
		}
		delete(want, s.name)
	}
	if len(want) > 0 {
		t.Errorf("settings that are gone: %v", want)
	}
	if !reflect.DeepEqual(c.Feed.Sources, feed.Priorities{}) || c.Warnings != nil || !reflect.DeepEqual(c.given, map[string]bool{"REDIS_HOST": true}) {
		t.Errorf("sources %+v, warnings %q, given %v", c.Feed.Sources, c.Warnings, c.given)
	}
	if user, ok := c.Session.Roles.For("user"); !ok || user.MaxSymbols != 200 || user.MaxConnections != 20 || user.Rate.PerDay != 10000 {
		t.Errorf("a user's default grants: %+v", user)
	}
}

func TestEmbeddedDefaults(t *testing.T) {
	c := mustLoad(t)
	if !c.Embedded() || c.HTTP.Addr != "127.0.0.1:8080" || !c.Session.Guests {
		t.Errorf("with nothing set: embedded %v, HTTP_ADDR %q, guests %v", c.Embedded(), c.HTTP.Addr, c.Session.Guests)
	}
	c = mustLoad(t, "HTTP_ADDR=:1234", "GUEST_SESSIONS=false", "ADMIN_ADDR=", "REDIS_URL=")
	if !c.Embedded() || c.HTTP.Addr != ":1234" || c.Session.Guests || c.HTTP.AdminAddr != "" {
		t.Errorf("what is set wins: %+v %v", c.HTTP, c.Session.Guests)
	}
	admin, publish := c.GenerateTokens()
	if len(admin) < minToken || len(publish) < minToken || admin == publish ||
		!slices.Equal(c.HTTP.AdminTokens, AdminTokens{admin}) || !slices.Equal(c.HTTP.PublishTokens, PublishTokens{{Token: publish}}) {
		t.Errorf("generated tokens: %q %q, config %+v", admin, publish, c.HTTP)
	}
	c = mustLoad(t, "ADMIN_TOKEN="+longToken, "PUBLISH_TOKEN="+longToken)
	if admin, publish := c.GenerateTokens(); admin != "" || publish != "" || c.HTTP.AdminTokens[0] != longToken {
		t.Errorf("configured tokens were replaced: %q %q", admin, publish)
	}
	for _, kv := range []string{"REDIS_URL=redis://h", "REDIS_HOST=h", "REDIS_ADDRS=h:1"} {
		if c := mustLoad(t, kv); c.Embedded() || c.HTTP.Addr != ":8080" || c.Session.Guests {
			t.Errorf("%s: embedded %v, HTTP_ADDR %q, guests %v", kv, c.Embedded(), c.HTTP.Addr, c.Session.Guests)
		}
	}
}

func TestValuesAreRead(t *testing.T) {
	roles := filepath.Join(t.TempDir(), "roles.json")
	writeFile(t, roles, `{"guest":{"symbols":["eurusd","gbp/*"],"max_rate":2.5,"modes":["latest"],"channels":["news"]}}`)
	c := mustLoad(t, "REDIS_HOST=h", "FEED_CHANNELS= news , alerts,", "FEED_BASE=usd", "FEED_SOURCES=main:2s, backup",
		"STALE_AFTER=7s", "TRUSTED_PROXIES=10.1.2.3/8,192.0.2.7, ::1", "ALLOWED_ORIGINS=https://*.Example.com,app.test",
		"PUBLISH_TOKEN=desk:"+longToken+","+longToken+"2", "ADMIN_TOKEN="+longToken+", "+longToken+"==",
		"ROLES="+roles, "WS_COMPRESSION=on", "LOG_LEVEL=WARN", "SESSION_AUTO_EXTEND=false", "DRAIN_TIMEOUT=0s")
	check := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %#v, want %#v", what, got, want)
		}
	}
	check("Channels", c.Feed.Channels, []string{"news", "alerts"})
	check("Base", c.Feed.Base, "USD")
	check("Sources", c.Feed.Sources, feed.Priorities{Named: []feed.Priority{{Source: "main", Silence: 2 * time.Second}, {Source: "backup", Silence: 7 * time.Second}}})
	check("Sources with all others", mustLoad(t, "FEED_SOURCES=a-1:500ms, *").Feed.Sources,
		feed.Priorities{Named: []feed.Priority{{Source: "a-1", Silence: 500 * time.Millisecond}}, Others: true})
	var proxies []string
	for _, p := range c.HTTP.Proxies {
		proxies = append(proxies, p.String())
	}
	check("Proxies", proxies, []string{"10.0.0.0/8", "192.0.2.7/32", "::1/128"})
	check("AllowedOrigins", c.HTTP.AllowedOrigins, Origins{"https://*.example.com", "app.test"})
	check("PublishTokens", c.HTTP.PublishTokens, PublishTokens{{"desk", longToken}, {"", longToken + "2"}})
	check("AdminTokens", c.HTTP.AdminTokens, AdminTokens{longToken, longToken + "=="})
	check("Compression", c.WS.Compression, true)
	check("Level", c.Log.Level.String(), "WARN")
	check("AutoExtend", c.Session.AutoExtend, false)
	check("DrainTimeout", c.WS.DrainTimeout, time.Duration(0))
	guest, _ := c.Session.Roles.For("guest")
	check("guest symbols", guest.Symbols, []string{"EUR/USD", "GBP/*"})
	check("guest rate", guest.MaxRate, 2.5)
	user, _ := c.Session.Roles.For("user")
	check("user symbols", user.Symbols, []string{"*"})
	check("user max_symbols", user.MaxSymbols, c.WS.MaxSymbols)
	check("Warnings", c.Warnings, []string(nil))
}

// faulty has one wrong value per variable; none of the values may be a reason
// to overlook another.
var faulty = map[string]string{
	"REDIS_URL":                   "redis://user:s3cretpass@host:port/0",
	"REDIS_HOST":                  "redis://:s3cretpass@host",
	"REDIS_PORT":                  "70000",
	"REDIS_DB":                    "-1",
	"REDIS_MAX_CONNECTIONS":       "0",
	"REDIS_MODE":                  "clustered",
	"REDIS_ADDRS":                 "redis://:s3cretpass@host",
	"REDIS_PREFIX":                "fx{1}:",
	"HTTP_ADDR":                   "8080",
	"ADMIN_ADDR":                  "localhost",
	"ADMIN_TOKEN":                 "s3cretpass",
	"PUBLISH_TOKEN":               "Desk A:s3cretpass" + longToken,
	"ALLOWED_ORIGINS":             "https://example.com/path",
	"TRUSTED_PROXIES":             "10.0.0.0/33",
	"RATE_EXEMPT":                 "10.0.0.0/33",
	"RATE_DRY_RUN":                "perhaps",
	"TLS_CERT_FILE":               "/nonexistent/cert.pem",
	"QUOTE_TTL":                   "60",
	"STALE_AFTER":                 "-1s",
	"HISTORY_TICKS":               "many",
	"FEED_INBOX":                  "__inbox",
	"FEED_BASE":                   "EURO",
	"FEED_CHANNELS":               "news,__keyspace@0__:x",
	"FEED_SOURCES":                "main:fast",
	"SESSION_COOKIE_NAME":         "session id",
	"SESSION_TTL":                 "0s",
	"SESSION_ABSOLUTE_TTL":        "forever",
	"SESSION_AUTO_EXTEND":         "perhaps",
	"SESSION_GRACE":               "-1s",
	"GUEST_SESSIONS":              "2",
	"ROLES":                       `{"guest":{"symbol":["*"]}}`,
	"RATE_PER_MINUTE":             "0",
	"RATE_PER_HOUR":               "1.5",
	"RATE_PER_DAY":                "99999999999999999999",
	"RATE_ON_REDIS_DOWN":          "ignore",
	"PUBLISH_RATE_PER_SECOND":     "-5",
	"WS_COMMANDS_PER_SECOND":      "x",
	"WS_MAX_SYMBOLS":              "0",
	"WS_MAX_CONNECTIONS_PER_USER": "0",
	"WS_HEARTBEAT":                "1ns",
	"WS_PING":                     "20 s",
	"WS_WRITE_TIMEOUT":            "0s",
	"WS_COMPRESSION":              "gzip",
	"DRAIN_TIMEOUT":               "-1s",
	"LOG_LEVEL":                   "loud",
	"LOG_FORMAT":                  "xml",
}

func TestEveryFaultAtOnce(t *testing.T) {
	var environ []string
	for name, value := range faulty {
		environ = append(environ, name+"="+value)
	}
	environ = append(environ, "TLS_KEY_FILE=/nonexistent/key.pem")
	_, err := Load(environ)
	faults, ok := errors.AsType[Faults](err)
	if !ok {
		t.Fatalf("Load: %T %v, want Faults", err, err)
	}
	byName := map[string]string{}
	for _, f := range faults {
		name, text, _ := strings.Cut(f, ": ")
		if byName[name] != "" {
			t.Errorf("two faults of %s: %q and %q", name, byName[name], text)
		}
		byName[name] = text
		if strings.Contains(f, "s3cret") || strings.Contains(f, longToken) {
			t.Errorf("a secret is shown: %s", f)
		}
		if strings.ContainsAny(f, "\r\n") {
			t.Errorf("more than one line: %q", f)
		}
	}
	for name := range faulty {
		if byName[name] == "" {
			t.Errorf("no fault of %s=%s", name, faulty[name])
		}
		delete(byName, name)
	}
	if len(byName) > 0 {
		t.Errorf("faults of right variables: %v", byName)
	}
}

func TestFaultOfFormatNamesNoEmptyChoice(t *testing.T) {
	_, err := Load([]string{"LOG_FORMAT=xml"})
	if err == nil || !strings.Contains(err.Error(), "want one of json, text,") {
		t.Errorf("%v", err)
	}
}

// A setting whose tags say what is right has wrong values of its own; any other that
// can be wrong has one in the test above.
func TestEverySettingIsDocumentedAndChecked(t *testing.T) {
	seen := map[string]bool{}
	anything := []string{"REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_MASTER_NAME", "REDIS_CONF", "EMBEDDED_REDIS_ADDR", "TLS_KEY_FILE"}
	for _, s := range settings {
		if seen[s.name] || s.meaning == "" {
			t.Errorf("%s: listed twice, or without a meaning", s.name)
		}
		seen[s.name] = true
		wrong := s.wrongValues()
		if len(wrong) == 0 && faulty[s.name] == "" && !slices.Contains(anything, s.name) {
			t.Errorf("%s has no wrong value in the test", s.name)
		}
		for _, value := range wrong {
			_, err := Load([]string{"REDIS_HOST=h", s.name + "=" + value})
			faults, _ := errors.AsType[Faults](err)
			if len(faults) != 1 || !strings.HasPrefix(faults[0], s.name+": want ") {
				t.Errorf("%s=%s: %q, want one fault", s.name, value, faults)
			}
		}
	}
}

// wrongValues are values that the tags of the setting, or its type, rule out.
func (s *setting) wrongValues() (wrong []string) {
	text := func(n int64) string { return strconv.FormatInt(n, 10) }
	switch reflect.ValueOf(Config{}).FieldByIndex(s.index).Interface().(type) {
	case time.Duration:
		text = func(n int64) string { return time.Duration(n).String() }
		wrong = append(wrong, "60")
	case int:
		wrong = append(wrong, "many", "1.5")
	case bool:
		wrong = append(wrong, "perhaps")
	}
	if s.low < s.high {
		wrong = append(wrong, text(s.low-1), text(s.high+1))
	}
	if s.oneOf != nil {
		wrong = append(wrong, s.oneOf[0]+"x")
	}
	return wrong
}

// One line is a setting: it is read, checked, hinted at and documented by its tags.
func TestOneLineIsASetting(t *testing.T) {
	type part struct {
		Wait time.Duration `env:"VENDOR_WAIT" default:"5s" range:"1s..1m" doc:"how long a {vendor} may be silent"`
	}
	list := describe(reflect.TypeFor[struct{ Vendor part }]())
	want := setting{name: "VENDOR_WAIT", index: []int{0, 0}, standard: "5s", shown: "5s", low: int64(time.Second), high: int64(time.Minute),
		meaning: "how long a `vendor` may be silent"}
	if len(list) != 1 || list[0].form.ok != nil || !reflect.DeepEqual(list[0], want) {
		t.Errorf("%+v, want %+v", list, want)
	}
}

func TestSettingsThatDisagree(t *testing.T) {
	for _, tc := range []struct {
		environ []string
		want    string // name of the fault
	}{
		{[]string{"REDIS_MODE=sentinel", "REDIS_ADDRS=h:1"}, "REDIS_MASTER_NAME"},
		{[]string{"REDIS_MODE=sentinel", "REDIS_MASTER_NAME=m", "REDIS_HOST=h"}, "REDIS_ADDRS"},
		{[]string{"REDIS_MODE=cluster"}, "REDIS_ADDRS"},
		{[]string{"REDIS_MODE=cluster", "REDIS_ADDRS=h:1", "REDIS_DB=2"}, "REDIS_DB"},
		{[]string{"REDIS_ADDRS=h:1,i:1"}, "REDIS_ADDRS"},
		{[]string{"TLS_CERT_FILE=c"}, "TLS_KEY_FILE"},
		{[]string{"TLS_KEY_FILE=c"}, "TLS_CERT_FILE"},
		{[]string{"HTTP_ADDR=:9090", "ADMIN_ADDR=:9090"}, "ADMIN_ADDR"},
		{[]string{"REDIS_PREFIX=cache:x:"}, "REDIS_PREFIX"},
		{[]string{"REDIS_PREFIX=q:", "FEED_INBOX=q:in"}, "FEED_INBOX"},
		{[]string{"EMBEDDED_REDIS_ADDR=6379"}, "EMBEDDED_REDIS_ADDR"},
		{[]string{"PUBLISH_TOKEN=a:" + longToken + ",b:" + longToken}, "PUBLISH_TOKEN"},
		{[]string{"ROLES=/nonexistent/roles.json"}, "ROLES"},
		{[]string{`ROLES={"a":{"symbols":["FOO/*"]}}`}, "ROLES"},
		{[]string{`ROLES={"a":{"max_symbols":-1}}`}, "ROLES"},
		{[]string{`ROLES={"a":{}} x`}, "ROLES"},
	} {
		_, err := Load(tc.environ)
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], tc.want+": ") {
			t.Errorf("%q: %q, want one fault of %s", tc.environ, faults, tc.want)
		}
	}
}

func TestFaultySources(t *testing.T) {
	for value, want := range map[string]string{
		"main:2s,*,backup": "at the end", "main,*:5s": "without a time", "main,main:2s": "once",
		"main:0s": "1ms", "main:48h": "24h", "main:1500us": "whole milliseconds", "main:-2s": "1ms",
		"Main": "name:silence", "main:5": "name:silence", "a b": "name:silence",
		strings.TrimSuffix(strings.Repeat("x,", 17), ","): "at most 16",
	} {
		_, err := Load([]string{"FEED_SOURCES=" + value})
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], "FEED_SOURCES: ") || !strings.Contains(faults[0], want) {
			t.Errorf("%q: %q, want one fault that says %q", value, faults, want)
		}
	}
	if c := mustLoad(t, "FEED_SOURCES=a", "STALE_AFTER=1500500us"); c.Feed.Sources.Check() != nil {
		t.Errorf("%+v: %v", c.Feed.Sources, c.Feed.Sources.Check())
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	c := mustLoad(t,
		"REDIS_URL_FILE="+file("url", "redis://:pw@h:1/2\n"),
		"REDIS_PASSWORD_FILE="+file("pw", " a b \r\n"),
		"ADMIN_TOKEN_FILE="+file("admin", longToken),
		"PUBLISH_TOKEN_FILE="+file("publish", "desk:"+longToken+"\n"))
	if c.Embedded() || c.Redis.URL != "redis://:pw@h:1/2" || c.Redis.Password != " a b " ||
		!slices.Equal(c.HTTP.AdminTokens, AdminTokens{longToken}) || !slices.Equal(c.HTTP.PublishTokens, PublishTokens{{"desk", longToken}}) {
		t.Errorf("read from files: %+v %+v", c.Redis, c.HTTP)
	}
	for _, tc := range []struct {
		environ []string
		want    []string
	}{
		{[]string{"ADMIN_TOKEN=" + longToken, "ADMIN_TOKEN_FILE=" + file("b", longToken)}, []string{"ADMIN_TOKEN_FILE", "only one"}},
		{[]string{"ADMIN_TOKEN_FILE=" + filepath.Join(dir, "none")}, []string{"ADMIN_TOKEN_FILE", "none", "no such file"}},
		{[]string{"ADMIN_TOKEN_FILE=" + dir}, []string{"ADMIN_TOKEN_FILE", "cannot be read"}},
		{[]string{"REDIS_PASSWORD_FILE=" + file("empty", "\n")}, []string{"REDIS_PASSWORD_FILE", "empty"}},
		{[]string{"REDIS_PASSWORD_FILE=" + file("two", "s3cret\ns3cret\n")}, []string{"REDIS_PASSWORD_FILE", "one line"}},
		{[]string{"ADMIN_TOKEN_FILE=" + file("short", "s3cret\n")}, []string{"ADMIN_TOKEN: want tokens of 24"}},
		{[]string{"REDIS_URL_FILE=" + file("badurl", "http://:s3cret@h\n")}, []string{"REDIS_URL: unknown kind"}},
	} {
		_, err := Load(tc.environ)
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != 1 {
			t.Errorf("%q: %q, want one fault", tc.environ, faults)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(faults[0], w) || strings.Contains(faults[0], "s3cret") {
				t.Errorf("%q: %q, want %q in it and no secret", tc.environ, faults[0], w)
			}
		}
	}
}

func TestHints(t *testing.T) {
	for name, want := range map[string]string{
		"RATE_PER_MINUT":       "did you mean RATE_PER_MINUTE?",
		"RATE_MINUTE":          "did you mean RATE_PER_MINUTE?",
		"REDIS_PASWORD":        "did you mean REDIS_PASSWORD?",
		"QUOTE_TLL":            "did you mean QUOTE_TTL?",
		"redis_url":            "did you mean REDIS_URL?",
		"FX_LOG_LEVEL":         "did you mean LOG_LEVEL?",
		"WS_MAX_CONNECTIONS":   "did you mean WS_MAX_CONNECTIONS_PER_USER?",
		"ADMIN_TOKN_FILE":      "did you mean ADMIN_TOKEN_FILE?",
		"HTTP_ADDR_FILE":       "can be read from a file",
		"PUBLISH_TOKENS":       "did you mean PUBLISH_TOKEN?",
		"GUEST_SESSION":        "did you mean GUEST_SESSIONS?",
		"REDIS_SENTINEL_HOSTS": "`broadcaster config` lists them all",
	} {
		c := mustLoad(t, name+"=s3cret")
		got := strings.Join(c.Warnings, "\n")
		if strings.Contains(got, "s3cret") {
			t.Errorf("%s: the value is shown: %s", name, got)
		}
		if !strings.HasPrefix(got, name+": ") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: warnings %q, want %q", name, got, want)
		}
	}
	// What machines, containers and the tests themselves set.
	for _, name := range []string{
		"PATH", "HOME", "TZ", "_", "PWD", "LANG", "TERM", "USER", "SHLVL", "HOSTNAME", "OLDPWD", "EDITOR", "CI",
		"http_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOPATH", "SESSION_MANAGER", "LOGNAME",
		"REDIS_SERVICE_HOST", "REDIS_SERVICE_PORT", "REDIS_SERVICE_PORT_TCP", "REDIS_PORT_6379_TCP", "REDIS_PORT_6379_TCP_ADDR",
		"HTTP_PORT", "KUBERNETES_SERVICE_HOST", "FXCAST_DATA", "FXCAST_REQUIRE_ALL", "ADMIN_TOKEN_FILE", "REDIS_ENV_X", "XDG_SESSION_ID",
	} {
		if got := hints(map[string]string{name: "x"}); len(got) > 0 {
			t.Errorf("%s: %q, want no warning", name, got)
		}
	}
	c := mustLoad(t, "REDIS_HOST=h", "REDIS_PORT=tcp://10.0.0.1:6379")
	if len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], "REDIS_PORT: ignored") || c.Redis.Port != 6379 {
		t.Errorf("container link: port %d, warnings %q", c.Redis.Port, c.Warnings)
	}
	if c := mustLoad(t, "REDIS_PASSWORD=s3cret"); len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], "REDIS_PASSWORD: no effect") {
		t.Errorf("a password without a server: warnings %q", c.Warnings)
	}
}

// However a password breaks the URL, no piece of it is in the message.
func TestRedisURLErrorsHideThePassword(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringMatching(`s3cret[0-9]`), 2, 3).Draw(t, "parts")
		sep := rapid.SampledFrom([]string{"%", "#", "?", "/", "@", ":", " ", "[", "\\", "&x=", "%zz", "\x7f"}).Draw(t, "sep")
		scheme := rapid.SampledFrom([]string{"redis://", "rediss://", "unix://", "http://", "redis:", "", "REDIS://"}).Draw(t, "scheme")
		user := rapid.SampledFrom([]string{"", "u:", ":"}).Draw(t, "user")
		host := rapid.SampledFrom([]string{"@h", "@h:1/0", "@h:x", "@", "", "@h/0?x=1", "@h/name"}).Draw(t, "host")
		text := scheme + user + strings.Join(parts, sep) + host
		if _, err := Load([]string{"REDIS_URL=" + text}); err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestReadmeTable(t *testing.T) {
	const path = "../../../../README.md"
	const start, end = "<!-- settings -->\n", "<!-- /settings -->"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), start)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("README.md has no settings between %q and %q", strings.TrimSpace(start), end)
	}
	if table == Table() {
		return
	}
	if !*update {
		t.Fatal("the settings in README.md are not those of the code: go test ./cmd/broadcaster/internal/config -run TestReadmeTable -update")
	}
	writeFile(t, path, before+start+Table()+end+after)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
