package config

import (
	"strings"

	"github.com/fxcast/fxcast/session"
)

func (c *Config) checkSession(k *checker) {
	s := &c.Session
	if strings.HasPrefix(s.CookieName, "__") && c.HTTP.TLSCertFile == "" && len(c.HTTP.Proxies) == 0 {
		c.warn("SESSION_COOKIE_NAME", "browsers accept a cookie of this name over TLS only; set TLS_CERT_FILE, or TRUSTED_PROXIES for a proxy that terminates TLS")
	}
	if !c.Given("GUEST_SESSION_TTL") {
		s.GuestTTL = min(s.GuestTTL, s.TTL)
	} else if s.GuestTTL > s.TTL {
		c.warn("GUEST_SESSION_TTL", "longer than SESSION_TTL, so a full Redis evicts users before guests")
	}
	parse := c.Feed.Instruments.ParsePattern
	if c.Feed.Instruments == nil { // INSTRUMENTS is wrong, so the symbols are unknown
		parse = nil
	}
	roles, err := session.LoadRoles(s.RoleTable, session.RolesConfig{ParsePattern: parse, GuestConnections: s.GuestConnections, Defaults: session.Grants{
		MaxSymbols: c.WS.MaxSymbols, MaxConnections: c.WS.MaxConnectionsPerUser,
		Rate: session.Rate{PerMinute: c.Rate.PerMinute, PerHour: c.Rate.PerHour, PerDay: c.Rate.PerDay},
	}})
	if err != nil {
		k.say("ROLES", err.Error())
	}
	s.Roles = roles
}
