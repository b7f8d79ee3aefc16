package feed

import (
	"fmt"
	"strings"
	"time"
)

// MaxPriorities is how many sources Priorities may name.
const MaxPriorities = 16

// Priority is a source that goes before others.
type Priority struct {
	Source string
	// Silence is how long it must not have been heard before a source after it
	// is taken, in whole milliseconds from 1.
	Silence time.Duration
}

// Priorities decides which of several sources of a symbol is taken. A quote is
// accepted only if every source named before its own has been silent for longer
// than that one's Silence; otherwise it is rejected with ReasonOutranked. So a
// preferred source is back with its first quote.
//
// A source is heard with each quote of the symbol whose time is neither in the
// future nor old, outranked ones included. When it was heard is judged by
// Redis's clock and remembered in Redis, by each symbol alone, so all nodes
// agree; they must all have the same Priorities. A symbol of which a source was
// never heard, or not since Redis lost its data, does not wait for it.
//
// The zero value takes all sources alike.
type Priorities struct {
	Named []Priority // best first, at most MaxPriorities, each source once
	// Others admits sources that are not named, after all that are; they are
	// equal among themselves. Without it they are rejected with ReasonUnlisted.
	Others bool
}

// Check reports Priorities that cannot be used.
func (p Priorities) Check() error {
	if len(p.Named) > MaxPriorities {
		return fmt.Errorf("feed: %d sources with a priority: at most %d", len(p.Named), MaxPriorities)
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

// Admit rejects a quote whose source is not named where it must be.
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
	return reject(ReasonUnlisted, "source %s is none of those that are taken here: %s", source, p.list())
}

// list names the sources, not too many.
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
