package feedtest

import (
	"encoding/binary"
	"math/big"
	"strings"
)

// PackCandle writes a candle in the form that feed.DecodeCandle describes, by another way: over big
// numbers. prices are open, high, low and close of the bid, then of the ask.
func PackCandle(start int64, ticks uint64, complete bool, prices [8]string) string {
	b := binary.AppendUvarint(nil, uint64(start))
	n := ticks * 2
	if complete {
		n++
	}
	b = binary.AppendUvarint(b, n)
	digits := func(p string) int { _, after, _ := strings.Cut(p, "."); return len(after) }
	most, least := 0, 99
	for _, p := range prices {
		most, least = max(most, digits(p)), min(least, digits(p))
	}
	scaled := func(p string) *big.Int {
		n, _ := new(big.Int).SetString(strings.Replace(p, ".", "", 1)+strings.Repeat("0", most-digits(p)), 10)
		return n
	}
	for _, p := range prices {
		if len(scaled(p).String()) > 15 || most > 15 {
			return string(binary.AppendUvarint(b, 1)) + strings.Join(prices[:], " ")
		}
	}
	if least == most {
		b = binary.AppendUvarint(b, uint64(2*most))
	} else {
		b = binary.AppendUvarint(b, uint64(2*most+1))
		for _, p := range prices {
			b = binary.AppendUvarint(b, uint64(most-digits(p)))
		}
	}
	for _, pair := range [][2]int{{0, -1}, {1, 0}, {0, 2}, {3, 2}, {4, 0}, {5, 4}, {4, 6}, {7, 6}} {
		n := scaled(prices[pair[0]])
		if pair[1] >= 0 {
			n.Sub(n, scaled(prices[pair[1]]))
		}
		b = binary.AppendUvarint(b, n.Uint64())
	}
	return string(b)
}
