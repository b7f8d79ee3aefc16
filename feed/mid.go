package feed

import (
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// A Mid is the exact middle between a bid and an ask. It is stored as bid + ask, which is a whole
// number in units of 10^-Digits.
type Mid struct {
	Twice  string // decimal digits without leading zeros
	Digits int
}

// MidOf returns the exact middle of two prices that pass Check.
func MidOf(bid, ask string) Mid {
	if b, a, digits, ok := smallUnits(bid, ask); ok {
		return Mid{strconv.FormatUint(b+a, 10), digits}
	}
	b, a, digits := units(bid, ask)
	return Mid{b.Add(b, a).String(), digits}
}

// String returns the mid as a decimal number.
func (m Mid) String() string {
	n, ok := new(big.Int).SetString(m.Twice, 10)
	if !ok {
		return m.Twice
	}
	// Half of n in units of 10^-Digits is five times n in units ten times smaller.
	text := n.Mul(n, big.NewInt(5)).String()
	digits := m.Digits + 1
	if missing := digits + 1 - len(text); missing > 0 {
		text = strings.Repeat("0", missing) + text
	}
	whole, fraction := text[:len(text)-digits], text[len(text)-digits:]
	if fraction = strings.TrimSuffix(fraction, "0"); fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

// SpreadOf returns ask − bid relative to the mid, such as "2.31 %". It rounds like Mid.Distance.
func SpreadOf(bid, ask string) string {
	b, a, _ := units(bid, ask)
	sum := new(big.Int).Add(a, b)
	return percent(new(big.Rat).SetFrac(a.Sub(a, b).Lsh(a, 1), sum))
}

// Distance returns how far m is from ref, relative to ref, such as "2.31 %". It is rounded down:
// below ten percent to two digits after the point, otherwise to whole percents.
func (m Mid) Distance(ref Mid) string {
	a, b := m.rational(), ref.rational()
	if b.Sign() == 0 {
		return "infinitely far"
	}
	d := a.Sub(a, b)
	return percent(d.Abs(d).Quo(d, b))
}

func percent(part *big.Rat) string {
	part.Mul(part, big.NewRat(10_000, 1))
	hundredths := new(big.Int).Quo(part.Num(), part.Denom())
	whole, rest := new(big.Int).QuoRem(hundredths, big.NewInt(100), new(big.Int))
	if text := rest.String(); whole.Cmp(big.NewInt(10)) < 0 && rest.Sign() > 0 {
		return whole.String() + "." + strings.TrimSuffix(strings.Repeat("0", 2-len(text))+text, "0") + " %"
	}
	return whole.String() + " %"
}

func (m Mid) rational() *big.Rat {
	n, _ := new(big.Int).SetString(m.Twice, 10)
	if n == nil {
		n = new(big.Int)
	}
	return new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(m.Digits)), nil))
}

// Wide reports whether the spread of two prices that pass Check exceeds limit, relative to their
// mid. A limit of zero sets none. Wide is exact.
func Wide(bid, ask string, limit Limit) bool {
	if limit == 0 {
		return false
	}
	// spread > limit × mid, where the mid is half the sum: both sides are doubled.
	if b, a, _, ok := smallUnits(bid, ask); ok {
		leftHigh, left := bits.Mul64(a-b, 2*uint64(wholeLimit))
		rightHigh, right := bits.Mul64(a+b, uint64(limit))
		return leftHigh > rightHigh || leftHigh == rightHigh && left > right
	}
	b, a, _ := units(bid, ask)
	spread, sum := new(big.Int).Sub(a, b), new(big.Int).Add(a, b)
	return spread.Mul(spread, big.NewInt(2*int64(wholeLimit))).Cmp(sum.Mul(sum, big.NewInt(int64(limit)))) > 0
}

// wholeLimit is the Limit of 100 %.
const wholeLimit Limit = 1_000_000

// smallDigits is the number of digits that always fit an int64.
const smallDigits = 18

// smallUnits returns two prices as whole numbers of 10^-digits; ok is false if they do not fit.
func smallUnits(bid, ask string) (b, a uint64, digits int, ok bool) {
	digits = max(fractionDigits(bid), fractionDigits(ask))
	if len(bid)+digits-fractionDigits(bid) > smallDigits || len(ask)+digits-fractionDigits(ask) > smallDigits {
		return 0, 0, 0, false
	}
	return smallUnit(bid, digits), smallUnit(ask, digits), digits, true
}

func smallUnit(price string, digits int) (n uint64) {
	for i := range len(price) {
		if c := price[i]; c != '.' {
			n = 10*n + uint64(c-'0')
		}
	}
	for range digits - fractionDigits(price) {
		n *= 10
	}
	return n
}

// units returns two prices of any length as whole numbers of 10^-digits.
func units(bid, ask string) (b, a *big.Int, digits int) {
	digits = max(fractionDigits(bid), fractionDigits(ask))
	unit := func(price string) *big.Int {
		whole, fraction, _ := strings.Cut(price, ".")
		n, _ := new(big.Int).SetString(whole+fraction+strings.Repeat("0", digits-len(fraction)), 10)
		return n
	}
	return unit(bid), unit(ask), digits
}

func fractionDigits(price string) int {
	if i := strings.IndexByte(price, '.'); i >= 0 {
		return len(price) - i - 1
	}
	return 0
}
