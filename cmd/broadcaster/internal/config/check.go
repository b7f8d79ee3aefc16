package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/session"
)

const (
	minToken = 24 // characters of an admin or publish token
	maxToken = 512
)

var (
	sourceName = regexp.MustCompile(`^[a-z0-9_.-]{1,32}$`)
	token68    = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`) // RFC 6750
	keyPrefix  = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)
	channel    = regexp.MustCompile(`^[!-~]{1,128}$`)
	cookieName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$") // RFC 6265
)

// checker collects faults. A variable that could not even be parsed is not
// judged a second time.
type checker struct {
	faults Faults
	judged map[string]bool
}

func (k *checker) fault(name, value, want string) {
	if !k.judged[name] {
		k.faults = append(k.faults, fault(name, value, want))
	}
}

// say is fault for what has no value to show.
func (k *checker) say(name, text string) {
	if !k.judged[name] {
		k.faults = append(k.faults, name+": "+text)
	}
}

func (k *checker) number(name string, v, low, high int) {
	if v < low || v > high {
		k.fault(name, strconv.Itoa(v), fmt.Sprintf("want a whole number from %d to %d", low, high))
	}
}

func (k *checker) duration(name string, v, low, high time.Duration) {
	if v < low || v > high {
		k.fault(name, v.String(), fmt.Sprintf("want a duration from %v to %v", low, high))
	}
}

func (k *checker) oneOf(name, v string, allowed ...string) {
	if !slices.Contains(allowed, v) {
		k.fault(name, v, "want one of "+strings.Join(allowed, ", "))
	}
}

func (k *checker) match(name, v string, re *regexp.Regexp, want string) {
	if !re.MatchString(v) {
		k.fault(name, v, want)
	}
}

func (k *checker) listen(name, addr string) {
	_, port, err := net.SplitHostPort(addr)
	n, nerr := strconv.Atoi(port)
	if err != nil || nerr != nil || n < 0 || n > 65535 {
		k.fault(name, addr, "want host:port or :port, such as 127.0.0.1:8080 or :8080")
	}
}

// check judges what parsing cannot, and fills in the resolved values. found
// are the faults so far.
func (c *Config) check(found Faults) Faults {
	k := &checker{judged: map[string]bool{}}
	for _, f := range found {
		name, _, _ := strings.Cut(f, ":")
		k.judged[strings.TrimSuffix(name, "_FILE")] = true
	}
	c.checkRedis(k)
	c.checkHTTP(k)
	c.checkFeed(k)
	c.checkLimits(k)
	return k.faults
}

func (c *Config) checkRedis(k *checker) {
	r := &c.Redis
	r.Addrs = trimmed(r.Addrs)
	k.oneOf("REDIS_MODE", r.Mode, "standalone", "sentinel", "cluster")
	k.number("REDIS_PORT", r.Port, 1, 65535)
	k.number("REDIS_DB", r.DB, 0, 1<<20)
	k.number("REDIS_MAX_CONNECTIONS", r.MaxConnections, 1, 10000)
	k.match("REDIS_PREFIX", r.Prefix, keyPrefix, "want 1 to 64 of the characters A-Z a-z 0-9 . _ : / -")
	for _, other := range []string{"session:", "ratelimit:", "cache:"} {
		if strings.HasPrefix(r.Prefix, other) || strings.HasPrefix(other, r.Prefix) {
			k.fault("REDIS_PREFIX", r.Prefix, "want a prefix that does not overlap with the keys "+other+"…")
		}
	}
	if r.URL != "" {
		if _, err := ParseRedisURL(r.URL); err != nil {
			k.say("REDIS_URL", err.Error())
		}
	}
	// Values are not shown: a URL with a password may be here by mistake.
	if strings.Contains(r.Host, "://") || strings.ContainsAny(r.Host, " @?#\t") {
		k.say("REDIS_HOST", "want a host name, an IP address or the path of a socket; a URL belongs in REDIS_URL")
	} else if strings.Count(r.Host, ":") == 1 {
		k.fault("REDIS_HOST", r.Host, "want a host without port; the port belongs in REDIS_PORT")
	}
	for _, a := range r.Addrs {
		host, port, err := net.SplitHostPort(a)
		n, nerr := strconv.Atoi(port)
		if err != nil || host == "" || nerr != nil || n < 1 || n > 65535 {
			k.say("REDIS_ADDRS", "want a comma list of host:port")
			break
		}
	}
	switch r.Mode {
	case "standalone":
		if len(r.Addrs) > 1 {
			k.say("REDIS_ADDRS", "several addresses need REDIS_MODE=sentinel or REDIS_MODE=cluster")
		}
	case "sentinel":
		if len(r.Addrs) == 0 {
			k.say("REDIS_ADDRS", "REDIS_MODE=sentinel needs the sentinels' addresses, a comma list of host:port")
		}
		if r.MasterName == "" {
			k.say("REDIS_MASTER_NAME", "REDIS_MODE=sentinel needs the name of the master, such as mymaster")
		}
	case "cluster":
		if c.Embedded() {
			k.say("REDIS_ADDRS", "REDIS_MODE=cluster needs the address of at least one node, a comma list of host:port")
		}
		if r.DB != 0 {
			k.fault("REDIS_DB", strconv.Itoa(r.DB), "want 0: a cluster has no other database")
		}
	}
	if c.Embedded() {
		k.listen("EMBEDDED_REDIS_ADDR", r.EmbeddedAddr)
		for _, name := range []string{"REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB"} {
			if c.given[name] {
				c.Warnings = append(c.Warnings, name+": no effect without REDIS_URL or REDIS_HOST; the embedded Redis is used")
			}
		}
	}
}

func (c *Config) checkHTTP(k *checker) {
	h := &c.HTTP
	k.listen("HTTP_ADDR", h.Addr)
	if h.AdminAddr != "" {
		k.listen("ADMIN_ADDR", h.AdminAddr)
		if h.AdminAddr == h.Addr && !strings.HasSuffix(h.Addr, ":0") {
			k.fault("ADMIN_ADDR", h.AdminAddr, "want another address than HTTP_ADDR: the admin API is never on the public listener")
		}
	}
	h.AdminTokens = nil
	for _, t := range trimmed(strings.Split(h.AdminToken, ",")) {
		if !checkToken(k, "ADMIN_TOKEN", t) {
			break
		}
		h.AdminTokens = append(h.AdminTokens, t)
	}
	h.PublishTokens = nil
	for _, entry := range trimmed(strings.Split(h.PublishToken, ",")) {
		name, t, named := strings.Cut(entry, ":")
		if !named {
			name, t = "", entry
		} else if !sourceName.MatchString(name) {
			k.say("PUBLISH_TOKEN", "want token or name:token, with a name of 1 to 32 of the characters a-z 0-9 _ . -")
			break
		}
		if !checkToken(k, "PUBLISH_TOKEN", t) {
			break
		}
		if slices.ContainsFunc(h.PublishTokens, func(p PublishToken) bool { return p.Token == t }) {
			k.say("PUBLISH_TOKEN", "the same token is listed twice; want another token for each name")
			break
		}
		h.PublishTokens = append(h.PublishTokens, PublishToken{Name: name, Token: t})
	}
	h.AllowedOrigins = trimmed(h.AllowedOrigins)
	for i, o := range h.AllowedOrigins {
		o = strings.ToLower(o)
		h.AllowedOrigins[i] = o
		host := o
		if scheme, rest, ok := strings.Cut(o, "://"); ok {
			host = rest
			k.oneOf("ALLOWED_ORIGINS", scheme, "http", "https")
		}
		if _, err := path.Match(o, ""); err != nil || host == "" || strings.ContainsAny(host, "/@ ") || o == "null" {
			k.fault("ALLOWED_ORIGINS", o, "want a comma list of origins without path, such as https://app.example.com or https://*.example.com")
		}
		if host == "*" {
			c.Warnings = append(c.Warnings, "ALLOWED_ORIGINS: * lets the pages of every site use this server")
		}
	}
	h.Proxies = k.networks("TRUSTED_PROXIES", h.TrustedProxies)
	for _, p := range h.Proxies {
		if p.Bits() == 0 {
			c.Warnings = append(c.Warnings, "TRUSTED_PROXIES: "+p.String()+" lets every client choose its own address")
		}
	}
	switch {
	case h.TLSCertFile == "" && h.TLSKeyFile == "":
	case h.TLSCertFile == "":
		k.say("TLS_CERT_FILE", "missing; TLS_KEY_FILE is set and both are needed")
	case h.TLSKeyFile == "":
		k.say("TLS_KEY_FILE", "missing; TLS_CERT_FILE is set and both are needed")
	default:
		if _, err := tls.LoadX509KeyPair(h.TLSCertFile, h.TLSKeyFile); err != nil {
			k.say("TLS_CERT_FILE", "the certificate and TLS_KEY_FILE do not load: "+err.Error())
		}
	}
}

// networks reads a comma list of addresses and networks.
func (k *checker) networks(name string, list []string) (networks []netip.Prefix) {
	for _, s := range trimmed(list) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p, err = a.WithZone("").Prefix(a.BitLen())
			}
		}
		if err != nil {
			k.fault(name, s, "want a comma list of addresses or networks, such as 10.0.0.0/8 or 192.0.2.7")
			continue
		}
		networks = append(networks, p.Masked())
	}
	return networks
}

func checkToken(k *checker, name, token string) bool {
	switch {
	case len(token) < minToken || len(token) > maxToken:
		k.say(name, fmt.Sprintf("want tokens of %d to %d characters, got one of %d", minToken, maxToken, len(token)))
	case !token68.MatchString(token):
		k.say(name, "want tokens of the characters A-Z a-z 0-9 . _ ~ + / - only, with = at the end at most")
	default:
		return true
	}
	return false
}

func (c *Config) checkFeed(k *checker) {
	f := &c.Feed
	k.duration("QUOTE_TTL", f.QuoteTTL, 100*time.Millisecond, 366*24*time.Hour)
	k.duration("STALE_AFTER", f.StaleAfter, 10*time.Millisecond, 366*24*time.Hour)
	if f.StaleAfter >= f.QuoteTTL && c.given["STALE_AFTER"] {
		c.Warnings = append(c.Warnings, "STALE_AFTER: not shorter than QUOTE_TTL, so a symbol is gone before it is marked stale")
	}
	k.number("HISTORY_TICKS", f.HistoryTicks, 1, 1_000_000)
	f.Base = strings.ToUpper(f.Base)
	if p, err := feed.ParsePattern(f.Base + "/*"); err != nil || p != f.Base+"/*" {
		k.fault("FEED_BASE", f.Base, "want a currency code of three letters, such as EUR")
	}
	f.Channels = trimmed(f.Channels)
	own := func(name, ch string) {
		k.match(name, ch, channel, "want channel names of 1 to 128 printable characters without spaces")
		if strings.HasPrefix(ch, c.Redis.Prefix) || strings.HasPrefix(ch, "__") {
			k.fault(name, ch, fmt.Sprintf("want a channel that begins neither with %q (REDIS_PREFIX) nor with __", c.Redis.Prefix))
		}
	}
	own("FEED_INBOX", f.Inbox)
	for i, ch := range f.Channels {
		own("FEED_CHANNELS", ch)
		if slices.Contains(f.Channels[:i], ch) {
			k.fault("FEED_CHANNELS", ch, "want each channel once")
		}
	}
	f.checkSources(k)
}

// checkSources reads FEED_SOURCES. A source without a limit has STALE_AFTER:
// when its symbol would be marked stale, those after it may step in.
func (f *Feed) checkSources(k *checker) {
	const name, form = "FEED_SOURCES", "want a comma list of different sources, best first, as name or name:silence, such as main:2s,backup, with * at the end for all others"
	f.Sources = feed.Priorities{}
	entries := trimmed(f.SourceList)
	if n := len(entries); n > 0 && entries[n-1] == "*" {
		f.Sources.Others = true
		entries = entries[:n-1]
	}
	if len(entries) > feed.MaxPriorities {
		k.fault(name, strconv.Itoa(len(entries)), fmt.Sprintf("want at most %d sources", feed.MaxPriorities))
		return
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		source, limit, limited := strings.Cut(entry, ":")
		silence := max(f.StaleAfter.Truncate(time.Millisecond), time.Millisecond)
		var err error
		if limited {
			silence, err = time.ParseDuration(limit)
		}
		switch {
		case source == "*":
			k.fault(name, entry, "want * at the end only and without a time: it stands for all sources that are not named")
		case !sourceName.MatchString(source) || err != nil:
			k.fault(name, entry, form)
		case seen[source]:
			k.fault(name, entry, "want each source once")
		case silence < time.Millisecond || silence > 24*time.Hour || silence%time.Millisecond != 0:
			k.fault(name, entry, "want a silence from 1ms to 24h in whole milliseconds")
		default:
			seen[source] = true
			f.Sources.Named = append(f.Sources.Named, feed.Priority{Source: source, Silence: silence})
		}
	}
}

func (c *Config) checkLimits(k *checker) {
	const longest = 366 * 24 * time.Hour
	s := &c.Session
	k.match("SESSION_COOKIE_NAME", s.CookieName, cookieName, "want a cookie name: letters, digits, - and _")
	if strings.HasPrefix(s.CookieName, "__") && c.HTTP.TLSCertFile == "" && len(c.HTTP.Proxies) == 0 {
		c.Warnings = append(c.Warnings, "SESSION_COOKIE_NAME: browsers take a cookie of this name over TLS only; set TLS_CERT_FILE, or TRUSTED_PROXIES for a proxy that ends TLS")
	}
	k.duration("SESSION_TTL", s.TTL, time.Second, longest)
	k.duration("SESSION_ABSOLUTE_TTL", s.AbsoluteTTL, time.Second, longest)
	k.duration("SESSION_GRACE", s.Grace, time.Second, 24*time.Hour)
	roles, err := session.LoadRoles(s.RoleTable, session.RolesConfig{ParsePattern: feed.ParsePattern, Defaults: session.Grants{
		MaxSymbols: c.WS.MaxSymbols, MaxConnections: c.WS.MaxConnectionsPerUser,
		Rate: session.Rate{PerMinute: c.Rate.PerMinute, PerHour: c.Rate.PerHour, PerDay: c.Rate.PerDay},
	}})
	if err != nil {
		k.say("ROLES", err.Error())
	}
	s.Roles = roles

	const most = 1_000_000_000
	k.number("RATE_PER_MINUTE", c.Rate.PerMinute, 1, most)
	k.number("RATE_PER_HOUR", c.Rate.PerHour, 1, most)
	k.number("RATE_PER_DAY", c.Rate.PerDay, 1, most)
	k.number("PUBLISH_RATE_PER_SECOND", c.Rate.PublishPerSecond, 1, most)
	c.Rate.Exempt = k.networks("RATE_EXEMPT", c.Rate.ExemptList)
	k.oneOf("RATE_ON_REDIS_DOWN", c.Rate.OnRedisDown, "local", "allow", "deny")

	w := &c.WS
	k.number("WS_COMMANDS_PER_SECOND", w.CommandsPerSecond, 1, 1_000_000)
	k.number("WS_MAX_SYMBOLS", w.MaxSymbols, 1, 100_000)
	k.number("WS_MAX_CONNECTIONS_PER_USER", w.MaxConnectionsPerUser, 1, 1_000_000)
	k.duration("WS_HEARTBEAT", w.Heartbeat, 10*time.Millisecond, time.Hour)
	k.duration("WS_PING", w.Ping, 10*time.Millisecond, time.Hour)
	k.duration("WS_WRITE_TIMEOUT", w.WriteTimeout, 10*time.Millisecond, time.Hour)
	k.duration("DRAIN_TIMEOUT", w.DrainTimeout, 0, time.Hour)
	k.oneOf("WS_COMPRESSION", w.CompressionMode, "off", "on")
	w.Compression = w.CompressionMode == "on"

	if c.Log.Format != "" {
		k.oneOf("LOG_FORMAT", c.Log.Format, "json", "text")
	}
}

// trimmed removes blanks around the entries of a comma list, and empty ones.
func trimmed(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
