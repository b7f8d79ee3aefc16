package config

import (
	"strings"
	"testing"
)

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
		"REDIS_POOL_SIZE":      "did you mean REDIS_MAX_CONNECTIONS?",
		"REDIS_POOL_TIMEOUT":   "`broadcaster config` lists them all",
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
