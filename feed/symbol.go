package feed

import (
	"errors"
	"strings"
)

// Symbol is a currency pair in canonical form, "EUR/USD": the price of one
// unit of the base currency in units of the quote currency. ParseSymbol makes
// one; the methods expect a canonical value.
type Symbol string

// ErrUnknownSymbol is wrapped by every error of ParseSymbol and ParsePattern.
var ErrUnknownSymbol = errors.New("feed: unknown symbol")

// symbolError is shown to clients, so unlike the sentinel it carries no package prefix.
type symbolError string

func (e symbolError) Error() string { return string(e) }
func (e symbolError) Unwrap() error { return ErrUnknownSymbol }

// ParseSymbol reads EUR/USD, EURUSD, EUR_USD or EUR-USD in upper or lower case.
// Both codes must be known (see currency.go) and differ. The error wraps
// ErrUnknownSymbol; its text is bounded, printable and may be shown to a client.
// A canonical s is returned as it is, without allocation.
func ParseSymbol(s string) (Symbol, error) {
	base, quote, ok := splitPair(s)
	if !ok {
		return "", symbolError("unknown symbol " + quoted(s) + ": give two currency codes, as in EUR/USD")
	}
	b, okBase := parseCode(base)
	q, okQuote := parseCode(quote)
	switch {
	case !okBase:
		return "", unknownCode(s, base)
	case !okQuote:
		return "", unknownCode(s, quote)
	case b == q:
		return "", symbolError("unknown symbol " + quoted(s) + ": the two currencies must differ")
	}
	return Symbol(joinPair(s, b, q)), nil
}

// Base returns the first code, EUR of EUR/USD.
func (s Symbol) Base() string { return string(s[:3]) }

// Quote returns the second code, USD of EUR/USD.
func (s Symbol) Quote() string { return string(s[4:]) }

// Digits returns how many digits after the point the market usually shows: one
// more than the pip has. It is a hint for display; prices keep the digits the
// producer wrote.
func (s Symbol) Digits() int {
	if s.coarse() {
		return 3
	}
	return 5
}

// Pip returns the size of one pip as decimal text, "0.0001" or "0.01".
func (s Symbol) Pip() string {
	if s.coarse() {
		return "0.01"
	}
	return "0.0001"
}

func (s Symbol) coarse() bool {
	return currencies[s.Base()].metal || currencies[s.Quote()].coarsePip
}

// ParsePattern reads what a subscription may name: an exact symbol in any form
// ParseSymbol takes, * for every symbol, EUR/* for a base or */JPY for a quote
// currency. The codes must be known. It returns the canonical form; the error
// is as ParseSymbol's.
func ParsePattern(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	base, quote, ok := splitPair(s)
	if !ok {
		return "", symbolError("unknown symbol " + quoted(s) + ": give a symbol such as EUR/USD, or *, EUR/* or */JPY")
	}
	if base != "*" && quote != "*" {
		sym, err := ParseSymbol(s)
		return string(sym), err
	}
	if base == "*" && quote == "*" {
		return "*", nil
	}
	if base == "*" {
		q, ok := parseCode(quote)
		if !ok {
			return "", unknownCode(s, quote)
		}
		return "*/" + string(q[:]), nil
	}
	b, ok := parseCode(base)
	if !ok {
		return "", unknownCode(s, base)
	}
	return string(b[:]) + "/*", nil
}

// MatchPattern reports whether the canonical pattern (of ParsePattern) names s.
// It does not allocate.
func MatchPattern(pattern string, s Symbol) bool {
	switch {
	case pattern == "*" || pattern == string(s):
		return true
	case len(s) != 7 || len(pattern) != 5:
		return false
	case pattern[0] == '*':
		return pattern[1:] == string(s[3:])
	case pattern[4] == '*':
		return pattern[:4] == string(s[:4])
	}
	return false
}

// splitPair cuts s into its two halves, each three bytes or a single "*". With
// no separator the halves must be told apart by length alone.
func splitPair(s string) (base, quote string, ok bool) {
	if len(s) > 7 || len(s) < 3 {
		return "", "", false
	}
	if i := strings.IndexAny(s, "/_-"); i >= 0 {
		base, quote = s[:i], s[i+1:]
	} else if strings.HasPrefix(s, "*") {
		base, quote = s[:1], s[1:]
	} else if len(s) > 3 {
		base, quote = s[:3], s[3:]
	}
	half := func(h string) bool { return len(h) == 3 || h == "*" }
	return base, quote, half(base) && half(quote)
}

// parseCode upper-cases ASCII only: Unicode case mapping would turn other
// letters into currency codes.
func parseCode(s string) (code [3]byte, ok bool) {
	if len(s) != 3 {
		return code, false
	}
	for i := range 3 {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		code[i] = c
	}
	_, ok = currencies[string(code[:])]
	return code, ok
}

func joinPair(s string, b, q [3]byte) string {
	pair := [7]byte{b[0], b[1], b[2], '/', q[0], q[1], q[2]}
	if string(pair[:]) == s {
		return s
	}
	return string(pair[:])
}

func unknownCode(s, code string) error {
	return symbolError("unknown symbol " + quoted(s) + ": " + quoted(code) +
		" is not a current ISO 4217 currency or one of XAU, XAG, XPT, XPD")
}
