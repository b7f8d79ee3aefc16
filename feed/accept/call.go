package accept

import (
	"slices"

	"github.com/fxcast/fxcast/feed"

	"github.com/redis/go-redis/v9"
)

// part is the quotes of one symbol in one call, in order.
type part struct {
	pending []pending
	quotes  []*feed.Quote // in pending
	sources []string      // the distinct sources of quotes
	keys    *symbolKeys

	// Where the slices begin: many symbols have one quote each.
	one struct {
		pending [1]pending
		quotes  [1]*feed.Quote
		sources [1]string
	}
}

func newPart() *part {
	t := &part{}
	t.pending, t.quotes, t.sources = t.one.pending[:0], t.one.quotes[:0], t.one.sources[:0]
	return t
}

// add adds a quote if there is room and reports whether there was.
func (t *part) add(e pending, q *feed.Quote) bool {
	source := q.SourceOrDefault()
	known := slices.Contains(t.sources, source)
	if len(t.quotes) == maxCallQuotes || !known && len(t.sources) == maxCallSources {
		return false
	}
	if !known {
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

// parts groups quotes by symbol. Quotes of one symbol keep their order, within a part and across
// parts.
func parts(quotes []pending) []*part {
	var all []*part
	open := map[feed.Symbol]*part{}
	for _, e := range quotes {
		q := e.quote()
		t := open[q.Symbol]
		if t == nil || !t.add(e, q) {
			t = newPart()
			open[q.Symbol] = t
			all = append(all, t)
			t.add(e, q)
		}
	}
	return all
}

// call is one run of the publish script, with at most maxCallQuotes.
type call struct {
	parts  []*part
	size   int // quotes of all parts
	answer *redis.Cmd

	askedAt string // where the keys are, by the answer; "" = there was another answer
}

// calls puts quotes into calls: of many symbols, or of one symbol each if the symbols are spread over
// the slots of a cluster. Quotes of one symbol keep their order. They stay together as far as they
// fit, since each symbol of a call costs more than each quote.
func calls(quotes []pending, spread bool) []*call {
	var all []*call
	for _, t := range parts(quotes) {
		if len(all) == 0 || spread || all[len(all)-1].size+len(t.quotes) > maxCallQuotes {
			all = append(all, &call{})
		}
		last := all[len(all)-1]
		last.parts, last.size = append(last.parts, t), last.size+len(t.quotes)
	}
	return all
}
