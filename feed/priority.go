package feed

import (
	"fmt"
	"strings"
	"time"
)

// MaxPriorities is the largest number of sources that Priorities may name.
const MaxPriorities = 16

// Priority is a source that is preferred to later ones.
type Priority struct {
	Source string
	// Silence is how long the source must be silent before a later one is accepted: whole
	// milliseconds, at least one.
	Silence time.Duration
}

// Priorities decides which of several sources of a symbol is accepted. A quote is accepted only if
// every source named before its own has been silent for longer than that source's Silence;
// otherwise it is rejected with ReasonOutranked. So a preferred source is back with its first
// quote.
//
// A source is active with each quote of the symbol whose time is neither in the future nor old,
// even if the quote is outranked. Redis keeps the time of the last such quote for each symbol, by
// its own clock, so all nodes agree. All nodes must have the same Priorities. A source that never
// sent a quote of a symbol, or none since Redis lost its data, is not waited for.
//
// The zero value treats all sources alike.
type Priorities struct {
	Named []Priority // best first, at most MaxPriorities, each source once
	// Others admits sources that are not named. They come after all named ones and are equal among
	// themselves. Without Others they are rejected with ReasonUnlisted.
	Others bool
}

// Check returns an error if p cannot be used.
func (p Priorities) Check() error {
	if len(p.Named) > MaxPriorities {
		return fmt.Errorf("feed: %d sources with a priority; the limit is %d", len(p.Named), MaxPriorities)
	}
	seen := map[string]bool{}
	for _, n := range p.Named {
		if !validSource(n.Source) {
			return fmt.Errorf("feed: priority of %w", sourceRejection(n.Source))
		}
		if n.Silence < time.Millisecond || n.Silence%time.Millisecond != 0 {
			return fmt.Errorf("feed: priority of source %s: its silence %v must be whole milliseconds, at least one", n.Source, n.Silence)
		}
		if seen[n.Source] {
			return fmt.Errorf("feed: priority of source %s: given twice", n.Source)
		}
		seen[n.Source] = true
	}
	return nil
}

// Admit rejects a quote whose source is not named, unless Others admits it.
func (p Priorities) Admit(q Quote) *Rejection {
	if len(p.Named) == 0 || p.Others {
		return nil
	}
	source := q.SourceOrDefault()
	for _, n := range p.Named {
		if n.Source == source {
			return nil
		}
	}
	return reject(ReasonUnlisted, "source %s is not one of the accepted sources: %s", source, p.list())
}

// list returns the names of the first few sources.
func (p Priorities) list() string {
	var names []string
	for i, n := range p.Named {
		if i == 4 {
			return strings.Join(names, ", ") + " and others"
		}
		names = append(names, n.Source)
	}
	return strings.Join(names, ", ")
}
