package vendor

import (
	"encoding/json"

	"github.com/fxcast/fxcast/feed"
)

// text is a JSON string or number. A number keeps its digits as they were sent.
type text string

// UnmarshalJSON never fails: what is neither a string nor a number stays as it is, for the message
// of the rejection.
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	switch {
	case string(data) == "null":
	case json.Unmarshal(data, &s) == nil:
		*t = text(s)
	default:
		*t = text(data)
	}
	return nil
}

// sent is a quote in the words of a vendor.
type sent struct {
	symbol           string
	bid, ask         text
	bidSize, askSize text
	time             string
}

// add reads a quote and adds it to the update, unless its symbol is not selected. input is the
// message, for the list of rejected quotes. A price that can be read but is wrong is left to
// the gate.
func (u *Update) add(t Target, q sent, input []byte) {
	symbol, ok := u.symbol(t, q.symbol, input)
	if !ok {
		return
	}
	quote := feed.Quote{Symbol: symbol, Source: t.Source}
	bad := func(reason feed.Reason, format string, args ...any) {
		u.Bad = append(u.Bad, BadQuote{quote, feed.NewRejection(reason, format, args...), input})
	}
	bid, reason := feed.ReadPrice(string(q.bid))
	if reason != "" {
		bad(reason, "bid is %s", feed.Quoted(string(q.bid)))
		return
	}
	ask, reason := feed.ReadPrice(string(q.ask))
	if reason != "" {
		bad(reason, "ask is %s", feed.Quoted(string(q.ask)))
		return
	}
	quote.Bid, quote.Ask = bid, ask
	if q.time != "" {
		at, zoned, ok := feed.ReadTime(q.time)
		switch {
		case !ok || !feed.QuoteTimeInRange(at):
			bad(feed.ReasonBadTime, "the time is %s", feed.Quoted(q.time))
			return
		case zoned:
			quote.Time = at
		default:
			quote.TimeUnzoned = true
		}
	}
	for _, size := range []struct {
		sent text
		read *string
	}{{q.bidSize, &quote.BidSize}, {q.askSize, &quote.AskSize}} {
		if *size.read, ok = feed.ReadSize(string(size.sent)); !ok {
			*size.read = ""
			quote.BadSizes++
		}
	}
	u.Quotes = append(u.Quotes, quote)
}

// halt notes that a symbol cannot be traded.
func (u *Update) halt(t Target, name string, input []byte) {
	if symbol, ok := u.symbol(t, name, input); ok {
		u.Halted = append(u.Halted, symbol)
	}
}

// symbol returns the symbol with a vendor's name if it is selected. A vendor that sends more than
// was asked for may send symbols that the table of instruments does not know.
func (u *Update) symbol(t Target, name string, input []byte) (feed.Symbol, bool) {
	symbol, err := t.Instruments.ParseSymbol(name)
	if err == nil {
		return symbol, t.Symbols.Matches(symbol)
	}
	if _, named := t.Symbols.Named(); named {
		u.Bad = append(u.Bad, BadQuote{feed.Quote{Source: t.Source}, feed.NewRejection(feed.ReasonUnknownSymbol, "%s", err), input})
	}
	return "", false
}
