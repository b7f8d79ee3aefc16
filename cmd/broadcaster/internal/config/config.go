// Package config defines every setting with its default, range and meaning, and reads them from the
// environment.
package config

import (
	"log/slog"
	"slices"
	"strings"
)

// Config holds all settings, which come from environment variables only. Load makes it. It is valid
// only if Load returned no error.
type Config struct {
	Redis   Redis   `family:"REDIS_,EMBEDDED_REDIS_"`
	HTTP    HTTP    // no family: names like HTTP_PORT are too common
	Feed    Feed    `family:"QUOTE_,STALE_,HISTORY_,FEED_,GATE_"`
	Session Session `family:"SESSION_,GUEST_"`
	Rate    Rate    `family:"RATE_,PUBLISH_"`
	WS      WS      `family:"WS_,DRAIN_"`
	Log     Log

	// Warnings are remarks on the environment that do not stop the program: names that resemble a
	// setting, and settings without effect. They never contain a value.
	Warnings []string

	given       map[string]bool   // variables that are set and not empty
	secretFiles map[string]string // paths of the files by the names of the secrets that they hold
}

// Given reports whether a variable is set and not empty.
func (c *Config) Given(name string) bool { return c.given[name] }

// Embedded reports whether no Redis is configured, so that serve starts an embedded one.
func (c *Config) Embedded() bool {
	return !c.given["REDIS_URL"] && !c.given["REDIS_HOST"] && !c.given["REDIS_ADDRS"]
}

// LogWarnings logs the remarks on the environment.
func (c *Config) LogWarnings(logger *slog.Logger) {
	for _, w := range c.Warnings {
		logger.Warn(w)
	}
}

func (c *Config) warn(name, text string) { c.Warnings = append(c.Warnings, name+": "+text) }

// Load reads the environment ("NAME=value"). An empty value counts as not set, unless the setting
// defines a meaning for it. The error is of type Faults and holds every fault; the Config returned
// with it is for display only.
func Load(environ []string) (Config, error) {
	var c Config
	vars := variables(environ)
	c.Warnings = hints(vars)
	if strings.HasPrefix(vars["REDIS_PORT"], "tcp://") {
		c.warn("REDIS_PORT", "ignored, it is a container link (tcp://…) and not a port number")
		delete(vars, "REDIS_PORT")
	}
	k := &checker{unread: map[string]bool{}}
	k.lineEnds(vars)
	c.secretFiles = readSecretFiles(vars, k)
	c.given = map[string]bool{}
	for name, value := range vars {
		if value != "" {
			c.given[name] = true
		}
	}
	c.parse(vars, k)
	c.checkRedis(k)
	c.checkHTTP(k)
	c.checkFeed(k)
	c.checkSession(k)
	if len(k.faults) > 0 {
		slices.Sort(k.faults)
		return c, k.faults
	}
	return c, nil
}

// variables returns an environment by name.
func variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return vars
}
