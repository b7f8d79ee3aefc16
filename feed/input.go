package feed

import (
	"encoding/json"
	"time"
)

// MaxInputBytes is the largest accepted size of one object.
const MaxInputBytes = 64 << 10

// InputOptions configures how ParseInput reads values that a message leaves open.
type InputOptions struct {
	Instruments *Instruments // the known symbols; nil = the table without settings
	Base        string       // base of a message that names only one currency; "" = reject such a message
	Source      string       // source of a message that does not name one
	ForceSource bool         // use Source even if the message names another one
}

// The fields of a producer's message. If several names of one value are given, the first in this
// order counts.
const (
	fieldSymbol = iota
	fieldPair
	fieldInstrument
	fieldCurrency
	fieldBid
	fieldAsk
	fieldPrice
	fieldBidSize
	fieldAskSize
	fieldTS
	fieldTimestamp
	fieldTime
	fieldDatetime
	fieldT
	fieldSource
	numFields
)

// inputFields are the field names that ParseInput reads, in the order of the constants.
var inputFields = [numFields]string{
	"symbol", "pair", "instrument", "currency", "bid", "ask", "price", "bid_size", "ask_size",
	"ts", "timestamp", "time", "datetime", "t", "source",
}

// inputValues holds the fields of one message; nil = absent or null.
type inputValues [numFields]json.RawMessage

// ParseInput reads one JSON object of a producer. Field names may be in any case:
//
//   - symbol, pair or instrument: a symbol in any form of Instruments.ParseSymbol; or
//     currency: a symbol, or one code X, which means Base/X.
//   - bid and ask; or price, which becomes both. Numbers or strings. Digits are
//     kept as written; an exponent is expanded exactly.
//   - bid_size and ask_size, optional: of the same form, or zero. A size that cannot
//     be read is left out and counted in BadSizes.
//   - ts, timestamp, time, datetime or t, optional: RFC 3339, Unix time in seconds,
//     ms, µs or ns as a number or a string, or the form of the FIX protocol. Time is
//     zero without one, and also if it has no zone, since it may then mean any zone.
//   - source, optional: converted by SourceName.
//
// A field that is null counts as absent, and so do empty times, sizes and sources. Other fields are
// ignored.
//
// Any error is a *Rejection; the quote then has at most the symbol and the source, for reports.
// Without an error the quote passes Instruments.Check. The quote does not share data's memory.
func ParseInput(data []byte, o InputOptions) (Quote, error) {
	q, r := parseInput(data, o)
	if r != nil {
		return Quote{Symbol: q.Symbol, Source: q.Source}, r
	}
	return q, nil
}

func parseInput(data []byte, o InputOptions) (q Quote, r *Rejection) {
	q.Source = o.Source
	var values inputValues
	if r := values.read(data); r != nil {
		return q, r
	}
	if raw := values[fieldSource]; raw != nil && !o.ForceSource {
		if label := shown(raw); label != "" {
			q.Source = SourceName(label)
		}
	}
	if q.Symbol, r = values.symbol(o); r != nil {
		return q, r
	}
	if q.Bid, q.Ask, r = values.prices(); r != nil {
		return q, r
	}
	if q.Time, q.TimeUnzoned, r = values.time(); r != nil {
		return q, r
	}
	q.BidSize, q.AskSize = values.size(fieldBidSize, &q.BadSizes), values.size(fieldAskSize, &q.BadSizes)
	return q, nil
}

// read fills v with the fields of a message.
func (v *inputValues) read(data []byte) *Rejection {
	if len(data) > MaxInputBytes {
		return reject(ReasonTooLong, "the message has %d bytes; the limit is %d", len(data), MaxInputBytes)
	}
	if err := checkObject(data); err != nil {
		return reject(ReasonBadJSON, "the message is not one JSON object: %s", err)
	}
	var seen [numFields]bool
	for m := membersOf(data); m.next(); {
		field, ok := inputField(unquoted(m.name))
		if !ok {
			continue
		}
		if seen[field] {
			return reject(ReasonBadJSON, "%s is given twice: give it once", inputFields[field])
		}
		seen[field] = true
		if string(m.value) != "null" {
			v[field] = m.value
		}
	}
	return nil
}

// inputField returns the field with a name, in any case.
func inputField(name []byte) (field int, ok bool) {
	var lower [16]byte
	if len(name) > len(lower) {
		return 0, false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	for i, known := range inputFields {
		if string(lower[:len(name)]) == known {
			return i, true
		}
	}
	return 0, false
}

func (v *inputValues) symbol(o InputOptions) (Symbol, *Rejection) {
	for field := fieldSymbol; field <= fieldCurrency; field++ {
		raw := v[field]
		if raw == nil {
			continue
		}
		text, ok := stringValue(raw)
		if !ok {
			return "", reject(ReasonUnknownSymbol, "%s is %s: give a string such as \"EUR/USD\"", inputFields[field], quoted(shown(raw)))
		}
		if text == "" {
			return "", reject(ReasonMissingSymbol, "%s is empty: give one such as \"EUR/USD\"", inputFields[field])
		}
		if field == fieldCurrency && o.Instruments.isOneCode(text) {
			if o.Base == "" {
				return "", reject(ReasonUnknownSymbol, "currency is %s: no base is set for one code, give both, as in \"EUR/USD\"", quoted(text))
			}
			if upper(text) == upper(o.Base) {
				return "", reject(ReasonUnknownSymbol, "currency is %s, which is the base itself: give the other currency", quoted(text))
			}
			text = o.Base + "/" + text
		}
		symbol, err := o.Instruments.ParseSymbol(text)
		if err != nil {
			return "", reject(ReasonUnknownSymbol, "%s", err)
		}
		return symbol, nil
	}
	return "", reject(ReasonMissingSymbol, "symbol is missing: give symbol, pair, instrument or currency, as in \"symbol\":\"EUR/USD\"")
}

func (v *inputValues) prices() (bid, ask string, r *Rejection) {
	if v[fieldBid] == nil && v[fieldAsk] == nil && v[fieldPrice] != nil {
		price, r := v.price(fieldPrice)
		return price, price, r
	}
	if bid, r = v.price(fieldBid); r != nil {
		return "", "", r
	}
	if ask, r = v.price(fieldAsk); r != nil {
		return "", "", r
	}
	return bid, ask, checkCrossed(bid, ask)
}

func (v *inputValues) price(field int) (string, *Rejection) {
	raw, name := v[field], inputFields[field]
	if raw == nil {
		return "", reject(ReasonMissingPrice, "%s is missing: give bid and ask, or price", name)
	}
	text, ok := v.text(field)
	if !ok {
		return "", priceRejection(name, string(raw), ReasonNotANumber)
	}
	return readPrice(name, text)
}

// text returns a number as written, or the text of a string.
func (v *inputValues) text(field int) (text string, ok bool) {
	if isNumber(v[field]) {
		return string(v[field]), true
	}
	return stringValue(v[field])
}

// size returns a size, or "" if there is none. It counts a size that cannot be read in bad.
func (v *inputValues) size(field int, bad *int) string {
	if v[field] == nil {
		return ""
	}
	if text, ok := v.text(field); ok {
		if size, ok := readSize(text); ok {
			return size
		}
	}
	*bad++
	return ""
}

func (v *inputValues) time() (t time.Time, unzoned bool, r *Rejection) {
	for field := fieldTS; field <= fieldT; field++ {
		raw, name := v[field], inputFields[field]
		if raw == nil {
			continue
		}
		text, ok := v.text(field)
		if !ok {
			return t, false, timeRejection(name, string(raw))
		}
		if text == "" {
			continue
		}
		t, zoned, r := readTime(name, text)
		switch {
		case r != nil:
			return time.Time{}, false, r
		case !QuoteTimeInRange(t):
			return time.Time{}, false, reject(ReasonBadTime, "%s is %s: the year must be from 1990 to 2199", name, quoted(text))
		case !zoned:
			return time.Time{}, true, nil
		}
		return t, false, nil
	}
	return time.Time{}, false, nil
}
