package config

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// meanings is what users read about each setting, in the order in which they
// read it. It and the env tags of Config must name the same settings.
var meanings = []struct{ name, text string }{
	{"REDIS_URL", "`redis://user:password@host:port/db`, `rediss://` (TLS) or `unix://`; empty: an embedded Redis, in memory and for one machine"},
	{"REDIS_HOST", "host, or path of a socket, instead of the URL's; the variables that are set win over the URL"},
	{"REDIS_PORT", "port of `REDIS_HOST`, or instead of the URL's"},
	{"REDIS_USERNAME", "user (ACL)"},
	{"REDIS_PASSWORD", "password"},
	{"REDIS_DB", "database number; it separates keys but not channels"},
	{"REDIS_MAX_CONNECTIONS", "connections in the pool; subscribing ones come on top"},
	{"REDIS_MODE", "`standalone`, `sentinel` or `cluster`"},
	{"REDIS_ADDRS", "`host:port,…` of the sentinels or of cluster nodes"},
	{"REDIS_MASTER_NAME", "name of the master, with `sentinel`"},
	{"REDIS_PREFIX", "prefix of every quote key and channel"},
	{"REDIS_CONF", "path of `redis.conf`, for the report of differences to the running server"},
	{"EMBEDDED_REDIS_ADDR", "where the embedded Redis listens; port 0 takes a free one"},
	{"HTTP_ADDR", "public listener"},
	{"ADMIN_ADDR", "admin API, metrics and pprof; empty: off"},
	{"TLS_CERT_FILE", "certificate chain (PEM) of the public listener"},
	{"TLS_KEY_FILE", "its private key (PEM)"},
	{"ADMIN_TOKEN", "bearer tokens of the admin API, a comma list, at least 24 characters each; without one it answers 403"},
	{"PUBLISH_TOKEN", "bearer tokens for publishing quotes, `token` or `name:token`; the name becomes the source of the quotes"},
	{"ALLOWED_ORIGINS", "browser origins allowed besides the server's own, `https://*.example.com,…`"},
	{"TRUSTED_PROXIES", "networks whose `X-Forwarded-For` is believed, `10.0.0.0/8,…`"},
	{"QUOTE_TTL", "how long the last quote of a symbol is kept"},
	{"STALE_AFTER", "a symbol without a tick for this long is marked stale"},
	{"HISTORY_TICKS", "ticks kept per symbol"},
	{"FEED_INBOX", "Redis channel on which any producer may publish JSON"},
	{"FEED_BASE", "base currency of a message that names only one"},
	{"FEED_CHANNELS", "further Redis channels relayed to clients as they are, `news,alerts`"},
	{"FEED_SOURCES", "sources by priority, best first, `main:2s,backup:5s,*`: a later one is taken only while each earlier one has been silent for longer than its limit (default `STALE_AFTER`), by symbol; `*` at the end takes all others, without it they are rejected; the same on all nodes and producers"},
	{"SESSION_COOKIE_NAME", "name of the session cookie"},
	{"SESSION_TTL", "a session ends when it is not used for this long"},
	{"SESSION_ABSOLUTE_TTL", "a session ends after this long in any case"},
	{"SESSION_AUTO_EXTEND", "use extends a session"},
	{"SESSION_GRACE", "how long sockets outlive a lost Redis, since their sessions cannot be checked"},
	{"GUEST_SESSIONS", "anyone may ask for a guest session"},
	{"ROLES", "what each role may do, JSON or the path of a JSON file: `symbols`, `channels`, `modes`, `max_rate`, `max_symbols`, `max_connections`, `rate` (`per_minute`, `per_hour`, `per_day`)"},
	{"RATE_PER_MINUTE", "HTTP requests and WebSocket connects of one user or address"},
	{"RATE_PER_HOUR", "the same, per hour"},
	{"RATE_PER_DAY", "the same, per day"},
	{"RATE_DRY_RUN", "`true` refuses nothing and counts what would have been refused"},
	{"RATE_EXEMPT", "addresses and networks of clients whose requests are not limited"},
	{"RATE_ON_REDIS_DOWN", "without Redis: `local` (the same limits, counted in memory), `allow` or `deny`"},
	{"PUBLISH_RATE_PER_SECOND", "quotes per second of one publish token"},
	{"WS_COMMANDS_PER_SECOND", "commands of one connection"},
	{"WS_MAX_SYMBOLS", "subscriptions of one connection; a wildcard counts as one"},
	{"WS_MAX_CONNECTIONS_PER_USER", "connections of one user, over all nodes"},
	{"WS_HEARTBEAT", "a message at least this often on every connection"},
	{"WS_PING", "a ping this often"},
	{"WS_WRITE_TIMEOUT", "a connection that takes nothing for this long is closed"},
	{"WS_COMPRESSION", "`on`: offer permessage-deflate"},
	{"DRAIN_TIMEOUT", "how long a shutdown may take to move clients away"},
	{"LOG_LEVEL", "`debug`, `info`, `warn` or `error`"},
	{"LOG_FORMAT", "`json` or `text`, on standard error"},
}

// Defaults that depend on something.
var defaultNotes = map[string]string{
	"HTTP_ADDR":      ":8080 (127.0.0.1:8080 when embedded)",
	"GUEST_SESSIONS": "false (true when embedded)",
	"LOG_FORMAT":     "json (text on a terminal)",
	"REDIS_URL":      "embedded",
}

// Setting is one variable as users see it.
type Setting struct {
	Name    string
	Default string // "" if there is none
	Meaning string // may hold `code`
	Secret  bool   // also read from NAME_FILE; its value is never shown
}

// envDefaults returns the default of each env tag of Config by the setting's name.
func envDefaults() map[string]string {
	defaults := map[string]string{}
	config := reflect.TypeFor[Config]()
	for group := range config.Fields() {
		if group.Type.Kind() != reflect.Struct {
			continue
		}
		for f := range group.Type.Fields() {
			if name := f.Tag.Get("env"); name != "" {
				defaults[name] = f.Tag.Get("envDefault")
			}
		}
	}
	return defaults
}

// Names lists the settings in the order in which users read about them.
func Names() (names []string) {
	for _, s := range settings() {
		names = append(names, s.Name)
	}
	return names
}

// Known reports whether a variable is read: a setting, or NAME_FILE of one that is secret.
func Known(variable string) bool {
	base := strings.TrimSuffix(variable, "_FILE")
	return slices.ContainsFunc(settings(), func(s Setting) bool { return s.Name == variable || s.Name == base && s.Secret })
}

// settings lists every setting in the order of meanings.
func settings() []Setting {
	defaults := envDefaults()
	list := make([]Setting, 0, len(meanings))
	for _, m := range meanings {
		d := defaults[m.name]
		if note := defaultNotes[m.name]; note != "" {
			d = note
		}
		list = append(list, Setting{m.name, d, m.text, slices.Contains(secrets, m.name)})
	}
	return list
}

// Write prints every setting with its value, default and meaning.
// environ is what Load made c from.
func Write(w io.Writer, c Config, environ []string) error {
	inEffect := envDefaults() // of what is not set
	inEffect["HTTP_ADDR"] = c.HTTP.Addr
	inEffect["GUEST_SESSIONS"] = strconv.FormatBool(c.Session.Guests)
	if c.HTTP.AdminAddr == "" {
		inEffect["ADMIN_ADDR"] = "off"
	}
	vars := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVALUE\tDEFAULT\tMEANING")
	for _, s := range settings() {
		value := vars[s.Name]
		meaning := strings.ReplaceAll(s.Meaning, "`", "")
		switch {
		case s.Secret:
			value = maskSecret(s.Name, value, vars[s.Name+"_FILE"])
			meaning += "; also " + s.Name + "_FILE"
		case value != "":
			value = shown(s.Name, value)
		default:
			value = orDash(inEffect[s.Name])
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, value, orDash(s.Default), meaning)
	}
	return t.Flush()
}

// maskSecret says that a secret is there; of REDIS_URL it shows what is none.
func maskSecret(name, value, file string) string {
	switch {
	case value == "" && file == "":
		return "unset"
	case value == "":
		return "set by file"
	case name == "REDIS_URL":
		return maskURL(value)
	}
	return "set"
}

// maskURL hides the password, the user too if there is no password (it is then
// often the password), and everything of a text that is not clearly a URL.
func maskURL(text string) string {
	if _, err := ParseRedisURL(text); err != nil {
		return "set, not valid"
	}
	u, err := url.Parse(text)
	if err != nil {
		return "set, not valid"
	}
	user := ""
	if u.User != nil {
		user = "***@"
		if _, ok := u.User.Password(); ok {
			user = url.User(u.User.Username()).String() + ":***@"
		}
	}
	return u.Scheme + "://" + user + u.Host + u.EscapedPath()
}

// shown makes a value that should hold no secret fit for a table, and hides it
// if it holds one by mistake.
func shown(name, value string) string {
	const longest = 80
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, value)
	if strings.Contains(value, "@") || strings.HasPrefix(name, "REDIS_") && strings.Contains(value, "://") {
		return "set, hidden"
	}
	if r := []rune(value); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return value
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Table renders the settings as a markdown table, the one of README.md.
func Table() string {
	var b strings.Builder
	b.WriteString("| name | default | meaning |\n| --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, s := range settings() {
		d := "–"
		if s.Default != "" {
			value, note, _ := strings.Cut(s.Default, " ")
			d = strings.TrimSpace("`" + value + "` " + note)
		}
		name := "`" + s.Name + "`"
		if s.Secret {
			name += " (or `" + s.Name + "_FILE`)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, d, cell.Replace(s.Meaning))
	}
	return b.String()
}
