package producer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fxcast/fxcast/feed"
)

// tally counts the outcomes of a producer's quotes. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex // guards counts
	counts tallyCounts
}

type tallyCounts struct {
	made, accepted, bad, skipped, dropped, unsent, unknown, files uint64 // files: unreadable ones, entirely or from some line on
	unreplicated                                                  uint64 // of the accepted ones
	reports                                                       uint64 // lines of a pipe that were no quotes
	rejected                                                      map[feed.Reason]uint64
}

func newTally() *tally { return &tally{counts: tallyCounts{rejected: map[feed.Reason]uint64{}}} }

func (t *tally) change(f func(*tallyCounts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.counts)
}

func (t *tally) made(n int)             { t.change(func(c *tallyCounts) { c.made += uint64(n) }) }
func (t *tally) skipped()               { t.change(func(c *tallyCounts) { c.skipped++ }) }
func (t *tally) file()                  { t.change(func(c *tallyCounts) { c.files++ }) }
func (t *tally) dropped(n int)          { t.change(func(c *tallyCounts) { c.dropped += uint64(n) }) }
func (t *tally) unsent(n int)           { t.change(func(c *tallyCounts) { c.unsent += uint64(n) }) }
func (t *tally) rejected(r feed.Reason) { t.change(func(c *tallyCounts) { c.rejected[r]++ }) }

func (t *tally) published(accepted, unreplicated, unknown int) {
	t.change(func(c *tallyCounts) {
		c.unreplicated += uint64(unreplicated)
		c.accepted += uint64(accepted)
		c.unknown += uint64(unknown)
	})
}

// badLine counts a bad line and returns how many there have been.
func (t *tally) badLine() (n uint64) {
	t.change(func(c *tallyCounts) { c.bad++; n = c.bad })
	return n
}

// reported counts a line that was no quote and returns how many there have been.
func (t *tally) reported() (n uint64) {
	t.change(func(c *tallyCounts) { c.reports++; n = c.reports })
	return n
}

func (t *tally) snapshot() (c tallyCounts) {
	t.change(func(now *tallyCounts) {
		c = *now
		c.rejected = maps.Clone(now.rejected)
	})
	return c
}

// refused returns the number of rejected quotes, for all reasons.
func (c tallyCounts) refused() (n uint64) {
	for _, count := range c.rejected {
		n += count
	}
	return n
}

// text lists all counts, the rare ones only if they are not zero. made is the word for the origin
// of the quotes.
func (c tallyCounts) text(made string) string {
	rejected := c.refused()
	var reasons []string
	for _, r := range slices.Sorted(maps.Keys(c.rejected)) {
		reasons = append(reasons, fmt.Sprintf("%s %d", r, c.rejected[r]))
	}
	s := fmt.Sprintf("%s %d, accepted %d, rejected %d", made, c.made, c.accepted, rejected)
	if rejected > 0 {
		s += " (" + strings.Join(reasons, ", ") + ")"
	}
	if made == "read" {
		s += fmt.Sprintf(", bad lines %d", c.bad)
	}
	for _, rare := range []struct {
		word string
		n    uint64
	}{{"before --from", c.skipped}, {"unreadable files", c.files}, {"dropped", c.dropped}, {"not sent", c.unsent}, {"unknown whether accepted", c.unknown}, {"accepted but not replicated", c.unreplicated}} {
		if rare.n > 0 {
			s += fmt.Sprintf(", %s %d", rare.word, rare.n)
		}
	}
	return s
}
