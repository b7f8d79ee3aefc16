package feed

import (
	"errors"
	"strings"
)

// Symbol is a pair in canonical form, "EUR/USD": the price of one unit of the
// base in units of the quote currency. Instruments.ParseSymbol makes one; the
// methods expect a canonical value.
type Symbol string

// ErrUnknownSymbol is wrapped by every error of ParseSymbol and ParsePattern.
var ErrUnknownSymbol = errors.New("feed: unknown symbol")

// Lengths of a code in a symbol. An ISO 4217 code has three letters; INSTRUMENTS
// may list others, such as BTC, USDT or US30.
const (
	minCode = 2
	maxCode = 10
)

// Base returns the first code, EUR of EUR/USD.
func (s Symbol) Base() string {
	base, _, _ := strings.Cut(string(s), "/")
	return base
}

// Quote returns the second code, USD of EUR/USD.
func (s Symbol) Quote() string {
	_, quote, _ := strings.Cut(string(s), "/")
	return quote
}

// Canonical reports whether s has the canonical form: two different codes of 2 to
// 10 capitals or digits with a slash between them. Whether the codes are known
// depends on the table, see Instruments.Known. It does not allocate.
func (s Symbol) Canonical() bool {
	base, quote, ok := strings.Cut(string(s), "/")
	return ok && isCode(base) && isCode(quote) && base != quote
}

func isCode(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return minCode <= len(s) && len(s) <= maxCode
}

// MatchPattern reports whether the canonical pattern (of ParsePattern) names s.
// It does not allocate.
func MatchPattern(pattern string, s Symbol) bool {
	if base, ok := strings.CutSuffix(pattern, "*"); ok { // "*" or "EUR/*"
		return s != "" && strings.HasPrefix(string(s), base)
	}
	if quote, ok := strings.CutPrefix(pattern, "*"); ok { // "*/JPY"
		return strings.HasSuffix(string(s), quote)
	}
	return pattern == string(s)
}

// symbolError is shown to clients, so unlike the sentinel it carries no package prefix.
type symbolError string

func (e symbolError) Error() string { return string(e) }
func (e symbolError) Unwrap() error { return ErrUnknownSymbol }

func unknownSymbol(text, why string) error {
	return symbolError("unknown symbol " + quoted(text) + ": " + why)
}
