package tickfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recognizeLine returns the layout of a file without a heading that contains this line. It returns
// nil if the line, which may be a title, has no time and numbers in their places. judge finds the
// meaning of the columns in sample lines.
func recognizeLine(line string) *layout {
	l := noColumns(separatorOf(line))
	f := split(line, l.separator)
	first := 0
	if len(f) > 1 && looksLikeSymbol(f[0]) {
		l.symbol, first = 0, 1
	}
	if len(f) < first+2 {
		return nil
	}
	l.time = first
	layout, ok := layoutOf(f[first])
	numbers := first + 1
	if !ok && len(f) > first+2 { // date and time of day in separate columns
		layout, ok = layoutOf(f[first] + " " + f[first+1])
		l.timeOfDay, numbers = first+1, first+2
	}
	if !ok && slashed(f[first]) {
		layout, ok = monthFirst, true
		l.timeOfDay, numbers = -1, first+1
	}
	if !ok || len(f) <= numbers {
		return nil
	}
	l.clock = clock{layout, time.UTC}
	l.bid, l.ask = numbers, numbers+1
	switch {
	case layout == "" && allDigits(f[first]) && len(f[first]) < len("1000000000"):
		return nil // so small a number is not the Unix time of a quote
	case l.symbol >= 0 && layout == "yyyyMMdd HH:mm:ss.fff":
		l.format = "truefx"
	case l.symbol < 0 && layout == histDataTime:
		const easternBehind = -5 * 60 * 60 // Eastern Standard Time, all year round
		l.format, l.clock.zone = "histdata", time.FixedZone("EST", easternBehind)
	case l.symbol < 0 && layout == "dd.MM.yyyy HH:mm:ss.fff":
		l.format = "dukascopy"
	case l.symbol < 0 && layout == "yyyy.MM.dd HH:mm:ss.fff":
		l.format = "metatrader4"
	default:
		l.format = "csv"
	}
	for _, text := range f[numbers:] {
		if _, ok := decimalOf(text); !ok && text != "" {
			return nil
		}
	}
	return l
}

// looksLikeSymbol reports whether a field can name a symbol, known or not.
func looksLikeSymbol(s string) bool {
	letters := 0
	for _, c := range s {
		switch {
		case 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z':
			letters++
		case !strings.ContainsRune("/_-.:#", c) && (c < '0' || c > '9'):
			return false
		}
	}
	return letters >= 3 && len(s) <= 40
}

// slashed reports whether text can be read with the layout monthFirst or dayFirst.
func slashed(text string) bool {
	_, month := parseTime(text, monthFirst)
	_, day := parseTime(text, dayFirst)
	return month || day
}

// decimalOf returns a number only for comparing columns with each other: prices are never made from
// it.
func decimalOf(text string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
	return n, err == nil
}

// judge completes a layout with the first lines that fit it. It returns an error for a file that
// can be read in two ways or does not contain ticks.
func (l *layout) judge(lines []string) error {
	var samples [][]string
	for _, line := range lines {
		if f := split(line, l.separator); line != l.heading && len(f) > max(l.time, l.timeOfDay) {
			samples = append(samples, f)
		}
	}
	if err := l.judgeDecimals(samples); err != nil {
		return err
	}
	if err := l.judgeTimes(samples); err != nil {
		return err
	}
	if l.heading == "" {
		return l.judgeColumns(samples)
	}
	return l.judgeSides(samples)
}

// judgeSides refuses a file whose bid and ask columns do not hold pairs of prices, such as a file
// with decimal commas and commas between fields.
func (l *layout) judgeSides(samples [][]string) error {
	apart, count := 0, 0
	for _, f := range samples {
		if len(f) <= max(l.bid, l.ask) {
			continue
		}
		bid, okBid := decimalOf(f[l.bid])
		ask, okAsk := decimalOf(f[l.ask])
		if !okBid || !okAsk {
			continue
		}
		count++
		if farApart(bid, ask) || l.columns > 0 && len(f) > l.columns && strings.Join(f[l.columns:], "") != "" {
			apart++
		}
	}
	if count > 0 && apart == count {
		return fmt.Errorf("%w: the columns bid and ask do not hold pairs of prices, or commas occur both within numbers and between fields", ErrAmbiguous)
	}
	return nil
}

// farApart reports whether two numbers cannot be the bid and the ask of one quote.
func farApart(a, b float64) bool { return a > 1.5*b || b > 1.5*a }

// judgeDecimals finds the decimal sign of the prices.
func (l *layout) judgeDecimals(samples [][]string) error {
	for _, f := range samples {
		for _, column := range []int{l.bid, l.ask} {
			if column < len(f) && strings.Contains(f[column], ",") {
				l.decimal = ','
			}
		}
	}
	if l.decimal == ',' && l.separator == ',' {
		return fmt.Errorf("%w: commas occur both within numbers and between fields; want only one of the two", ErrAmbiguous)
	}
	return nil
}

// judgeTimes finds the layout of the times of a file with a heading, and whether dates with slashes
// have the month or the day first.
func (l *layout) judgeTimes(samples [][]string) error {
	vendors := l.heading != "" && l.clock.layout != "" // monthFirst, as the vendor of the heading writes
	var seen string
	month, day, found := true, true, false
	for _, f := range samples {
		text := l.timeText(f)
		if seen == "" {
			seen = text
		}
		if slashed(text) {
			_, m := parseTime(text, monthFirst)
			_, d := parseTime(text, dayFirst)
			month, day, found = month && m, day && d, true
		} else if layout, ok := layoutOf(text); ok && !found {
			if l.heading != "" {
				l.clock.layout = layout
			}
			if vendors { // other programs write the same heading
				l.format = "csv"
			}
			return nil
		}
	}
	switch {
	case seen == "":
	case !found:
		return unknownLayout(seen)
	case month && day && !vendors:
		return fmt.Errorf("%w: %s may have the month or the day first", ErrAmbiguous, quoted(seen))
	case !month && !day:
		return fmt.Errorf("%w: some dates have the month first and some the day", ErrAmbiguous)
	case month:
		l.clock.layout = monthFirst
	default:
		l.clock.layout = dayFirst
		if vendors {
			l.format = "csv"
		}
	}
	return nil
}

func unknownLayout(text string) error {
	return fmt.Errorf("%w: the times have an unknown layout: %s; want one such as 2012-12-31T17:00:01.883Z, %s or Unix time",
		ErrFormat, quoted(text), example(dateLayouts[0]))
}

// judgeColumns finds bid and ask among the numbers of lines without a heading. The lines themselves
// must show their order; otherwise the file is refused.
func (l *layout) judgeColumns(samples [][]string) error {
	rising, falling, bars, third, apart, count := 0, 0, true, true, 0, 0
	var sizes []string
	var digits [2]int // most digits after the point, of the first and of the second number
	for _, f := range samples {
		numbers := f[min(l.bid, len(f)):]
		if len(numbers) < 2 {
			continue
		}
		a, okA := decimalOf(numbers[0])
		b, okB := decimalOf(numbers[1])
		if !okA || !okB {
			continue
		}
		count++
		for i := range digits {
			digits[i] = max(digits[i], fractionDigits(numbers[i]))
		}
		switch {
		case a > 1.2*b || b > 1.2*a: // too far apart for bid and ask
			apart++
		case a < b:
			rising++
		case a > b:
			falling++
		}
		bars = bars && areBars(numbers)
		third = third && len(numbers) > 2 && looksLikePrice(numbers[2], numbers[0])
		sizes = numbers[2:]
	}
	switch {
	case count == 0:
		return fmt.Errorf("%w: one number per line; want bid and ask", ErrFormat)
	case apart == count:
		return errTrades
	case bars:
		return errBars
	case third:
		return fmt.Errorf("%w: three prices per line, and it is unclear which are bid and ask; want a heading", ErrAmbiguous)
	case l.format == "histdata" || l.format == "truefx": // these vendors put the bid first
	case len(sizes) == 0 && (digits[0] > digits[1]+1 || digits[1] > digits[0]+1):
		return fmt.Errorf("%w: the numbers may be bid and ask, or a price and a volume, since one has more digits than the other; want a heading", ErrAmbiguous)
	case rising > 0 && falling > 0 && l.format != "dukascopy":
		return fmt.Errorf("%w: the first price of a line is sometimes below and sometimes above the second; want a heading", ErrAmbiguous)
	case falling > rising, falling == rising && l.format == "dukascopy":
		l.bid, l.ask = l.ask, l.bid
	}
	if len(sizes) == 2 && l.format != "histdata" && l.format != "truefx" { // in the order of the prices
		after := max(l.bid, l.ask) + 1
		l.bidSize, l.askSize = after, after+1
		if l.bid > l.ask {
			l.bidSize, l.askSize = after+1, after
		}
	}
	return nil
}

// unknownTime returns the text in the place of the time, in a line that has bid and ask but no
// readable time. It returns "" for any other line.
func unknownTime(line string) string {
	f := split(line, separatorOf(line))
	for i := 1; i+1 < len(f); i++ {
		bid, okBid := decimalOf(f[i])
		ask, okAsk := decimalOf(f[i+1])
		if okBid && okAsk && bid > 0 && ask > 0 && fractionDigits(f[i]) > 0 && !farApart(bid, ask) {
			return f[i-1]
		}
	}
	return ""
}

// notTicks returns an error if a line without a readable time, such as one with hours and minutes
// only, holds a bar or a trade.
func notTicks(line string) error {
	f := split(line, separatorOf(line))
	if len(f) < 2 {
		return nil
	}
	at := 1 + slices.IndexFunc(f[1:], func(text string) bool {
		n, ok := decimalOf(text)
		return ok && n > 0 && fractionDigits(text) > 0
	})
	if at == 0 || !strings.ContainsAny(f[0], "0123456789") {
		return nil
	}
	numbers := f[at:]
	if areBars(numbers) {
		return errBars
	}
	if len(numbers) != 2 {
		return nil
	}
	price, _ := decimalOf(numbers[0])
	if volume, ok := decimalOf(numbers[1]); ok && farApart(price, volume) {
		return errTrades
	}
	return nil
}

// areBars reports whether numbers begin with open, high, low and close.
func areBars(numbers []string) bool {
	if len(numbers) < 4 {
		return false
	}
	var p [4]float64
	for i := range p {
		p[i], _ = decimalOf(numbers[i])
		if !looksLikePrice(numbers[i], numbers[0]) {
			return false
		}
	}
	return p[1] >= max(p[0], p[2], p[3]) && p[2] <= min(p[0], p[1], p[3])
}

// looksLikePrice reports whether text can be a price of the same market as price.
func looksLikePrice(text, price string) bool {
	n, ok := decimalOf(text)
	p, _ := decimalOf(price)
	return ok && n > 0.8*p && n < 1.2*p && fractionDigits(text) >= fractionDigits(price)-1
}

func fractionDigits(number string) int {
	if i := strings.IndexAny(number, ".,"); i >= 0 {
		return len(number) - i - 1
	}
	return 0
}
