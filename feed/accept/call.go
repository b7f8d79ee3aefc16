package accept

import (
	"slices"

	"github.com/fxcast/fxcast/feed"

	"github.com/redis/go-redis/v9"
)

// part is the quotes of one symbol in one call, in order.
type part struct {
	pending []pending
	quotes  []feed.Quote
	sources []string // the distinct sources of quotes
}

// add adds a quote if there is room and reports whether there was.
func (t *part) add(e pending, q feed.Quote) bool {
	source := q.SourceOrDefault()
	if !slices.Contains(t.sources, source) {
		if len(t.sources) == maxCallSources {
			return false
		}
		t.sources = append(t.sources, source)
	}
	t.pending, t.quotes = append(t.pending, e), append(t.quotes, q)
	return true
}

func (t *part) symbol() feed.Symbol { return t.quotes[0].Symbol }

func (t *part) fail(err error) {
	for _, e := range t.pending {
		e.job.fail(err)
	}
}

// call is one run of the publish script, with at most maxCallQuotes.
type call struct {
	parts  []*part
	size   int // quotes of all parts
	answer *redis.Cmd
}

// add adds a quote if there is room and reports whether there was.
func (c *call) add(e pending) bool {
	if c.size == maxCallQuotes {
		return false
	}
	q := e.quote()
	i := slices.IndexFunc(c.parts, func(t *part) bool { return t.symbol() == q.Symbol })
	if i < 0 {
		i = len(c.parts)
		c.parts = append(c.parts, &part{})
	}
	if !c.parts[i].add(e, q) {
		return false
	}
	c.size++
	return true
}

// calls groups quotes into calls of many symbols, or of one symbol each if the symbols are spread
// over the slots of a cluster. Quotes of one symbol keep their order, within a call and across calls.
func calls(quotes []pending, spread bool) []*call {
	var all []*call
	open := map[feed.Symbol]*call{}
	for _, e := range quotes {
		var s feed.Symbol // one group holds all
		if spread {
			s = e.quote().Symbol
		}
		c := open[s]
		if c == nil || !c.add(e) {
			c = &call{}
			open[s] = c
			all = append(all, c)
			c.add(e)
		}
	}
	return all
}
