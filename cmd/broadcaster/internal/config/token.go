package config

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/feed"
)

const (
	minToken = 24 // characters of an admin or publish token
	maxToken = 512
)

var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`) // RFC 6750

// AdminTokens are the tokens of the admin API; without one the API answers 403.
type AdminTokens []string

func (tokens *AdminTokens) read(name, text string, k *checker) {
	for _, t := range trimmed(text) {
		if !checkToken(k, name, t) {
			return
		}
		*tokens = append(*tokens, t)
	}
}

// A PublishToken lets its bearer publish quotes. Name is the source of these
// quotes, or empty if the token has none.
type PublishToken struct{ Name, Token string }

// PublishTokens are the tokens for publishing over HTTP, which answers 403 without one.
type PublishTokens []PublishToken

func (tokens *PublishTokens) read(setting, text string, k *checker) {
	for _, entry := range trimmed(text) {
		name, t, named := strings.Cut(entry, ":")
		if !named {
			name, t = "", entry
		} else if name == "" {
			k.say(setting, "want token or name:token, with a name before the colon")
			return
		}
		if !checkToken(k, setting, t) {
			return
		}
		if slices.ContainsFunc(*tokens, func(p PublishToken) bool { return p.Token == t }) {
			k.say(setting, "the same token is listed twice; want another token for each name")
			return
		}
		*tokens = append(*tokens, PublishToken{Name: feed.SourceName(name), Token: t})
	}
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

// GenerateTokens makes an admin and a publish token, unless the kind is configured. It returns the
// new tokens, "" for a configured kind. Embedded mode shows them once on the terminal. They must
// never reach the log.
func (c *Config) GenerateTokens() (admin, publish string) {
	if len(c.HTTP.AdminTokens) == 0 {
		admin = rand.Text()
		c.HTTP.AdminTokens = []string{admin}
	}
	if len(c.HTTP.PublishTokens) == 0 {
		publish = rand.Text()
		c.HTTP.PublishTokens = []PublishToken{{Token: publish}}
	}
	return admin, publish
}
