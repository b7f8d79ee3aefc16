package feed

import (
	"strconv"
	"strings"
)

// Bounds of a price and of a size. They cover the decimal types of producers: those of Go, Java and
// Python have 28 to 34 digits, that of .NET has 29.
const (
	MaxPriceDigits = 34 // significant digits, without leading and trailing zeros
	MaxPriceChars  = 64 // characters, including the point
)

// A price is plain decimal text: digits, or digits with one point between them, without sign,
// exponent or leading zero except in "0.…". It is never converted to a float or to a decimal type:
// types of fixed precision would round some of the 64 characters, and the code only compares
// prices. A size has the same form and may be zero.

// checkPrice checks that text is a plain, positive price within the bounds. field is its name in
// the message.
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

// ReadPrice returns a price, as a file or a vendor writes it, as plain decimal text with the same
// digits; an exponent is expanded. The reason is "" unless text is not a price.
func ReadPrice(text string) (plain string, reason Reason) {
	plain, r := readPrice("price", text)
	if r != nil {
		return "", r.Reason
	}
	return plain, ""
}

// ReadSize returns a size as plain decimal text. A size may be zero, or "" for none.
func ReadSize(text string) (plain string, ok bool) { return readSize(text) }

// readPrice returns a producer's number as plain decimal text: plain text unchanged, a number with
// an exponent expanded exactly.
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

// scanNumber splits text into mantissa and exponent (without the e). The reason is ReasonNegative
// for a number below zero, ReasonZero for -0, and ReasonNotANumber for any other text that is not a
// decimal number.
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

// boundPrice checks that plain text is within the bounds. It tests for zero first, so that
// "0.000…0" of any length gets ReasonZero.
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

// checkSize checks that text is a plain size within the bounds; "" means none.
func checkSize(field, text string) *Rejection {
	if plain, ok := readSize(text); ok && plain == text {
		return nil
	}
	return reject(ReasonNotANumber, "%s is %s: give a decimal number of 0 or more", field, quoted(text))
}

// readSize returns a producer's size as plain decimal text. A size is a number in the form of a
// price, zero, or "" for none.
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

// paddedZero reports whether plain has a leading zero, other than that of "0.…" or "0".
func paddedZero(plain string) bool {
	return len(plain) > 1 && plain[0] == '0' && plain[1] != '.'
}

// expand returns mantissa × 10^exponent without an exponent, with every digit of the mantissa. The
// length of the result is bounded for any exponent; boundPrice decides whether it is a price.
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
	if len(aWhole) != len(bWhole) { // without leading zeros, more digits mean a larger number
		return len(aWhole) < len(bWhole)
	}
	if aWhole != bWhole {
		return aWhole < bWhole
	}
	// Text order is number order here, except for zeros at the end of b.
	return aFraction < strings.TrimRight(bFraction, "0")
}
