package tickfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fxcast/fxcast/feed"
)

// metatrader5 reads a tick export of MetaTrader 5: columns under a heading
// such as <DATE> <TIME> <BID> <ASK> <LAST> <VOLUME> <FLAGS>, with tabs between. A
// side that is empty is as in the line before.
type metatrader5 struct {
	heading              string
	separator            string
	date, time, bid, ask int    // columns
	lastBid, lastAsk     string // "" before the first
}

func recogniseMT5(line string) (lineParser, bool) {
	m := &metatrader5{heading: line, date: -1, time: -1, bid: -1, ask: -1}
	for _, m.separator = range []string{"\t", ",", ";"} {
		for i, column := range strings.Split(strings.ToUpper(line), m.separator) {
			switch strings.TrimSpace(column) {
			case "<DATE>":
				m.date = i
			case "<TIME>":
				m.time = i
			case "<BID>":
				m.bid = i
			case "<ASK>":
				m.ask = i
			}
		}
		if m.date >= 0 && m.time >= 0 && m.bid >= 0 && m.ask >= 0 {
			return m.parse, false
		}
	}
	return nil, false
}

func (m *metatrader5) parse(line string) (q feed.Quote, err error) {
	if line == m.heading {
		return q, errNoTick
	}
	f := strings.Split(line, m.separator)
	// Empty columns at the end may have been cut off with the line's end.
	if len(f) <= max(m.date, m.time) {
		return q, fmt.Errorf("%d fields, want date, time, bid, ask", len(f))
	}
	t, ok := parseTime(f[m.date]+" "+f[m.time], "yyyy.MM.dd HH:mm:ss.fff")
	if !ok {
		return q, badTime(f[m.date]+" "+f[m.time], "2022.11.30 15:00:00.017")
	}
	bid, ask := m.lastBid, m.lastAsk
	if m.bid < len(f) && f[m.bid] != "" {
		bid = f[m.bid]
	}
	if m.ask < len(f) && f[m.ask] != "" {
		ask = f[m.ask]
	}
	switch {
	case bid == "" && ask == "":
		return q, errNoTick // a trade without a quote
	case bid == "":
		m.lastAsk = validPrice(ask)
		return q, errors.New("the bid is empty and no line before has one")
	case ask == "":
		m.lastBid = validPrice(bid)
		return q, errors.New("the ask is empty and no line before has one")
	}
	if q, err = quote(t, bid, ask); err == nil {
		// Cloned so that an unchanged side does not keep its whole line.
		if bid != m.lastBid {
			m.lastBid = strings.Clone(bid)
		}
		if ask != m.lastAsk {
			m.lastAsk = strings.Clone(ask)
		}
	}
	return q, err
}

func validPrice(s string) string {
	if !isPrice(s) {
		return ""
	}
	return strings.Clone(s)
}

// parseMT4 reads what scripts for MetaTrader 4 write for want of an export of its
// own: 2022.11.10 15:00:00.017,0.86682,0.86712, also with the date and time apart,
// and with semicolons or tabs. Bars have no seconds and so are not taken for ticks.
func parseMT4(line string) (q feed.Quote, err error) {
	f := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' || r == '\t' })
	if len(f) > 0 && len(f[0]) == len("2022.11.10") && len(f) > 1 {
		f = append([]string{f[0] + " " + f[1]}, f[2:]...)
	}
	if len(f) < 3 || len(f) > 5 {
		return q, errors.New("want date and time, bid, ask")
	}
	t, ok := parseTime(f[0], "yyyy.MM.dd HH:mm:ss.fff")
	if !ok {
		return q, badTime(f[0], "2022.11.30 15:00:00.017")
	}
	return quote(t, f[1], f[2])
}
