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
	ApplyRestart = "restart"    // read at the start only
	ApplyByHand  = "by hand"    // CONFIG SET may be forbidden for it, or it holds a secret
)

// Drift is how the running server differs from its configuration file.
type Drift struct {
	File        string       `json:"file"`             // path; empty = not configured
	Compared    int          `json:"compared"`         // settings
	Differences []Difference `json:"differences"`      // by setting; nil: see Missing
	NotCompared []string     `json:"not_compared"`     // directives of the file whose running value cannot be asked
	Includes    []string     `json:"includes"`         // files it includes, which were not read
	Silent      []string     `json:"silent,omitempty"` // nodes that did not answer and are left out
	Missing     string       `json:"missing,omitempty"`
}

// Difference is one setting. Secrets read "set" or "not set".
type Difference struct {
	Setting string `json:"setting"`
	File    string `json:"file"`    // as written; see Default
	Running string `json:"running"` // as the server tells it
	Default bool   `json:"default"` // the file does not name it; File is what Redis takes then
	Meaning string `json:"meaning"` // what the difference does here
	Apply   string `json:"apply"`   // ApplyLive, ApplyRestart or ApplyByHand
	Node    string `json:"node,omitempty"`
}

// Drift compares the file Config.ConfPath with every server. What cannot be
// compared, because no file is configured, it cannot be read, or the server
// does not tell its settings, is said in Missing and is no error.
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
		d.Missing = plain(fmt.Sprintf("%s cannot be read: %v", filepath.Base(a.confPath), err), 300)
		return d, nil
	}
	d.NotCompared, d.Includes = slices.Sorted(slices.Values(file.Added)), file.Includes
	nodes, err := a.nodes(ctx)
	if err != nil {
		return Drift{}, err
	}
	running, faults := make([]map[string]string, len(nodes)), make([]error, len(nodes))
	each(nodes, func(i int, n node) { running[i], faults[i] = n.config(ctx, "*") })
	d.Silent, err = silent(nodes, faults)
	if errors.Is(err, ErrNotOffered) {
		d.Missing = why(err)
		return d, nil
	}
	if err != nil {
		return Drift{}, err
	}
	d.Differences = []Difference{}
	for i, n := range nodes {
		if faults[i] != nil {
			continue
		}
		d.Compared = 0
		for _, one := range file.differences(running[i], &d.Compared) {
			one.Node = n.addr
			d.Differences = append(d.Differences, one)
		}
	}
	return d, nil
}

// differences compares with what CONFIG GET * told, ordered by name.
func (c ConfFile) differences(running map[string]string, compared *int) (list []Difference) {
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		value := strings.Join(c.Values[name], " ")
		now, known := running[name]
		if !known {
			now, known = running[newName(name)]
		}
		if name == "dir" && !filepath.IsAbs(value) {
			continue // it depends on where the server was started
		}
		*compared++
		switch {
		case !known:
			list = append(list, Difference{Setting: name, File: shown(name, value), Running: "unknown setting",
				Meaning: "This server does not know it: it is of another version, or was built without it.", Apply: ApplyByHand})
		case !same(name, c.Values[name], now):
			list = append(list, c.difference(name, value, now))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(confDefaults)) {
		_, given := c.Values[name]
		now, known := running[name]
		if given || !known {
			continue
		}
		*compared++
		if value := confDefaults[name]; !same(name, strings.Fields(value), now) {
			one := c.difference(name, value, now)
			one.Default = true
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Difference) int { return strings.Compare(a.Setting, b.Setting) })
	return list
}

func (c ConfFile) difference(name, value, now string) Difference {
	d := Difference{Setting: name, File: shown(name, value), Running: shown(name, now), Meaning: meaningOf(name), Apply: applyOf(name)}
	switch written, isSize := confBytes(value); {
	case secretSetting(name) && value != "" && now != "":
		d.Running = "set, another one"
	case name == "client-output-buffer-limit":
		d.Running = limitClasses(now, value)
	case isSize && value != strconv.FormatInt(written, 10): // in a unit
		if n, err := strconv.ParseInt(now, 10, 64); err == nil {
			d.Running = confSize(n)
		}
	}
	return d
}

// limitClasses is the part of client-output-buffer-limit for the classes that
// another one names.
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
	return plain(strings.Join(parts, " "), 200)
}

// newName is how later versions call a setting of an old name.
func newName(name string) string {
	if name == "slaveof" {
		return "replicaof"
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "slave", "replica"), "ziplist", "listpack")
}

func secretSetting(name string) bool {
	return name == "requirepass" || strings.HasSuffix(name, "masterauth") || strings.HasSuffix(name, "-pass")
}

// shown is a value as it may be shown.
func shown(name, value string) string {
	switch {
	case secretSetting(name) && value == "":
		return "not set"
	case secretSetting(name):
		return "set"
	case value == "":
		return `""`
	}
	return plain(value, 200)
}

// same reports whether the arguments in a file mean what the server tells.
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

// eventFlags orders the flags of notify-keyspace-events; A stands for several.
func eventFlags(flags string) string {
	flags = strings.ReplaceAll(flags, "A", "g$lshzxetd")
	list := slices.Sorted(slices.Values([]rune(flags)))
	return string(slices.Compact(list))
}

// A outputLimit is one class of client-output-buffer-limit.
type outputLimit struct{ hard, soft, seconds int64 }

// outputLimits reads client-output-buffer-limit; what cannot be read is -1.
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
