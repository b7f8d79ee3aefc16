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

// maxSymbols bounds how many symbols one request asks for.
const maxSymbols = 200

// SymbolsParameter is what QuerySymbols reads.
var SymbolsParameter = Parameter{Name: "symbols", About: "symbols and wildcards, separated by commas: EUR/USD,GBP/*; without, all", Schema: Object{"type": "string"}}

// QuerySymbols reads ?symbols=; without, it returns the wildcard of all.
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

// A Limit is the parameter ?limit=: how many entries an answer has at most.
type Limit struct {
	Default, Most int
}

// Parameter describes the limit.
func (l Limit) Parameter() Parameter {
	return Parameter{Name: "limit", About: "how many", Schema: Object{"type": "integer", "minimum": 1, "maximum": l.Most, "default": l.Default}}
}

// Read reads the limit of a request.
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

// onlyQuery refuses what a query has beside the known parameters, and what it has twice:
// of a name that is misspelt, or of two users, more would be done than was meant.
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
			return BadRequest("the query can not be read: want name=value, joined by &, with %% before two hexadecimal digits only")
		}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			switch {
			case !slices.ContainsFunc(known, func(p Parameter) bool { return p.Name == name }):
				return BadRequest("unknown query parameter %q; %s", protocol.Clip(name, protocol.MaxEcho), want)
			case len(query[name]) > 1:
				return BadRequest("%s: given %d times in the query, want it once", name, len(query[name]))
			}
		}
		return next(w, r)
	}
}
