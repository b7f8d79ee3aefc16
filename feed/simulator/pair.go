package simulator

import "github.com/fxcast/fxcast/feed"

// currency is one of the eight simulated currencies.
type currency struct {
	code string
	// start is the initial level: units of this currency for one euro, times levelScale. The values
	// are the euro foreign exchange reference rates of the European Central Bank of 13 April 2026.
	start int64
	// vol is the standard deviation of the level's relative change in one second, in parts per
	// levelScale; 12,000 is about 0.35 % a day.
	vol int64
}

const levelScale = 1_000_000_000

var currencies = [...]currency{
	{"EUR", 1_000_000_000, 9_000},
	{"USD", 1_168_400_000, 10_000},
	{"JPY", 186_750_000_000, 13_000},
	{"GBP", 870_580_000, 11_000},
	{"CHF", 924_200_000, 10_000},
	{"AUD", 1_661_000_000, 13_000},
	{"CAD", 1_617_700_000, 9_000},
	{"NZD", 2_008_100_000, 14_000},
}

// terms describes how a pair is quoted. spread is the usual spread in the hours of London and New
// York, in ticks (a tenth of a pip, the last digit of the price). weight is the pair's share of all
// ticks, relative to the other weights.
type terms struct {
	symbol feed.Symbol
	spread int64
	weight int
}

// allTerms lists the 28 pairs of the eight currencies, in the direction in which the market quotes
// them. The spreads are of the order that retail brokers with raw prices show.
var allTerms = [...]terms{
	{"EUR/USD", 2, 100}, {"USD/JPY", 3, 80}, {"GBP/USD", 5, 80}, {"AUD/USD", 4, 50},
	{"USD/CAD", 6, 50}, {"USD/CHF", 6, 50}, {"NZD/USD", 7, 40},
	{"EUR/GBP", 5, 40}, {"EUR/JPY", 6, 50}, {"EUR/CHF", 7, 30}, {"EUR/AUD", 10, 25},
	{"EUR/CAD", 10, 25}, {"EUR/NZD", 15, 18},
	{"GBP/JPY", 11, 50}, {"GBP/CHF", 12, 20}, {"GBP/AUD", 13, 20}, {"GBP/CAD", 14, 20}, {"GBP/NZD", 19, 15},
	{"AUD/JPY", 8, 25}, {"AUD/CAD", 10, 18}, {"AUD/CHF", 9, 15}, {"AUD/NZD", 12, 15},
	{"NZD/JPY", 10, 18}, {"NZD/CAD", 12, 12}, {"NZD/CHF", 12, 12},
	{"CAD/JPY", 9, 20}, {"CAD/CHF", 10, 12}, {"CHF/JPY", 11, 18},
}

// hourSpread is the usual spread in each hour of the day in UTC, in percent: widest after the close
// in New York, wide in the Asian hours.
var hourSpread = [24]int64{
	130, 125, 125, 125, 125, 120, 110, 100, 100, 100, 100, 100,
	100, 100, 100, 100, 105, 110, 120, 130, 150, 250, 180, 140,
}

// builtIn is the table without settings: simulated quotes do not depend on settings.
var builtIn *feed.Instruments

// pair is one symbol with its current quote. Prices are in ticks.
type pair struct {
	terms
	base, quote int   // indexes of market.level
	digits      int   // after the point
	scale       int64 // ticks per unit of price: ten to the power of digits

	bid, ask int64
	// band is the largest distance of the quote's middle from the fair price, in half ticks: a
	// quarter of the usual spread. The spread is never less than twice that, so the fair price is
	// always between bid and ask.
	band   int64
	quoted int64 // time of the quote, in microseconds of simulated time
}

func newPair(t terms) *pair {
	p := &pair{terms: t, digits: builtIn.Digits(t.symbol), scale: 1, band: max(1, t.spread/2)}
	for range p.digits {
		p.scale *= 10
	}
	for i, c := range currencies {
		switch c.code {
		case t.symbol.Base():
			p.base = i
		case t.symbol.Quote():
			p.quote = i
		}
	}
	return p
}

func (p *pair) minSpread() int64 { return p.band }
func (p *pair) maxSpread() int64 { return 4*p.spread + 1 }

// fits reports whether a quote with bid+ask = sum is within the band.
func (p *pair) fits(level *[len(currencies)]int64, sum int64) bool {
	fair := 2 * level[p.quote] * p.scale // times level[p.base]; see market for the bounds
	return (sum-p.band)*level[p.base] <= fair && fair <= (sum+p.band)*level[p.base]
}

// limits returns the range of levels of currency c, with all others unchanged, in which the current
// quote stays within its band.
func (p *pair) limits(level *[len(currencies)]int64, c int) (low, high int64) {
	sum := p.bid + p.ask
	if c == p.quote {
		unit := 2 * p.scale
		return ceilDiv((sum-p.band)*level[p.base], unit), (sum + p.band) * level[p.base] / unit
	}
	fair := 2 * level[p.quote] * p.scale
	return ceilDiv(fair, sum+p.band), fair / (sum - p.band)
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// appendPrice appends ticks as decimal text with exactly digits after the point.
func appendPrice(dst []byte, ticks, scale int64, digits int) []byte {
	dst = appendDigits(dst, ticks/scale, 1)
	dst = append(dst, '.')
	return appendDigits(dst, ticks%scale, digits)
}

func appendDigits(dst []byte, n int64, width int) []byte {
	var b [20]byte
	i := len(b)
	for n > 0 || width > 0 {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return append(dst, b[i:]...)
}
