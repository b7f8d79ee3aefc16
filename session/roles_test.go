package session_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/session"
)

func TestRoleDefaults(t *testing.T) {
	roles, err := session.LoadRoles("", session.RolesConfig{Defaults: session.Grants{MaxSymbols: 200, MaxConnections: 20, Rate: session.Rate{PerMinute: 60}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := roles.Names(); !slices.Equal(got, []string{"admin", "guest", "publisher", "user"}) {
		t.Errorf("roles %q", got)
	}
	g, ok := roles.For("guest")
	if !ok || !g.Allows("*") || !g.AllowsChannel("news") || !g.AllowsMode("all") || !g.AllowsMode("latest") || g.AllowsMode("x") ||
		g.GrantRate(0) != 0 || g.GrantRate(7.5) != 7.5 || g.MaxSymbols != 200 || g.MaxConnections != 20 || g.Rate.PerMinute != 60 {
		t.Errorf("guest gets %+v", g)
	}
	if _, ok := roles.For("nobody"); ok {
		t.Error("an unknown role has grants")
	}
}

func TestRoleTable(t *testing.T) {
	const text = `{
		"guest": {"symbols": ["eur/usd", "*/JPY"], "channels": [], "max_symbols": 5, "max_rate": 2, "max_connections": 1, "modes": ["latest", "all"], "rate": {"per_minute": 6}},
		"desk":  {"symbols": ["GBP/*"]}
	}`
	file := filepath.Join(t.TempDir(), "roles.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{text, file} {
		roles, err := session.LoadRoles(setting, session.RolesConfig{Defaults: session.Grants{MaxSymbols: 200, Rate: session.Rate{PerMinute: 60, PerHour: 1000}}})
		if err != nil {
			t.Fatal(err)
		}
		g, _ := roles.For("guest")
		for pattern, want := range map[string]bool{
			"EUR/USD": true, "EUR/JPY": true, "*/JPY": true, "GBP/USD": false, "*": false, "EUR/*": false, "*/USD": false, "*/*": false,
			"": false, "EURUSD": false, "/": false, "EUR/": false, "/JPY": false, "EUR/USD/X": false,
		} {
			if got := g.Allows(pattern); got != want {
				t.Errorf("guest allows %q: %v", pattern, got)
			}
		}
		if g.AllowsChannel("news") || g.AllowsMode("all") || !g.AllowsMode("latest") || g.GrantRate(0) != 2 || g.GrantRate(9) != 2 || g.GrantRate(1) != 1 {
			t.Errorf("guest %+v", g)
		}
		if g.Rate != (session.Rate{PerMinute: 6, PerHour: 1000}) {
			t.Errorf("guest rate %+v: what is left out has the default", g.Rate)
		}
		d, ok := roles.For("desk")
		if !ok || !d.Allows("GBP/*") || !d.Allows("GBP/USD") || d.Allows("*/USD") || d.MaxSymbols != 200 || !d.AllowsMode("all") {
			t.Errorf("desk %+v", d)
		}
		if u, _ := roles.For("user"); !u.Allows("*") || u.MaxSymbols != 200 {
			t.Errorf("user %+v", u)
		}
	}
}

func TestBadRoleTables(t *testing.T) {
	for text, name := range map[string]string{
		`{`:                                      "not a JSON object",
		`{"guest": 7}`:                           "guest: not a JSON object",
		`{"guest": {"symbol": []}}`:              `unknown field "symbol"`,
		`{"guest": {"rate": {"per_second": 1}}}`: `unknown field "per_second"`,
		`{"guest": {"symbols": ["EUR"]}}`:        `guest: symbols: "EUR"`,
		`{"guest": {"symbols": "*"}}`:            "symbols",
		`{"guest": {"modes": ["fast"]}}`:         `modes: "fast"`,
		`{"guest": {"max_rate": -1}}`:            "max_rate",
		`{"guest": {"max_symbols": -1}}`:         "max_symbols",
		`{"guest": {"rate": {"per_day": -1}}}`:   "rate.per_day",
		`{"no role": {}}`:                        "no role: role: only letters",
		`/does/not/exist`:                        "readable file",
	} {
		_, err := session.LoadRoles(text, session.RolesConfig{})
		if !errors.Is(err, session.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v; want it to name %s", text, err, name)
		}
	}
	parse := func(p string) (string, error) { return "", errors.New("unknown currency " + p) }
	if _, err := session.LoadRoles(`{"guest":{"symbols":["FOO/*"]}}`, session.RolesConfig{ParsePattern: parse}); err == nil || !strings.Contains(err.Error(), "FOO/*") {
		t.Error(err)
	}
}
