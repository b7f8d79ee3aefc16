package config

import (
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// serviceLink matches variables that container platforms set for a service named redis or http.
// They resemble settings.
var serviceLink = regexp.MustCompile(`^[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP)(_[A-Z]+)?|ENV_.*)$`)

// families has the tag family of each part: prefixes of variables that are most likely meant for
// the broadcaster.
var families = familyTags(reflect.TypeFor[Config]())

func familyTags(config reflect.Type) (prefixes []string) {
	for part := range config.Fields() {
		prefixes = append(prefixes, trimmed(part.Tag.Get("family"))...)
	}
	return prefixes
}

// Names that resemble settings but belong to other programs.
var foreign = []string{
	"SSL_CERT_FILE", "SSL_CERT_DIR", // read by Go itself
	"SESSION_MANAGER", "REDIS_VERSION", "REDIS_DOWNLOAD_URL", "REDIS_DOWNLOAD_SHA", "REDIS_NAME",
}

// Names that other programs have for settings, where letters do not show the likeness.
var renamed = map[string]string{"REDIS_POOL_SIZE": "REDIS_MAX_CONNECTIONS", "REDIS_USER": "REDIS_USERNAME", "REDIS_DATABASE": "REDIS_DB"}

// hints returns warnings of variables that resemble a setting. They are not faults, because other
// programs may need such variables. It ignores values.
func hints(vars map[string]string) []string {
	known := Names()
	var out []string
	for name := range vars {
		if text := hint(name, known); text != "" {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}

// hint returns "" for a name that is a setting or does not resemble one.
func hint(name string, known []string) string {
	if slices.Contains(foreign, name) || serviceLink.MatchString(name) ||
		strings.HasPrefix(name, "FXCAST_") { // such as FXCAST_DATA, which tests read
		return ""
	}
	if Known(name) {
		return ""
	}
	if base, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(known, base) {
		return name + ": not a setting; only " + strings.Join(secrets, ", ") + " can be read from a file"
	}
	upper := strings.ToUpper(name)
	for _, p := range []string{"", "FX_", "BROADCASTER_"} {
		if rest, ok := strings.CutPrefix(upper, p); ok && slices.Contains(known, rest) {
			return name + ": not a setting, did you mean " + rest + "?"
		}
	}
	if other := renamed[name]; other != "" {
		return name + ": not a setting, did you mean " + other + "?"
	}
	candidates := slices.Clone(known)
	if strings.HasSuffix(upper, "_FILE") {
		for _, s := range secrets {
			candidates = append(candidates, s+"_FILE")
		}
	}
	best, distance := Nearest(upper, candidates)
	// A short name may have one slip, a long one two.
	if distance == 1 && len(name) >= 4 || distance == 2 && len(name) >= 8 {
		return name + ": not a setting, did you mean " + best + "?"
	}
	for _, p := range families {
		if !strings.HasPrefix(name, p) {
			continue
		}
		family := slices.DeleteFunc(candidates, func(k string) bool { return !strings.HasPrefix(k, p) })
		if i := slices.IndexFunc(family, func(k string) bool { return strings.HasPrefix(k, name+"_") }); i >= 0 {
			return name + ": not a setting, did you mean " + family[i] + "?"
		}
		if best, distance := Nearest(name, family); distance <= len(name)/3+1 {
			return name + ": not a setting, did you mean " + best + "?"
		}
		return name + ": not a setting; `broadcaster config` lists them all"
	}
	return ""
}

// Nearest returns the candidate with the fewest slips, and their number.
func Nearest(name string, candidates []string) (best string, distance int) {
	distance = math.MaxInt
	for _, k := range candidates {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	return best, distance
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbors that turn a
// into b (optimal string alignment).
func editDistance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
