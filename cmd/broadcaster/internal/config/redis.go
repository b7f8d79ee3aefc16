package config

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

func (c *Config) checkRedis(k *checker) {
	r := &c.Redis
	for _, other := range []string{"session:", "ratelimit:", "cache:"} {
		if strings.HasPrefix(r.Prefix, other) || strings.HasPrefix(other, r.Prefix) {
			k.fault("REDIS_PREFIX", r.Prefix, "want a prefix that does not overlap with the keys "+other+"…")
		}
	}
	if r.URL != "" {
		if _, err := ParseRedisURL(r.URL); err != nil {
			k.say("REDIS_URL", err.Error())
			k.unread["REDIS_URL"] = true
		}
	}
	// Faults leave out the value: it may be a URL with a password by mistake.
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
	c.checkRedisTLS(k)
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
		if listen := forms["listen"]; !listen.ok(r.EmbeddedAddr) {
			k.fault("EMBEDDED_REDIS_ADDR", r.EmbeddedAddr, listen.want)
		}
		for _, name := range []string{"REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB"} {
			if c.given[name] {
				c.warn(name, "no effect without REDIS_URL or REDIS_HOST; the embedded Redis is used")
			}
		}
	}
}

// ParseRedisURL calls redis.ParseURL, but returns errors of its own: those of redis.ParseURL quote
// the URL, and with it the password.
func ParseRedisURL(text string) (*redis.Options, error) {
	const want = "want redis://user:password@host:port/db, rediss://… (TLS) or unix:///path/to/socket"
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL: " + want + "; special characters in the password must be percent-encoded")
	}
	if !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, errors.New("unknown kind of URL: " + want)
	}
	if u.Opaque != "" || u.Fragment != "" || u.Scheme != "unix" && u.Host == "" {
		return nil, errors.New("not complete: " + want + "; special characters in the password must be percent-encoded")
	}
	if path := strings.Trim(u.Path, "/"); u.Scheme != "unix" && path != "" {
		if n, err := strconv.Atoi(path); err != nil || n < 0 {
			return nil, errors.New("the path must be the number of a database, such as /0: " + want)
		}
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, errors.New("the port must be a number from 1 to 65535: " + want)
		}
	}
	o, err := redis.ParseURL(text)
	if err != nil {
		return nil, errors.New("an option after ? is unknown or not valid: " + want)
	}
	return o, nil
}
