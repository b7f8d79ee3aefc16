package protocol

import "strconv"

var powers = func() (p [codedDigits + 1]int64) {
	p[0] = 1
	for i := range codedDigits {
		p[i+1] = p[i] * 10
	}
	return p
}()

// parseDecimal parses plain decimal text as an integer and the number of its decimals. ok is false
// if the integer would not give the same text again, or is too large.
func parseDecimal(text []byte) (n int64, digits uint8, ok bool) {
	point := -1
	for i, c := range text {
		switch {
		case c == '.' && point < 0 && i > 0:
			point = i
		case c < '0' || '9' < c:
			return 0, 0, false
		default:
			if n = n*10 + int64(c-'0'); n >= codedLimit {
				return 0, 0, false
			}
		}
	}
	whole := len(text)
	if point >= 0 {
		whole = point
		if len(text)-point-1 > codedDigits || point == len(text)-1 {
			return 0, 0, false
		}
		digits = uint8(len(text) - point - 1)
	}
	return n, digits, whole == 1 || whole > 1 && text[0] != '0'
}

// parsePair parses two numbers as integers with the decimals of the longer one. cut is how many of
// these decimals the first number does not have, or the negative of that for the second.
func parsePair(first, second []byte) (a, b int64, digits uint8, cut int8, ok bool) {
	a, x, okA := parseDecimal(first)
	b, y, okB := parseDecimal(second)
	if !okA || !okB {
		return 0, 0, 0, 0, false
	}
	digits = max(x, y)
	p, q := powers[digits-x], powers[digits-y]
	if a > (codedLimit-1)/p || b > (codedLimit-1)/q {
		return 0, 0, 0, 0, false
	}
	return a * p, b * q, digits, int8(y) - int8(x), true
}

// appendDecimal appends an integer as text with its decimals, without cut zeros at the end.
func appendDecimal(dst []byte, n int64, digits uint8, cut int) []byte {
	var buf [24]byte
	text := strconv.AppendInt(buf[:0], n, 10)
	whole := len(text) - int(digits)
	if whole > 0 {
		dst = append(dst, text[:whole]...)
	} else {
		dst = append(dst, '0')
	}
	if cut = int(digits) - cut; cut <= 0 {
		return dst
	}
	dst = append(dst, '.')
	for ; whole < 0 && cut > 0; whole++ {
		dst = append(dst, '0')
		cut--
	}
	if cut > 0 {
		dst = append(dst, text[whole:whole+cut]...)
	}
	return dst
}
