package config

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ParseRedisURL is redis.ParseURL with errors that are fit to be shown: the
// original ones quote the URL, and with it the password.
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
