package tickfile

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// role is the meaning of a column, by its name in a heading.
type role int

const (
	roleNone role = iota
	roleTime      // date and time
	roleDate      // the date, if there is also a column of times
	roleBid
	roleAsk
	roleBidSize
	roleAskSize
	roleSymbol
	roleOpen
	roleHigh
	roleLow
	roleClose
	roleTrade // the price of a trade
	roles     = iota
)

var columnNames = map[role][]string{
	roleTime:    {"time", "timestamp", "datetime", "gmttime", "localtime", "utctime", "timeutc", "timegmt", "ts", "t"},
	roleDate:    {"date"},
	roleBid:     {"bid", "bidprice"},
	roleAsk:     {"ask", "askprice", "offer", "offerprice"},
	roleBidSize: {"bidvolume", "bidsize", "bidvol", "bidqty"},
	roleAskSize: {"askvolume", "asksize", "askvol", "askqty"},
	roleSymbol:  {"symbol", "pair", "instrument", "currencypair", "ticker"},
	roleOpen:    {"open", "o", "openbid", "bidopen"},
	roleHigh:    {"high", "h", "highbid", "bidhigh"},
	roleLow:     {"low", "l", "lowbid", "bidlow"},
	roleClose:   {"close", "c", "closebid", "bidclose"},
	roleTrade:   {"price", "last", "trade", "lastprice"},
}

func roleOf(name string) role {
	name = strings.NewReplacer(" ", "", "_", "", "-", "", "<", "", ">", "", "(", "", ")", "").Replace(strings.ToLower(name))
	for r, names := range columnNames {
		if slices.Contains(names, name) {
			return r
		}
	}
	return roleNone
}

// recognizeHeading returns the layout that a heading describes, or nil without an error if line is
// not a heading. judge later finds the layout of the times and the decimal sign in sample lines.
func recognizeHeading(line string) (*layout, error) {
	l := noColumns(separatorOf(line))
	names := split(line, l.separator)
	var at [roles]int // 1 + column
	for i, name := range names {
		r := roleOf(name)
		if r == roleNone {
			continue
		}
		if at[r] > 0 && r != roleTime && r != roleTrade {
			return nil, fmt.Errorf("%w: the heading %s has two columns with the same meaning, %s and %s", ErrFormat, quoted(line), quoted(names[at[r]-1]), quoted(name))
		}
		if at[r] == 0 {
			at[r] = 1 + i
		}
	}
	if at[roleTime] == 0 {
		at[roleTime], at[roleDate] = at[roleDate], 0
	}
	switch {
	case at[roleTime] == 0 && at[roleBid] == 0 && at[roleAsk] == 0:
		return nil, nil
	case at[roleBid] > 0 && at[roleAsk] > 0 && at[roleTime] > 0:
	case at[roleOpen] > 0 && at[roleHigh] > 0 && at[roleLow] > 0 && at[roleClose] > 0:
		return nil, errBars
	case at[roleTime] > 0 && at[roleTrade] > 0:
		return nil, errTrades
	case at[roleTime] > 0 && at[roleBid] == 0 && at[roleAsk] == 0 && len(names) < 2:
		return nil, nil // a title that happens to be a word
	default:
		return nil, fmt.Errorf("%w: the heading %s has no column of the %s; want time, bid and ask", ErrFormat, quoted(line), missing(at))
	}
	l.heading, l.columns = line, len(names)
	l.time, l.bid, l.ask = at[roleTime]-1, at[roleBid]-1, at[roleAsk]-1
	if at[roleDate] > 0 {
		l.time, l.timeOfDay = at[roleDate]-1, at[roleTime]-1
	}
	l.bidSize, l.askSize, l.symbol = at[roleBidSize]-1, at[roleAskSize]-1, at[roleSymbol]-1
	l.name(line, strings.ToLower(names[at[roleTime]-1]))
	return l, nil
}

func missing(at [roles]int) string {
	switch {
	case at[roleTime] == 0:
		return "time"
	case at[roleBid] == 0:
		return "bid"
	}
	return "ask"
}

// name sets the vendor's format by the heading, and the zone of the vendor's times.
func (l *layout) name(heading, timeColumn string) {
	l.format, l.clock.zone = "csv", time.UTC
	switch {
	case strings.Contains(heading, "<"):
		// The time of the broker's server, which the file does not name.
		l.format, l.carries = "metatrader5", true
	case strings.Contains(timeColumn, "local"):
		l.format, l.clock.zone = "dukascopy", nil
	case strings.ContainsAny(timeColumn, " (") || strings.Contains(strings.ToLower(heading), "askprice"):
		l.format = "dukascopy"
	case strings.EqualFold(strings.ReplaceAll(heading, " ", ""), "DateTime,Bid,Ask"):
		l.format, l.clock.layout = "fxcm", monthFirst
	}
}
