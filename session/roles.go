package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Modes of delivery that a role may be granted.
const (
	ModeLatest = protocol.ModeLatest
	ModeAll    = protocol.ModeAll
)

// A Rate limits the HTTP requests and WebSocket upgrades of a subject; 0 = no limit in that tier.
type Rate struct {
	PerMinute int `json:"per_minute"`
	PerHour   int `json:"per_hour"`
	PerDay    int `json:"per_day"`
}

// A Tier is one limit of a Rate.
type Tier struct {
	Name   string // such as "minute"; the field of a role table is "per_minute"
	Max    int    // 0 = no limit
	Window time.Duration
}

// Tiers returns the limits, shortest window first.
func (r Rate) Tiers() []Tier {
	return []Tier{{"minute", r.PerMinute, time.Minute}, {"hour", r.PerHour, time.Hour}, {"day", r.PerDay, 24 * time.Hour}}
}

// Grants are the rights of a role. The slices are shared and must not be changed.
type Grants struct {
	Symbols        []string `json:"symbols"`         // symbols and wildcards: *, EUR/*, */JPY, EUR/USD
	Channels       []string `json:"channels"`        // relayed channels by name, or * for all
	MaxSymbols     int      `json:"max_symbols"`     // subscriptions of one connection
	MaxRate        float64  `json:"max_rate"`        // updates per second and symbol; 0 = every tick
	MaxConnections int      `json:"max_connections"` // of one user over all nodes; 0 = no limit
	Modes          []string `json:"modes"`           // latest, all
	Rate           Rate     `json:"rate"`
}

// Allows reports whether the grants include a subscription to pattern. One granted pattern must
// cover a wildcard entirely. pattern must be canonical, such as EUR/USD, EUR/*, */JPY or *.
func (g Grants) Allows(pattern string) bool {
	if pattern == "*" {
		pattern = "*/*"
	}
	base, quote, ok := strings.Cut(pattern, "/")
	if !ok || base == "" || quote == "" {
		return false
	}
	return slices.ContainsFunc(g.Symbols, func(granted string) bool {
		if granted == "*" {
			return true
		}
		b, q, _ := strings.Cut(granted, "/")
		return (b == "*" || b == base) && (q == "*" || q == quote)
	})
}

// AllowsChannel reports whether the grants include a relayed channel.
func (g Grants) AllowsChannel(name string) bool {
	return slices.Contains(g.Channels, "*") || slices.Contains(g.Channels, name)
}

// AllowsMode reports whether the grants include a mode of delivery. Mode all delivers every tick,
// so a role with a MaxRate cannot use it.
func (g Grants) AllowsMode(mode string) bool {
	return slices.Contains(g.Modes, mode) && (mode != ModeAll || g.MaxRate == 0)
}

// GrantRate returns the granted rate for a requested one, in updates per second and symbol; 0 =
// every tick.
func (g Grants) GrantRate(asked float64) float64 {
	if g.MaxRate > 0 && (asked <= 0 || asked > g.MaxRate) {
		return g.MaxRate
	}
	return asked
}

// Roles is a role table. It never changes, so it is safe for concurrent use.
type Roles struct {
	grants map[string]Grants
}

// RolesConfig holds the settings for reading a role table.
type RolesConfig struct {
	// Defaults are the values of fields that a role leaves out. Symbols, Channels and Modes that are
	// nil mean all.
	Defaults Grants
	// GuestConnections is the default of max_connections for the role guest, whose connections are
	// counted by address; 0 = that of Defaults.
	GuestConnections int
	// ParsePattern returns the canonical form of a symbol or wildcard, or an error; nil = check only
	// the form.
	ParsePattern func(string) (string, error)
}

const maxRoles = 1 << 20 // bytes of a role table

// LoadRoles reads the setting ROLES: JSON if it starts with {, else the name of a file with JSON.
// An empty setting means the roles guest, user, publisher and admin, each with the defaults. A
// table adds roles to these or replaces them. A field that a role leaves out has the default. The
// error wraps ErrInvalid and names the role and the field.
func LoadRoles(setting string, c RolesConfig) (Roles, error) {
	setting = strings.TrimSpace(setting)
	if setting == "" || strings.HasPrefix(setting, "{") {
		return ParseRoles(setting, c)
	}
	f, err := os.Open(setting)
	if err != nil {
		return Roles{}, fmt.Errorf("%w: roles: neither a JSON object nor a readable file: %w", ErrInvalid, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRoles+1))
	if err != nil {
		return Roles{}, fmt.Errorf("%w: roles: %w", ErrInvalid, err)
	}
	return ParseRoles(string(text), c)
}

// ParseRoles reads a role table from JSON text, as LoadRoles does.
func ParseRoles(text string, c RolesConfig) (Roles, error) {
	d := c.Defaults
	if d.Symbols == nil {
		d.Symbols = []string{"*"}
	}
	if d.Channels == nil {
		d.Channels = []string{"*"}
	}
	if d.Modes == nil {
		d.Modes = []string{ModeLatest, ModeAll}
	}
	out := Roles{grants: make(map[string]Grants)}
	guest := d
	if c.GuestConnections > 0 {
		guest.MaxConnections = c.GuestConnections
	}
	out.grants[GuestRole] = guest
	for _, role := range []string{"user", "publisher", "admin"} {
		out.grants[role] = d
	}
	if strings.TrimSpace(text) == "" {
		return out, nil
	}
	if len(text) > maxRoles {
		return Roles{}, fmt.Errorf("%w: roles: longer than %d bytes", ErrInvalid, maxRoles)
	}
	var table map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return Roles{}, fmt.Errorf("%w: roles: not a JSON object of roles: %w", ErrInvalid, err)
	}
	var faults []error
	for role, raw := range table {
		defaults := d
		if role == GuestRole {
			defaults = guest
		}
		g, err := parseGrants(role, raw, defaults, c)
		if err != nil {
			faults = append(faults, fmt.Errorf("roles: %s: %w", role, err))
			continue
		}
		out.grants[role] = g
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return Roles{}, fmt.Errorf("%w: %w", ErrInvalid, errors.Join(faults...))
	}
	return out, nil
}

func parseGrants(role string, raw json.RawMessage, d Grants, c RolesConfig) (Grants, error) {
	if err := checkRole(role); err != nil {
		return Grants{}, err
	}
	if len(raw) == 0 || raw[0] != '{' {
		return Grants{}, errors.New("not a JSON object")
	}
	g := d
	// Clone the lists, since decoding into a shared one would change the defaults.
	g.Symbols, g.Channels, g.Modes = slices.Clone(d.Symbols), slices.Clone(d.Channels), slices.Clone(d.Modes)
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		return Grants{}, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	for i, p := range g.Symbols {
		canonical, err := canonicalPattern(p, c.ParsePattern)
		if err != nil {
			return Grants{}, fmt.Errorf("symbols: %w", err)
		}
		g.Symbols[i] = canonical
	}
	for _, mode := range g.Modes {
		if mode != ModeLatest && mode != ModeAll {
			return Grants{}, fmt.Errorf("modes: %q is neither %s nor %s", cut(mode, 32), ModeLatest, ModeAll)
		}
	}
	counts := map[string]int{"max_symbols": g.MaxSymbols, "max_connections": g.MaxConnections}
	for _, t := range g.Rate.Tiers() {
		counts["rate.per_"+t.Name] = t.Max
	}
	for name, n := range counts {
		if n < 0 {
			return Grants{}, fmt.Errorf("%s: below 0", name)
		}
	}
	if g.MaxRate < 0 || math.IsNaN(g.MaxRate) || math.IsInf(g.MaxRate, 0) {
		return Grants{}, errors.New("max_rate: not a number of 0 or more")
	}
	return g, nil
}

// canonicalPattern returns a pattern in the form that Allows compares.
func canonicalPattern(p string, parse func(string) (string, error)) (string, error) {
	if parse != nil {
		return parse(p)
	}
	base, quote, ok := strings.Cut(strings.ToUpper(p), "/")
	if p == "*" || (ok && base == "*" && quote == "*") {
		return "*", nil
	}
	code := func(s string) bool {
		return s == "*" || len(s) >= 2 && len(s) <= 10 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
	}
	if !ok || !code(base) || !code(quote) {
		return "", fmt.Errorf("%q is not a pattern such as *, EUR/*, */JPY or EUR/USD", cut(p, 32))
	}
	return base + "/" + quote, nil
}

// For returns the grants of a role, and whether the table has it.
func (r Roles) For(role string) (Grants, bool) {
	g, ok := r.grants[role]
	return g, ok
}

// Names returns the names of the roles, sorted. The slice belongs to the caller.
func (r Roles) Names() []string {
	names := make([]string, 0, len(r.grants))
	for name := range r.grants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
