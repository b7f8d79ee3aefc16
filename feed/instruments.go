package feed

import (
	"slices"
	"strings"
)

// Instruments is the table of symbols that may be quoted, and the one place that parses names of
// symbols. It never changes after construction, so it is safe for concurrent use. The nil
// *Instruments is the table without settings: the current codes of ISO 4217, XAU, XAG, XPT, XPD and
// CNH, in any pair, with DefaultLimits.
type Instruments struct {
	codes   map[string]string      // the known codes; each maps to itself
	listed  map[Symbol]*instrument // entries of INSTRUMENTS
	joined  map[string]Symbol      // listed symbols by name without separator, BTCUSD
	aliases map[string]Symbol
	endings []string // from FEED_SUFFIXES
	week    *Hours   // the hours fx
	jump    LimitPair
	spread  LimitPair
}

// instrument is an entry of INSTRUMENTS.
type instrument struct {
	digits  int
	pip     string
	aliases []string
	hours   *Hours // nil = the hours fx
	jump    *Limit // nil = the limit of Instruments for such symbols
	spread  *Limit
}

// Limits holds the limits of the gate for one symbol.
type Limits struct {
	Jump   Limit // distance from the mid of the last accepted quote
	Spread Limit // spread, in parts of the mid
}

var builtIn = newInstruments()

func newInstruments() *Instruments {
	t := &Instruments{
		codes: make(map[string]string, len(currencies)), listed: map[Symbol]*instrument{},
		joined: map[string]Symbol{}, aliases: map[string]Symbol{},
		week: spotHours(nil), jump: DefaultLimits, spread: DefaultLimits,
	}
	for code := range currencies {
		t.codes[code] = code
	}
	return t
}

func (t *Instruments) table() *Instruments {
	if t == nil {
		return builtIn
	}
	return t
}

// Known reports whether s is canonical and both its codes are known. It does not allocate.
func (t *Instruments) Known(s Symbol) bool {
	base, quote, ok := strings.Cut(string(s), "/")
	codes := t.table().codes
	return ok && codes[base] != "" && codes[quote] != "" && base != quote
}

// isOneCode reports whether text is one code, either known or of the usual length, and not an
// alias.
func (t *Instruments) isOneCode(text string) bool {
	t = t.table()
	_, alias := t.aliases[text]
	return !alias && (len(text) == 3 || t.codes[upper(text)] != "")
}

// Digits returns how many digits after the point the market usually shows: one more than the pip
// has, unless INSTRUMENTS sets them. It is a hint for display; prices keep the digits that the
// producer wrote.
func (t *Instruments) Digits(s Symbol) int {
	if in := t.table().listed[s]; in != nil {
		return in.digits
	}
	digits, _ := usualDigits(s)
	return digits
}

// Pip returns the size of one pip as decimal text, "0.0001" or "0.01".
func (t *Instruments) Pip(s Symbol) string {
	if in := t.table().listed[s]; in != nil {
		return in.pip
	}
	_, pip := usualDigits(s)
	return pip
}

func usualDigits(s Symbol) (digits int, pip string) {
	if currencies[s.Base()].metal || currencies[s.Quote()].coarsePip {
		return 3, "0.01"
	}
	return 5, "0.0001"
}

// Hours returns when the market of s trades. It is never nil.
func (t *Instruments) Hours(s Symbol) *Hours {
	t = t.table()
	if in := t.listed[s]; in != nil && in.hours != nil {
		return in.hours
	}
	return t.week
}

// Aliases returns the other names of s, in the order of INSTRUMENTS. The caller owns the slice.
func (t *Instruments) Aliases(s Symbol) []string {
	if in := t.table().listed[s]; in != nil {
		return slices.Clone(in.aliases)
	}
	return nil
}

// Limits returns the limits of the gate for s: its own, or else those of G10 pairs or of all other
// symbols.
func (t *Instruments) Limits(s Symbol) Limits {
	t = t.table()
	l := Limits{t.jump.of(s), t.spread.of(s)}
	if in := t.listed[s]; in != nil {
		if in.jump != nil {
			l.Jump = *in.jump
		}
		if in.spread != nil {
			l.Spread = *in.spread
		}
	}
	return l
}
