package config

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// faulty has one wrong value per variable; none of the values may be a reason
// to overlook another.
var faulty = map[string]string{
	"REDIS_URL":                     "redis://user:s3cretpass@host:port/0",
	"REDIS_HOST":                    "redis://:s3cretpass@host",
	"REDIS_PORT":                    "70000",
	"REDIS_DB":                      "-1",
	"REDIS_MAX_CONNECTIONS":         "0",
	"REDIS_MODE":                    "clustered",
	"REDIS_ADDRS":                   "redis://:s3cretpass@host",
	"REDIS_PREFIX":                  "fx{1}:",
	"REDIS_CA_FILE":                 "/nonexistent/ca.pem",
	"REDIS_CERT_FILE":               "/nonexistent/cert.pem",
	"HTTP_ADDR":                     "8080",
	"ADMIN_ADDR":                    "localhost",
	"ADMIN_TOKEN":                   "s3cretpass",
	"PUBLISH_TOKEN":                 ":s3cretpass" + longToken,
	"ALLOWED_ORIGINS":               "https://example.com/path",
	"TRUSTED_PROXIES":               "10.0.0.0/33",
	"RATE_EXEMPT":                   "10.0.0.0/33",
	"RATE_DRY_RUN":                  "perhaps",
	"TLS_CERT_FILE":                 "/nonexistent/cert.pem",
	"QUOTE_TTL":                     "60",
	"STALE_AFTER":                   "-1s",
	"HISTORY_TICKS":                 "many",
	"FEED_INBOX":                    "__inbox",
	"FEED_STREAM":                   "forex{stream}",
	"FEED_BASE":                     "EURO",
	"FEED_CHANNELS":                 "news,__keyspace@0__:x",
	"FEED_SOURCES":                  "main:fast",
	"INSTRUMENTS":                   `{"EUR/USD":{"colour":"red"},"EUR/GBP":{"aliases":["EURUSD"]}}`,
	"FEED_SUFFIXES":                 ".m,with a blank",
	"HOLIDAYS":                      "2026-12-25,25.12.2026",
	"GATE_MAX_JUMP":                 "2",
	"GATE_MAX_SPREAD":               "2%,1e9%",
	"GATE_CONFIRM":                  "0",
	"GATE_MAX_GAP":                  "-1%",
	"CANDLES":                       "1h:60d",
	"FEED_MAX_LAG":                  "5",
	"LAST_KNOWN_TTL":                "0s",
	"SESSION_COOKIE_NAME":           "session id",
	"SESSION_TTL":                   "0s",
	"SESSION_ABSOLUTE_TTL":          "forever",
	"SESSION_AUTO_EXTEND":           "perhaps",
	"SESSION_GRACE":                 "-1s",
	"GUEST_SESSIONS":                "2",
	"GUEST_CONNECTIONS_PER_ADDRESS": "0",
	"ROLES":                         `{"guest":{"symbol":["*"]}}`,
	"RATE_PER_MINUTE":               "0",
	"RATE_PER_HOUR":                 "1.5",
	"RATE_PER_DAY":                  "99999999999999999999",
	"RATE_ON_REDIS_DOWN":            "ignore",
	"PUBLISH_ACK":                   "quorum",
	"PUBLISH_RATE_PER_SECOND":       "-5",
	"WS_COMMANDS_PER_SECOND":        "x",
	"WS_MAX_SYMBOLS":                "0",
	"WS_MAX_CONNECTIONS_PER_USER":   "0",
	"WS_HEARTBEAT":                  "1ns",
	"WS_PING":                       "20 s",
	"WS_WRITE_TIMEOUT":              "0s",
	"WS_COMPRESSION":                "gzip",
	"DRAIN_DELAY":                   "5",
	"DRAIN_TIMEOUT":                 "-1s",
	"LOG_LEVEL":                     "loud",
	"LOG_FORMAT":                    "xml",
}

func TestEveryFaultAtOnce(t *testing.T) {
	var environ []string
	for name, value := range faulty {
		environ = append(environ, name+"="+value)
	}
	environ = append(environ, "TLS_KEY_FILE=/nonexistent/key.pem", "REDIS_KEY_FILE=/nonexistent/key.pem")
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
		{[]string{"REDIS_HOST=h", "REDIS_CERT_FILE=c"}, "REDIS_KEY_FILE"},
		{[]string{"REDIS_HOST=h", "REDIS_KEY_FILE=c"}, "REDIS_CERT_FILE"},
		{[]string{"REDIS_HOST=h", "REDIS_CA_FILE=fault_test.go"}, "REDIS_CA_FILE"},
		{[]string{"TLS_KEY_FILE=c"}, "TLS_CERT_FILE"},
		{[]string{"HTTP_ADDR=:9090", "ADMIN_ADDR=:9090"}, "ADMIN_ADDR"},
		{[]string{"REDIS_PREFIX=cache:x:"}, "REDIS_PREFIX"},
		{[]string{"REDIS_PREFIX=q:", "FEED_INBOX=q:in"}, "FEED_INBOX"},
		{[]string{"FEED_STREAM=fx:stream"}, "FEED_STREAM"},
		{[]string{"FEED_STREAM=session:x"}, "FEED_STREAM"},
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

func TestValuesThatEndWithANewline(t *testing.T) {
	for _, environ := range []string{
		"REDIS_PASSWORD=s3cret\n", "REDIS_URL=redis://:s3cret@h:1/0\r\n", "REDIS_HOST=h\n", "REDIS_PORT=1\n", "REDIS_PASSWORD_FILE=/nonexistent\n",
		"WS_PING=20s\r", "ADMIN_TOKEN=" + longToken + "\n",
	} {
		_, err := Load([]string{environ})
		faults, _ := errors.AsType[Faults](err)
		name, _, _ := strings.Cut(environ, "=")
		if len(faults) == 0 || faults[0] != name+": ends with a newline; want the value without it" || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %q", environ, faults)
		}
	}
	mustLoad(t, `ROLES={"a":{}}`+"\n", "OTHER=x\n") // JSON, and what is no setting
}

func TestFaultySources(t *testing.T) {
	for value, want := range map[string]string{
		"main:2s,*,backup": "at the end", "main,*:5s": "without a time", "main,main:2s": "once",
		"main:0s": "1ms", "main:48h": "24h", "main:1500us": "whole milliseconds", "main:-2s": "1ms",
		"Main,main": "once", "LMAX 1:2s,lmax_1": "once", "main:5": "name:silence", ":2s": "name:silence",
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

// The embedded Redis has no replica for an answer to wait for.
func TestReplicatedNeedsARedis(t *testing.T) {
	_, err := Load([]string{"PUBLISH_ACK=replicated"})
	if faults, _ := errors.AsType[Faults](err); len(faults) != 1 || !strings.Contains(faults[0], "PUBLISH_ACK") || !strings.Contains(faults[0], "embedded") {
		t.Errorf("embedded: %v, want a fault of PUBLISH_ACK that names the embedded Redis", err)
	}
	if c := mustLoad(t, "PUBLISH_ACK=replicated", "REDIS_HOST=redis"); !c.Feed.Replicated {
		t.Error("PUBLISH_ACK=replicated is not read")
	}
}
