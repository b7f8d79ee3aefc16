package tickfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// A layout describes the columns of a file's lines. heading.go finds it by a heading, headless.go
// by the shape of the lines.
type layout struct {
	format    string // as Reader.Format names it
	heading   string // a line to skip, even if concatenated files repeat it; "" = none
	columns   int    // columns of the heading; 0 = no heading
	separator rune
	decimal   byte // the decimal sign of numbers: . or ,
	clock     clock

	// Indexes of columns; -1 = no such column.
	time, timeOfDay  int // timeOfDay is set if time holds only the date
	bid, ask         int
	bidSize, askSize int
	symbol           int

	// In MetaTrader 5 an empty bid or ask means that of the previous line.
	carries          bool
	lastBid, lastAsk string // "" before the first
}

// noColumns returns a layout in which no column is known.
func noColumns(separator rune) *layout {
	return &layout{separator: separator, decimal: '.', time: -1, timeOfDay: -1, bid: -1, ask: -1, bidSize: -1, askSize: -1, symbol: -1}
}

// parse reads one line. The symbol of the result is empty if lines do not name it.
func (l *layout) parse(line string, instruments *feed.Instruments) (q feed.Quote, err error) {
	if line == l.heading {
		return q, errNoTick
	}
	f := split(line, l.separator)
	needed := max(l.time, l.timeOfDay, l.symbol)
	if !l.carries { // otherwise empty columns at the end may be missing
		needed = max(needed, l.bid, l.ask)
	}
	if len(f) <= needed {
		return q, fmt.Errorf("%d fields, want at least %d: time, bid and ask", len(f), needed+1)
	}
	if l.columns > 0 && len(f) > l.columns && strings.Join(f[l.columns:], "") != "" {
		return q, fmt.Errorf("%d fields, but the heading has %d", len(f), l.columns)
	}
	if l.symbol >= 0 {
		if q.Symbol, err = instruments.ParseSymbol(f[l.symbol]); err != nil {
			return q, feed.NewRejection(feed.ReasonUnknownSymbol, "%s", err)
		}
	}
	if q.Time, err = l.clock.read(l.timeText(f)); err != nil {
		return q, err
	}
	bid, ask, err := l.sides(f)
	if err != nil {
		return q, err
	}
	if q.Bid, err = l.price("bid", bid); err != nil {
		return q, err
	}
	if q.Ask, err = l.price("ask", ask); err != nil {
		return q, err
	}
	if l.carries {
		// Cloned so that an unchanged price does not keep its whole line in memory.
		l.lastBid, l.lastAsk = strings.Clone(q.Bid), strings.Clone(q.Ask)
	}
	q.BidSize, q.AskSize = l.size(f, l.bidSize, &q.BadSizes), l.size(f, l.askSize, &q.BadSizes)
	return q, nil
}

func (l *layout) timeText(f []string) string {
	if l.timeOfDay >= 0 {
		return f[l.time] + " " + f[l.timeOfDay]
	}
	return f[l.time]
}

// sides returns the texts of bid and ask.
func (l *layout) sides(f []string) (bid, ask string, err error) {
	if l.bid < len(f) {
		bid = f[l.bid]
	}
	if l.ask < len(f) {
		ask = f[l.ask]
	}
	if !l.carries {
		return bid, ask, nil
	}
	if bid == "" && ask == "" && l.lastBid == "" && l.lastAsk == "" {
		return "", "", errNoTick // a trade without a quote
	}
	if bid == "" {
		bid = l.lastBid
	}
	if ask == "" {
		ask = l.lastAsk
	}
	switch {
	case bid == "":
		l.lastAsk = l.plain(ask)
		return "", "", errors.New("the bid is empty and no previous line has one")
	case ask == "":
		l.lastBid = l.plain(bid)
		return "", "", errors.New("the ask is empty and no previous line has one")
	}
	return bid, ask, nil
}

// plain returns a price as plain decimal text, or "" if text is not a price.
func (l *layout) plain(text string) string {
	plain, err := l.price("price", text)
	if err != nil {
		return ""
	}
	return strings.Clone(plain)
}

// price returns a number as plain decimal text. It does not check whether the number is acceptable
// as a price.
func (l *layout) price(side, text string) (string, error) {
	number, ok := l.number(text)
	if !ok {
		return "", feed.NewRejection(feed.ReasonNotANumber, "the %s is %s, want a decimal number", side, quoted(text))
	}
	plain, reason := feed.ReadPrice(number)
	switch reason {
	case "":
		return plain, nil
	case feed.ReasonZero, feed.ReasonTooLong: // numbers, for the gate to refuse
		return number, nil
	}
	return "", feed.NewRejection(reason, "the %s is %s, want a decimal number", side, quoted(text))
}

// number returns the text of a number with a point as decimal sign.
func (l *layout) number(text string) (string, bool) {
	if l.decimal == '.' {
		return text, !strings.Contains(text, ",")
	}
	return strings.Replace(text, ",", ".", 1), !strings.Contains(text, ".") && strings.Count(text, ",") <= 1
}

func (l *layout) size(f []string, column int, bad *int) string {
	if column < 0 || column >= len(f) || f[column] == "" {
		return ""
	}
	if number, ok := l.number(f[column]); ok {
		if size, ok := feed.ReadSize(number); ok {
			return size
		}
	}
	*bad++
	return ""
}

// separatorOf returns the separator between the fields of a line.
func separatorOf(line string) rune {
	switch {
	case strings.Contains(line, "\t"):
		return '\t'
	case strings.Contains(line, ";"):
		return ';'
	}
	return ','
}

// split cuts a line into its fields and removes blanks around them and the quotation marks of CSV.
func split(line string, separator rune) []string {
	var f []string
	if strings.Contains(line, `"`) {
		in := csv.NewReader(strings.NewReader(line))
		in.Comma, in.LazyQuotes, in.TrimLeadingSpace = separator, true, separator != '\t'
		f, _ = in.Read() // with lazy quotes reading a line cannot fail
	} else {
		f = strings.Split(line, string(separator))
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	return f
}

// A clock reads the times of one file.
type clock struct {
	layout string         // of dates; "" = ISO 8601 or Unix time
	zone   *time.Location // of times without a zone; nil = every time must have one
}

// dateLayouts lists the layouts of dates that can be read in only one way.
var dateLayouts = []string{
	"dd.MM.yyyy HH:mm:ss.fff",
	"yyyy.MM.dd HH:mm:ss.fff",
	"yyyy/MM/dd HH:mm:ss.fff",
	"yyyyMMdd HH:mm:ss.fff",
	histDataTime,
}

const (
	histDataTime = "yyyyMMdd HHmmssfff"
	monthFirst   = "MM/dd/yyyy HH:mm:ss.fff"
	dayFirst     = "dd/MM/yyyy HH:mm:ss.fff"
)

// layoutOf returns the layout of a time. Dates with slashes and the year last are not included: for
// them judgeTimes decides whether the month or the day comes first.
func layoutOf(text string) (layout string, ok bool) {
	text, _, _ = strings.Cut(text, " GMT")
	for _, layout := range dateLayouts {
		if _, ok := parseTime(text, layout); ok {
			return layout, true
		}
	}
	t, _, ok := feed.ReadTime(text)
	return "", ok && feed.QuoteTimeInRange(t)
}

var errTimeZone = feed.NewRejection(feed.ReasonBadTime, "the time is local but has no zone: want one such as GMT+0100 after it, or --zone")

// read returns a time in UTC. A zone such as GMT+0100 may follow it.
func (c clock) read(text string) (time.Time, error) {
	day, suffix, zoned := strings.Cut(text, " GMT")
	var offset time.Duration
	if zoned {
		at, err := time.Parse("-0700", suffix)
		if err != nil {
			return time.Time{}, badTime(text, "31.12.2012 00:00:01.883 GMT+0100")
		}
		_, seconds := at.Zone()
		offset = time.Duration(seconds) * time.Second
	}
	var t time.Time
	ok := false
	if c.layout != "" {
		t, ok = parseTime(day, c.layout)
	} else {
		var hasZone bool
		t, hasZone, ok = feed.ReadTime(day)
		zoned = zoned || hasZone
	}
	switch {
	case !ok && c.layout == "":
		return time.Time{}, badTime(text, "2012-12-31T00:00:01.883Z")
	case !ok:
		return time.Time{}, badTime(text, example(c.layout))
	case zoned:
		t = t.Add(-offset)
	case c.zone == nil:
		return time.Time{}, errTimeZone
	default:
		year, month, date := t.Date()
		t = time.Date(year, month, date, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), c.zone).UTC()
	}
	if !feed.QuoteTimeInRange(t) {
		return time.Time{}, feed.NewRejection(feed.ReasonBadTime, "the time is %s: the year must be from 1990 to 2199", quoted(text))
	}
	return t, nil
}

func badTime(text, want string) error {
	return feed.NewRejection(feed.ReasonBadTime, "the time is %s, want one such as %s", quoted(text), want)
}

// example returns an example of a time in a layout.
func example(layout string) string {
	return strings.NewReplacer("yyyy", "2012", "MM", "12", "dd", "31", "HH", "17", "mm", "00", "ss", "01", "fff", "883").Replace(layout)
}

// parseTime reads a time with a layout: y, M, d, H, m, s and f (fraction of a second) stand for
// digits, any other character for itself. The fraction, at the end of the layout, may be missing,
// have up to 9 digits, and follow a comma.
func parseTime(s, layout string) (time.Time, bool) {
	var year, month, day, hour, minute, second, nano int
	for i := range len(layout) {
		c := layout[i]
		if c == 'f' || c == '.' && strings.HasPrefix(layout[i:], ".f") {
			if i > len(s) {
				return time.Time{}, false
			}
			fraction := s[i:]
			if fraction == "" {
				break
			}
			if c == '.' {
				if fraction[0] != '.' && fraction[0] != ',' {
					return time.Time{}, false
				}
				fraction = fraction[1:]
			}
			if len(fraction) > 9 || !allDigits(fraction) {
				return time.Time{}, false
			}
			unit := int(time.Second)
			for j := range len(fraction) {
				unit /= 10
				nano += int(fraction[j]-'0') * unit
			}
			break
		}
		if i >= len(s) {
			return time.Time{}, false
		}
		var field *int
		switch c {
		case 'y':
			field = &year
		case 'M':
			field = &month
		case 'd':
			field = &day
		case 'H':
			field = &hour
		case 'm':
			field = &minute
		case 's':
			field = &second
		default:
			if s[i] != c {
				return time.Time{}, false
			}
			continue
		}
		if s[i] < '0' || s[i] > '9' {
			return time.Time{}, false
		}
		*field = *field*10 + int(s[i]-'0')
	}
	if !strings.Contains(layout, "f") && len(s) != len(layout) {
		return time.Time{}, false
	}
	if year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC)
	return t.Truncate(time.Microsecond), t.Day() == day // otherwise there is no such day
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
