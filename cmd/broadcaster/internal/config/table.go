package config

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
)

// Names returns the names of the settings, in the order of their documentation.
func Names() (names []string) {
	for _, s := range settings {
		names = append(names, s.name)
	}
	return names
}

// Known reports whether a variable is a setting, or NAME_FILE of a secret one.
func Known(variable string) bool {
	base := strings.TrimSuffix(variable, "_FILE")
	return slices.ContainsFunc(settings, func(s setting) bool { return s.name == variable || s.name == base && s.secret })
}

// Write prints every setting with its value, default and meaning. environ is the environment from
// which Load made c.
func Write(w io.Writer, c Config, environ []string) error {
	vars := variables(environ)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVALUE\tDEFAULT\tMEANING")
	for _, s := range settings {
		value, meaning := vars[s.name], strings.ReplaceAll(s.meaning, "`", "")
		if s.secret {
			value = maskSecret(s.name, value, vars[s.name+"_FILE"])
			meaning += "; also " + s.name + "_FILE"
		} else {
			value = cmp.Or(shown(s.name, s.value(vars, c.Embedded())), s.empty, "-")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.name, value, cmp.Or(s.shown, "-"), meaning)
	}
	return t.Flush()
}

// maskSecret returns a text that shows only whether a secret is set, or the public parts of
// REDIS_URL.
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

// maskURL hides the password of a URL. It also hides a user without a password, who is often the
// password, and any text that is not clearly a URL.
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

// shown formats the value of a setting that is not secret for a table, and hides it if it contains
// a secret by mistake.
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
