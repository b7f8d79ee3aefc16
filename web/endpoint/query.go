package endpoint

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// maxSymbols bounds the symbols and wildcards of one request.
const maxSymbols = 200

// SymbolsParameter describes the parameter that QuerySymbols reads.
var SymbolsParameter = Parameter{Name: "symbols", About: "symbols and wildcards, separated by commas: EUR/USD,GBP/*; default: all", Schema: Object{"type": "string"}}

// QuerySymbols returns the symbols and wildcards of ?symbols=, at most 200, or "*" if the
// request names none. An invalid one is a Problem (400).
func QuerySymbols(r *http.Request, instruments *feed.Instruments) ([]string, error) {
	var patterns []string
	for _, list := range r.URL.Query()["symbols"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			p, err := instruments.ParsePattern(name)
			if err != nil {
				return nil, BadRequest("symbols: %v", err)
			}
			if patterns = append(patterns, p); len(patterns) > maxSymbols {
				return nil, BadRequest("symbols: at most %d symbols and wildcards in one request", maxSymbols)
			}
		}
	}
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	return patterns, nil
}

// A Limit is the parameter ?limit=, the largest number of entries in an answer.
type Limit struct {
	Default, Most int
}

// Parameter returns the description of the limit.
func (l Limit) Parameter() Parameter {
	return Parameter{Name: "limit", About: "the largest number of entries", Schema: Object{"type": "integer", "minimum": 1, "maximum": l.Most, "default": l.Default}}
}

// Read returns the limit of a request, or Default if it has none. Anything but 1 to Most is a
// Problem (400).
func (l Limit) Read(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return l.Default, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > l.Most {
		return 0, BadRequest("limit: want 1 to %d", l.Most)
	}
	return n, nil
}

// onlyQuery refuses an unknown parameter in the query, and one that is given twice. With a
// misspelled filter, or with two users, a request would change more than its sender meant.
func onlyQuery(known []Parameter, next Handler) Handler {
	want := "want none"
	if len(known) > 0 {
		names := make([]string, len(known))
		for i, p := range known {
			names[i] = p.Name
		}
		want = "want " + strings.Join(names, ", ")
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return BadRequest("the query cannot be read: want name=value pairs joined by &, and two hexadecimal digits after each %%")
		}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			switch {
			case !slices.ContainsFunc(known, func(p Parameter) bool { return p.Name == name }):
				return BadRequest("unknown query parameter %q; %s", protocol.Clip(name, protocol.MaxEcho), want)
			case len(query[name]) > 1:
				return BadRequest("%s: given %d times in the query; want it once", name, len(query[name]))
			}
		}
		return next(w, r)
	}
}
