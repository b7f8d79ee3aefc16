package tickfile

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// format is one vendor's text. recognise returns the parser of a file that has
// this line, heading or tick, and whether the lines name their symbol; a nil
// parser means that it is another format.
type format struct {
	name      string
	recognise func(line string) (parse lineParser, hasSymbol bool)
}

// formats are tried in this order. No line fits two of them, but for dates
// written yyyy.mm.dd: those are Dukascopy's only below its heading.
var formats = []format{
	{"dukascopy", recogniseDukascopy},
	{"histdata", tickLine(parseHistData)},
	{"truefx", recogniseTrueFX},
	{"metatrader5", recogniseMT5},
	{"metatrader4", tickLine(parseMT4)},
}

// tickLine recognises a format that has no heading by a line that is a tick.
func tickLine(parse lineParser) func(string) (lineParser, bool) {
	return func(line string) (lineParser, bool) {
		if _, err := parse(line); err != nil {
			return nil, false
		}
		return parse, false
	}
}

// parseHistData reads YYYYMMDD HHMMSSmmm,bid,ask,volume: Eastern Standard Time
// all year round.
func parseHistData(line string) (q feed.Quote, err error) {
	f := strings.Split(line, ",")
	if len(f) != 4 {
		return q, fmt.Errorf("%d fields, want date and time, bid, ask, volume", len(f))
	}
	t, ok := parseTime(f[0], "yyyyMMdd HHmmssfff")
	if !ok {
		return q, badTime(f[0], "20200131 170000065")
	}
	const easternBehind = 5 * time.Hour
	return quote(t.Add(easternBehind), f[1], f[2])
}

// parseTrueFX reads USD/JPY,YYYYMMDD HH:MM:SS.mmm,bid,ask in UTC.
func parseTrueFX(line string) (q feed.Quote, err error) {
	f := strings.Split(line, ",")
	if len(f) != 4 {
		return q, fmt.Errorf("%d fields, want symbol, date and time, bid, ask", len(f))
	}
	symbol, err := feed.ParseSymbol(f[0])
	if err != nil {
		return q, err
	}
	t, ok := parseTime(f[1], "yyyyMMdd HH:mm:ss.fff")
	if !ok {
		return q, badTime(f[1], "20130131 22:00:00.295")
	}
	q, err = quote(t, f[2], f[3])
	q.Symbol = symbol
	return q, err
}

func recogniseTrueFX(line string) (lineParser, bool) {
	if _, err := parseTrueFX(line); err != nil {
		return nil, false
	}
	return parseTrueFX, true
}

// quote checks that the prices are decimal text. They stay parts of the line.
func quote(t time.Time, bid, ask string) (feed.Quote, error) {
	if !isPrice(bid) {
		return feed.Quote{}, fmt.Errorf("the bid is %s, want a decimal number", quoted(bid))
	}
	if !isPrice(ask) {
		return feed.Quote{}, fmt.Errorf("the ask is %s, want a decimal number", quoted(ask))
	}
	return feed.Quote{Bid: bid, Ask: ask, Time: t}, nil
}

// isPrice reports whether s is digits, with at most one point between them.
func isPrice(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	return allDigits(whole) && (!point || allDigits(fraction))
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

var errTimeZone = errors.New("the time zone is not known: want times in UTC")

func badTime(text, want string) error {
	return fmt.Errorf("the time is %s, want one such as %s", quoted(text), want)
}

// parseTime reads a UTC time written as layout says: y, M, d, H, m, s and f (part
// of a second) stand for digits, all else for itself. The part of a second, at
// the end of the layout, may be missing or have up to 9 digits.
func parseTime(s, layout string) (time.Time, bool) {
	var year, month, day, hour, minute, second, nano int
	for i := range len(layout) {
		c := layout[i]
		if c == 'f' || c == '.' && strings.HasPrefix(layout[i:], ".f") {
			fraction := s[i:]
			if fraction == "" {
				break
			}
			if c == '.' {
				if fraction[0] != '.' {
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
	return t.Truncate(time.Microsecond), t.Day() == day // else there is no such day
}
