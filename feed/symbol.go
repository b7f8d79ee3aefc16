package feed

import (
	"errors"
	"strings"
)

// Symbol is a pair in canonical form, "EUR/USD": the price of one unit of the base currency in
// units of the quote currency. Instruments.ParseSymbol returns one. The methods expect the
// canonical form.
type Symbol string

// ErrUnknownSymbol is wrapped by every error of Instruments.ParseSymbol and ParsePattern.
var ErrUnknownSymbol = errors.New("feed: unknown symbol")

// Bounds of the length of a code. An ISO 4217 code has three letters; INSTRUMENTS may list others,
// such as BTC, USDT or US30.
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

// Canonical reports whether s has the canonical form: two different codes of 2 to 10 capitals or
// digits, separated by a slash. Instruments.Known reports whether the codes are known too.
// Canonical does not allocate.
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

// MatchPattern reports whether a canonical pattern, as ParsePattern returns it, matches s. It does
// not allocate.
func MatchPattern(pattern string, s Symbol) bool {
	if base, ok := strings.CutSuffix(pattern, "*"); ok { // "*" or "EUR/*"
		return s != "" && strings.HasPrefix(string(s), base)
	}
	if quote, ok := strings.CutPrefix(pattern, "*"); ok { // "*/JPY"
		return strings.HasSuffix(string(s), quote)
	}
	return pattern == string(s)
}

// symbolError is an error that is shown to clients. So unlike the sentinel error it has no package
// prefix.
type symbolError string

func (e symbolError) Error() string { return string(e) }
func (e symbolError) Unwrap() error { return ErrUnknownSymbol }

func unknownSymbol(text, why string) error {
	return symbolError("unknown symbol " + quoted(text) + ": " + why)
}
