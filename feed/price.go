package feed

import (
	"strconv"
	"strings"
)

// Bounds of a price and of a size: what the decimal types of producers write. Go's,
// Java's and Python's have 28 to 34 digits, .NET's has 29.
const (
	MaxPriceDigits = 34 // significant digits: all but the zeros before and after them
	MaxPriceChars  = 64 // characters with the point
)

// A price is plain decimal text: digits, or digits with one point between them;
// no sign, no exponent, no leading zero except in "0.…". It is never converted
// to a float, and never to a decimal type either: types of fixed precision
// round what 64 characters can hold, and comparing is all that is done here. A size
// has the same form and may be zero.

// checkPrice checks that text is a plain, positive price within the bounds.
// field is the name the message uses.
func checkPrice(field, text string) *Rejection {
	if text == "" {
		return reject(ReasonMissingPrice, "%s is missing: give bid and ask, or price", field)
	}
	mantissa, exponent, reason := scanNumber(text)
	if reason == "" && (exponent != "" || mantissa != text || paddedZero(text)) {
		reason = ReasonNotANumber
	}
	if reason == "" {
		reason = boundPrice(text)
	}
	return priceRejection(field, text, reason)
}

// ReadPrice returns the plain decimal text of a price as a file or a vendor writes
// it, with its digits; an exponent is written out. The reason is "" unless it is no
// price.
func ReadPrice(text string) (plain string, reason Reason) {
	plain, r := readPrice("price", text)
	if r != nil {
		return "", r.Reason
	}
	return plain, ""
}

// ReadSize is ReadPrice for a size, which may be zero or "" for none.
func ReadSize(text string) (plain string, ok bool) { return readSize(text) }

// readPrice returns the plain decimal text of a producer's number: plain text
// as it is, to the letter; a number with an exponent converted exactly.
func readPrice(field, text string) (string, *Rejection) {
	if text == "" {
		return "", reject(ReasonMissingPrice, "%s is empty: give a decimal number such as \"1.08450\"", field)
	}
	mantissa, exponent, reason := scanNumber(text)
	plain := mantissa
	switch {
	case reason != "":
	case paddedZero(mantissa):
		reason = ReasonNotANumber
	case exponent != "":
		plain, reason = expand(mantissa, exponent)
	}
	if reason == "" {
		reason = boundPrice(plain)
	}
	if r := priceRejection(field, text, reason); r != nil {
		return "", r
	}
	return plain, nil
}

func priceRejection(field, text string, reason Reason) *Rejection {
	switch reason {
	case "":
		return nil
	case ReasonZero:
		return reject(reason, "%s is %s: a price must be above zero", field, quoted(text))
	case ReasonNegative:
		return reject(reason, "%s is %s: a price must be above zero, without a sign", field, quoted(text))
	case ReasonTooLong:
		return reject(reason, "%s is %s: a price may have at most %d significant digits and %d characters",
			field, quoted(text), MaxPriceDigits, MaxPriceChars)
	}
	return reject(ReasonNotANumber, "%s is %s: give a decimal number such as 1.08450, with a point, no sign and no leading zeros",
		field, quoted(text))
}

// scanNumber splits text into mantissa and exponent (without the e). The reason
// is ReasonNegative for a number below zero, ReasonZero for -0, and
// ReasonNotANumber for anything that is no decimal number.
func scanNumber(text string) (mantissa, exponent string, reason Reason) {
	unsigned, negative := strings.CutPrefix(text, "-")
	i := scanDigits(unsigned, 0)
	whole := i > 0
	if i < len(unsigned) && unsigned[i] == '.' {
		end := scanDigits(unsigned, i+1)
		whole = whole && end > i+1
		i = end
	}
	mantissa = unsigned[:i]
	if i < len(unsigned) && (unsigned[i] == 'e' || unsigned[i] == 'E') {
		start := i + 1
		i = start
		if i < len(unsigned) && (unsigned[i] == '+' || unsigned[i] == '-') {
			i++
		}
		end := scanDigits(unsigned, i)
		whole = whole && end > i
		i = end
		exponent = unsigned[start:i]
	}
	switch {
	case !whole || i < len(unsigned):
		return "", "", ReasonNotANumber
	case negative && isZero(mantissa):
		return "", "", ReasonZero
	case negative:
		return "", "", ReasonNegative
	}
	return mantissa, exponent, ""
}

func scanDigits(s string, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
}

// boundPrice checks the size of plain text; zero is looked for first, so that
// "0.000…0" of any length is called what it is.
func boundPrice(plain string) Reason {
	if isZero(plain) {
		return ReasonZero
	}
	if len(plain) > MaxPriceChars {
		return ReasonTooLong
	}
	significant := strings.Trim(plain, "0.")
	digits := len(significant)
	if strings.IndexByte(significant, '.') >= 0 {
		digits--
	}
	if digits > MaxPriceDigits {
		return ReasonTooLong
	}
	return ""
}

// checkSize checks that text is a plain size within the bounds; "" stands for none.
func checkSize(field, text string) *Rejection {
	if plain, ok := readSize(text); ok && plain == text {
		return nil
	}
	return reject(ReasonNotANumber, "%s is %s: give a decimal number of 0 or more", field, quoted(text))
}

// readSize returns the plain decimal text of a producer's size, which is a number
// as of a price, or zero, or "" for none.
func readSize(text string) (plain string, ok bool) {
	if text == "" {
		return "", true
	}
	plain, exponent, reason := scanNumber(text)
	if reason != "" || paddedZero(plain) {
		return "", false
	}
	if isZero(plain) {
		return plain, len(plain) <= MaxPriceChars
	}
	if exponent != "" {
		plain, reason = expand(plain, exponent)
	}
	return plain, reason == "" && boundPrice(plain) == ""
}

func isZero(plain string) bool { return strings.Trim(plain, "0.") == "" }

// paddedZero reports a leading zero that is not the one of "0.…" or "0".
func paddedZero(plain string) bool {
	return len(plain) > 1 && plain[0] == '0' && plain[1] != '.'
}

// expand writes mantissa × 10^exponent without an exponent, keeping every digit
// of the mantissa. The result is bounded, whatever the exponent; boundPrice judges it.
func expand(mantissa, exponent string) (string, Reason) {
	if isZero(mantissa) {
		return "", ReasonZero
	}
	if len(mantissa) > 2*MaxPriceChars {
		return "", ReasonTooLong
	}
	exp, err := strconv.Atoi(exponent)
	if err != nil || exp > 4*MaxPriceChars || exp < -4*MaxPriceChars {
		return "", ReasonTooLong
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	digits := strings.TrimLeft(all, "0")
	point := len(whole) + exp - (len(all) - len(digits)) // digits before the point
	switch {
	case point <= 0:
		return "0." + strings.Repeat("0", -point) + digits, ""
	case point >= len(digits):
		return digits + strings.Repeat("0", point-len(digits)), ""
	}
	return digits[:point] + "." + digits[point:], ""
}

// priceLess compares two plain prices exactly. It does not allocate.
func priceLess(a, b string) bool {
	aWhole, aFraction, _ := strings.Cut(a, ".")
	bWhole, bFraction, _ := strings.Cut(b, ".")
	if len(aWhole) != len(bWhole) { // no leading zeros: more digits is more
		return len(aWhole) < len(bWhole)
	}
	if aWhole != bWhole {
		return aWhole < bWhole
	}
	// Text order is number order here, but for zeros at the end of b.
	return aFraction < strings.TrimRight(bFraction, "0")
}
