package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
)

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
		"QUOTE_TTL": time.Minute, "STALE_AFTER": 10 * time.Second, "HISTORY_TICKS": 1000, "FEED_INBOX": "forex_updates", "FEED_STREAM": "forex_stream", "FEED_BASE": "EUR",
		"FEED_CHANNELS": []string(nil), "FEED_SOURCES": []string(nil),
		"SESSION_COOKIE_NAME": "session_id", "SESSION_TTL": time.Hour, "SESSION_ABSOLUTE_TTL": 24 * time.Hour, "SESSION_AUTO_EXTEND": true,
		"SESSION_GRACE": time.Minute, "GUEST_SESSIONS": false, "GUEST_CONNECTIONS_PER_ADDRESS": 100, "ROLES": "",
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
	check("Sources by any label", mustLoad(t, "FEED_SOURCES=LMAX:2s,Desk 7/B").Feed.Sources,
		feed.Priorities{Named: []feed.Priority{{Source: "lmax", Silence: 2 * time.Second}, {Source: "desk_7_b", Silence: 10 * time.Second}}})
	check("PublishTokens by any label", mustLoad(t, "PUBLISH_TOKEN=Desk A:"+longToken).HTTP.PublishTokens, PublishTokens{{"desk_a", longToken}})
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

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAllowedOrigins(t *testing.T) {
	c := mustLoad(t, "ALLOWED_ORIGINS=capacitor://localhost,Chrome-Extension://abcdef,null,https://app.test:443,http://[::1]:3000,*.bare.test")
	want := Origins{"capacitor://localhost", "chrome-extension://abcdef", "null", "https://app.test:443", "http://[::1]:3000", "*.bare.test"}
	if !slices.Equal(c.HTTP.AllowedOrigins, want) {
		t.Errorf("%q, want %q", c.HTTP.AllowedOrigins, want)
	}
	if len(c.Warnings) == 0 || !strings.Contains(strings.Join(c.Warnings, "\n"), "null lets every local file") {
		t.Errorf("warnings %q", c.Warnings)
	}
	for _, bad := range []string{"capacitor://*", "chrome-extension://abc*", "file://", "https://", "://host", "1x://host", "https://app.test/path", "https://user@app.test", "https://[a"} {
		var faults Faults
		if _, err := Load([]string{"ALLOWED_ORIGINS=" + bad}); !errors.As(err, &faults) || !strings.Contains(err.Error(), "ALLOWED_ORIGINS") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Guests behind one address share its connections, so they have a limit of their own.
func TestGuestConnections(t *testing.T) {
	for _, tc := range []struct {
		environ     []string
		guest, user int
	}{
		{nil, 100, 20},
		{[]string{"WS_MAX_CONNECTIONS_PER_USER=3"}, 100, 3},
		{[]string{"GUEST_CONNECTIONS_PER_ADDRESS=7"}, 7, 20},
		{[]string{"GUEST_CONNECTIONS_PER_ADDRESS=7", `ROLES={"guest":{"max_symbols":1},"user":{"max_symbols":1}}`}, 7, 20},
		{[]string{`ROLES={"guest":{"max_connections":2}}`}, 2, 20},
	} {
		roles := mustLoad(t, tc.environ...).Session.Roles
		guest, _ := roles.For("guest")
		user, _ := roles.For("user")
		if guest.MaxConnections != tc.guest || user.MaxConnections != tc.user {
			t.Errorf("%q: guest %d, user %d, want %d and %d", tc.environ, guest.MaxConnections, user.MaxConnections, tc.guest, tc.user)
		}
	}
}
