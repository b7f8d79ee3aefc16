package feed

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limit is the largest accepted distance between two prices, in millionths of one of them: 20,000
// is 2 %. 0 means no limit.
type Limit int32

// maxLimit is 1000 %.
const maxLimit Limit = 10_000_000

var errLimit = errors.New("want a percentage such as 2% or basis points such as 200bp, up to 1000%, or 0 for none")

// ParseLimit reads a percentage such as 0.5%, basis points such as 50bp, or 0. The error describes
// the accepted forms and repeats nothing of text.
func ParseLimit(text string) (Limit, error) {
	if text == "0" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	digits := 4 // digits after the point, down to a millionth
	if !percent {
		var points bool
		if number, points = strings.CutSuffix(text, "bp"); !points {
			return 0, errLimit
		}
		digits = 2
	}
	whole, fraction, point := strings.Cut(number, ".")
	if !allDigits(whole) || point && !allDigits(fraction) || len(whole) > 9 {
		return 0, errLimit
	}
	if fraction = strings.TrimRight(fraction, "0"); len(fraction) > digits {
		return 0, errors.New("want at most 4 digits after the point of a percentage, or 2 after the point of basis points")
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10, 64)
	if err != nil || n > int64(maxLimit) {
		return 0, errLimit
	}
	return Limit(n), nil
}

func allDigits(s string) bool { return s != "" && scanDigits(s, 0) == len(s) }

// String returns the limit as a percentage that ParseLimit reads.
func (l Limit) String() string {
	whole, fraction := l/10_000, strings.TrimRight(fmt.Sprintf("%04d", l%10_000), "0")
	if fraction != "" {
		fraction = "." + fraction
	}
	return strconv.Itoa(int(whole)) + fraction + "%"
}

// LimitPair holds one limit for pairs of two G10 currencies, which are the liquid ones, and one for
// all other symbols. The zero value sets no limit.
type LimitPair struct{ G10, Others Limit }

// DefaultLimits is the default of GATE_MAX_JUMP and of GATE_MAX_SPREAD.
var DefaultLimits = LimitPair{G10: 20_000, Others: 100_000}

// ParseLimitPair reads two limits separated by a comma, for pairs of two G10 currencies and for all
// others, or one limit for all symbols.
func ParseLimitPair(text string) (p LimitPair, err error) {
	first, second, two := strings.Cut(text, ",")
	if p.G10, err = ParseLimit(strings.TrimSpace(first)); err != nil {
		return LimitPair{}, err
	}
	p.Others = p.G10
	if two {
		p.Others, err = ParseLimit(strings.TrimSpace(second))
	}
	if err != nil {
		return LimitPair{}, err
	}
	return p, nil
}

// of returns the limit for s.
func (p LimitPair) of(s Symbol) Limit {
	if isG10(s.Base()) && isG10(s.Quote()) {
		return p.G10
	}
	return p.Others
}

func isG10(code string) bool {
	switch code {
	case "USD", "EUR", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK":
		return true
	}
	return false
}
