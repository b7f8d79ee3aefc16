package config

import (
	"net"
	"regexp"
	"strconv"

	"github.com/fxcast/fxcast/feed"
)

// A form describes the valid texts of a setting.
type form struct {
	ok   func(string) bool
	want string
}

// forms has the forms by the value of the tag form.
var forms = map[string]form{
	"prefix":  {regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`).MatchString, "want 1 to 64 of the characters A-Z a-z 0-9 . _ : / -"},
	"channel": {regexp.MustCompile(`^[!-~]{1,128}$`).MatchString, "want channel names of 1 to 128 printable characters without spaces"},
	"key":     {regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,128}$`).MatchString, "want 1 to 128 of the characters A-Z a-z 0-9 . _ : / -"},
	"cookie":  {regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$").MatchString, "want a cookie name: letters, digits, - and _"}, // RFC 6265
	"suffix":  {func(s string) bool { return feed.CheckSuffix(s) == nil }, "want endings of 1 to 16 printable characters without blanks and *"},
	"listen":  {canListen, "want host:port or :port, such as 127.0.0.1:8080 or :8080"},
}

func canListen(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	n, nerr := strconv.Atoi(port)
	return err == nil && nerr == nil && n >= 0 && n <= 65535
}
