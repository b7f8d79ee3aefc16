package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// How a setting can be changed.
const (
	ApplyLive    = "CONFIG SET" // at once
	ApplyRestart = "restart"    // the server reads it at its start only
	ApplyByHand  = "by hand"    // CONFIG SET may be forbidden for it, or it holds a secret
)

// Drift is the difference between the running server and its configuration file.
type Drift struct {
	File        string       `json:"file"`             // path; empty = not configured
	Compared    int          `json:"compared"`         // settings
	Differences []Difference `json:"differences"`      // by setting; nil: see Missing
	NotCompared []string     `json:"not_compared"`     // directives of the file whose running value the server does not report
	Includes    []string     `json:"includes"`         // files that it includes, which were not read
	Silent      []string     `json:"silent,omitempty"` // servers that did not answer and are left out
	Missing     string       `json:"missing,omitempty"`
}

// Difference is one setting. Secrets read "set" or "not set".
type Difference struct {
	Setting string `json:"setting"`
	File    string `json:"file"`    // as written; see Default
	Running string `json:"running"` // as the server reports it
	Default bool   `json:"default"` // the file does not name it; File is Redis's default
	Meaning string `json:"meaning"` // how the difference affects this program
	Apply   string `json:"apply"`   // ApplyLive, ApplyRestart or ApplyByHand
	Node    string `json:"node,omitempty"`
}

// Drift compares the file Config.ConfPath with every server. If no file is configured, the file
// cannot be read, or the server does not report its settings, Missing holds the reason and there
// is no error.
func (a *Admin) Drift(ctx context.Context) (Drift, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d := Drift{File: a.confPath}
	if a.confPath == "" {
		d.Missing = "not configured"
		return d, nil
	}
	file, err := ReadConfFile(a.confPath)
	if err != nil {
		d.Missing = printable(fmt.Sprintf("%s cannot be read: %v", filepath.Base(a.confPath), err), 300)
		return d, nil
	}
	d.NotCompared, d.Includes = slices.Sorted(slices.Values(file.Added)), file.Includes
	servers, err := a.servers(ctx)
	if err != nil {
		return Drift{}, err
	}
	states, errs := make([]serverState, len(servers)), make([]error, len(servers))
	forEach(servers, func(i int, srv server) { states[i], errs[i] = a.state(ctx, srv) })
	d.Silent, err = silentServers(servers, errs)
	if errors.Is(err, ErrNotOffered) {
		d.Missing = reasonOf(err)
		return d, nil
	}
	if err != nil {
		return Drift{}, err
	}
	d.Differences = []Difference{}
	for i, srv := range servers {
		if errs[i] != nil {
			continue
		}
		d.Compared = 0
		for _, one := range file.differences(states[i], &d.Compared) {
			one.Node, one.Meaning = srv.addr, states[i].kind.text(one.Meaning)
			d.Differences = append(d.Differences, one)
		}
	}
	return d, nil
}

// differences compares the file with the settings of a server. It returns the differences
// ordered by name.
func (c ConfFile) differences(s serverState, compared *int) (list []Difference) {
	running, defaults := s.settings, s.kind.defaults()
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		value := strings.Join(c.Values[name], " ")
		now, known := running[name]
		if !known {
			now, known = running[newName(name)]
		}
		if name == "dir" && !filepath.IsAbs(value) {
			continue // relative to the directory in which the server was started
		}
		*compared++
		switch {
		case !known:
			list = append(list, Difference{Setting: name, File: shown(name, value), Running: "unknown setting",
				Meaning: "The server does not know this setting: it has another version, or was built without it.", Apply: ApplyByHand})
		case !same(name, c.Values[name], now):
			list = append(list, c.difference(name, value, now))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		_, given := c.Values[name]
		now, known := running[name]
		if given || !known {
			continue
		}
		*compared++
		if value := defaults[name]; !same(name, strings.Fields(value), now) {
			one := c.difference(name, value, now)
			one.Default = true
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Difference) int { return strings.Compare(a.Setting, b.Setting) })
	return list
}

func (c ConfFile) difference(name, value, now string) Difference {
	d := Difference{Setting: name, File: shown(name, value), Running: shown(name, now), Meaning: explainSetting(name), Apply: applyOf(name)}
	switch written, isSize := confBytes(value); {
	case secretSetting(name) && value != "" && now != "":
		d.Running = "set, to another value"
	case name == "client-output-buffer-limit":
		d.Running = limitClasses(now, value)
	case isSize && value != strconv.FormatInt(written, 10): // with a unit
		if n, err := strconv.ParseInt(now, 10, 64); err == nil {
			d.Running = confSize(n)
		}
	}
	return d
}

// limitClasses returns the part of a client-output-buffer-limit for the classes that other names.
func limitClasses(setting, other string) string {
	named := outputLimits(strings.Fields(other))
	var parts []string
	for part := range slices.Chunk(strings.Fields(setting), 4) {
		if _, ok := named[newName(part[0])]; !ok || len(part) < 4 {
			continue
		}
		for _, size := range part[1:3] {
			if n, err := strconv.ParseInt(size, 10, 64); err == nil {
				part = append(part, confSize(n))
			}
		}
		parts = append(parts, strings.Join([]string{part[0], part[len(part)-2], part[len(part)-1], part[3]}, " "))
	}
	return printable(strings.Join(parts, " "), 200)
}

// newName returns the name of a setting in later versions of Redis.
func newName(name string) string {
	if name == "slaveof" {
		return "replicaof"
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "slave", "replica"), "ziplist", "listpack")
}

func secretSetting(name string) bool {
	return name == "requirepass" || strings.HasSuffix(name, "masterauth") || name == "primaryauth" || strings.HasSuffix(name, "-pass")
}

// shown returns a value without its secret.
func shown(name, value string) string {
	switch {
	case secretSetting(name) && value == "":
		return "not set"
	case secretSetting(name):
		return "set"
	case value == "":
		return `""`
	}
	return printable(value, 200)
}

// same reports whether the arguments in a file mean the running value.
func same(name string, args []string, running string) bool {
	text := strings.Join(args, " ")
	switch name {
	case "notify-keyspace-events":
		return eventFlags(text) == eventFlags(running)
	case "client-output-buffer-limit":
		now := outputLimits(strings.Fields(running))
		for class, limit := range outputLimits(args) {
			if now[class] != limit {
				return false
			}
		}
		return true
	case "save", "bind", "oom-score-adj-values":
		return text == strings.Join(strings.Fields(running), " ")
	}
	if text == running {
		return true
	}
	n, isNumber := confBytes(text)
	m, alsoNumber := confBytes(running)
	if isNumber && alsoNumber {
		return n == m
	}
	if slices.ContainsFunc([]string{"file", "dir", "pass", "auth", "user", "ident", "title", "socket", "name", "tls-"}, func(part string) bool {
		return strings.Contains(name, part)
	}) {
		return false
	}
	return strings.EqualFold(text, running)
}

// eventFlags orders the flags of notify-keyspace-events and expands A.
func eventFlags(flags string) string {
	flags = strings.ReplaceAll(flags, "A", "g$lshzxetd")
	list := slices.Sorted(slices.Values([]rune(flags)))
	return string(slices.Compact(list))
}

// outputLimit is client-output-buffer-limit of one class, as the file writes it.
type outputLimit struct{ hard, soft, seconds int64 }

// outputLimits parses client-output-buffer-limit by class. A number that it cannot parse is -1.
func outputLimits(args []string) map[string]outputLimit {
	limits := map[string]outputLimit{}
	for group := range slices.Chunk(args, 4) {
		l := outputLimit{-1, -1, -1}
		if len(group) == 4 {
			if n, ok := confBytes(group[1]); ok {
				l.hard = n
			}
			if n, ok := confBytes(group[2]); ok {
				l.soft = n
			}
			if n, err := strconv.ParseInt(group[3], 10, 64); err == nil {
				l.seconds = n
			}
		}
		limits[newName(strings.ToLower(group[0]))] = l
	}
	return limits
}
