package feed

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxInputBytes is the size of the largest object that is read.
const MaxInputBytes = 64 << 10

// InputOptions says how to read what a producer's message leaves open.
type InputOptions struct {
	Base        string // base of a message that names one currency only; "" = such a message is rejected
	Source      string // source of a message that names none
	ForceSource bool   // Source holds whatever the message says
}

// inputFields are the names ParseInput reads, in the order of the constants below.
var inputFields = []string{"symbol", "pair", "currency", "bid", "ask", "price", "ts", "timestamp", "source"}

const (
	fieldSymbol = iota
	fieldPair
	fieldCurrency
	fieldBid
	fieldAsk
	fieldPrice
	fieldTS
	fieldTimestamp
	fieldSource
	numFields
)

// ParseInput reads one JSON object of a producer:
//
//   - symbol or pair: a symbol as ParseSymbol takes it; or currency: a symbol, or
//     one code X, which means Base/X. The first of them that is given counts.
//   - bid and ask; or price, which becomes both. Numbers or strings; digits are
//     kept as written, an exponent is converted exactly.
//   - ts or timestamp, optional; ts comes first. RFC 3339, or Unix milliseconds
//     as a number or a string. A time without a zone is not believed: Time stays
//     zero and TimeUnzoned is set.
//   - source, optional.
//
// A field that is null counts as absent; other fields are ignored. Any error is a
// *Rejection; otherwise the quote passes Check. The quote does not share data's memory.
func ParseInput(data []byte, o InputOptions) (Quote, error) {
	q, r := parseInput(data, o)
	if r != nil {
		return Quote{}, r
	}
	return q, nil
}

func parseInput(data []byte, o InputOptions) (q Quote, r *Rejection) {
	var values [numFields]json.RawMessage
	if r := readObject(data, inputFields, values[:]); r != nil {
		return q, r
	}
	if q.Symbol, r = inputSymbol(values[:], o.Base); r != nil {
		return q, r
	}
	if q.Bid, q.Ask, r = inputPrices(values[:]); r != nil {
		return q, r
	}
	if q.Time, q.TimeUnzoned, r = inputTime(values[:]); r != nil {
		return q, r
	}
	q.Source = o.Source
	if raw := values[fieldSource]; raw != nil && !o.ForceSource {
		text, ok := stringValue(raw)
		if !ok || !validSource(text) {
			return q, sourceRejection(shown(raw))
		}
		q.Source = text
	}
	return q, q.check()
}

func inputSymbol(values []json.RawMessage, base string) (Symbol, *Rejection) {
	for _, field := range []int{fieldSymbol, fieldPair, fieldCurrency} {
		raw := values[field]
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
		if field == fieldCurrency && len(text) == 3 {
			if base == "" {
				return "", reject(ReasonUnknownSymbol, "currency is %s: no base is set for one code, give both, as in \"EUR/USD\"", quoted(text))
			}
			if strings.EqualFold(text, base) {
				return "", reject(ReasonUnknownSymbol, "currency is %s, which is the base itself: give the other currency", quoted(text))
			}
			text = base + "/" + text
		}
		sym, err := ParseSymbol(text)
		if err != nil {
			return "", reject(ReasonUnknownSymbol, "%s", err)
		}
		return sym, nil
	}
	return "", reject(ReasonMissingSymbol, "symbol is missing: give symbol, pair or currency, as in \"symbol\":\"EUR/USD\"")
}

func inputPrices(values []json.RawMessage) (bid, ask string, r *Rejection) {
	if values[fieldBid] == nil && values[fieldAsk] == nil && values[fieldPrice] != nil {
		price, r := inputPrice(values, fieldPrice)
		return price, price, r
	}
	if bid, r = inputPrice(values, fieldBid); r != nil {
		return "", "", r
	}
	ask, r = inputPrice(values, fieldAsk)
	return bid, ask, r
}

func inputPrice(values []json.RawMessage, field int) (string, *Rejection) {
	raw, name := values[field], inputFields[field]
	if raw == nil {
		return "", reject(ReasonMissingPrice, "%s is missing: give bid and ask, or price", name)
	}
	if text, ok := stringValue(raw); ok {
		return readPrice(name, text)
	}
	if !isNumber(raw) {
		return "", priceRejection(name, string(raw), ReasonNotANumber)
	}
	return readPrice(name, string(raw))
}

func inputTime(values []json.RawMessage) (t time.Time, unzoned bool, r *Rejection) {
	field := fieldTS
	if values[field] == nil {
		field = fieldTimestamp
	}
	raw, name := values[field], inputFields[field]
	if raw == nil {
		return t, false, nil
	}
	text, ok := stringValue(raw)
	if isNumber(raw) {
		text, ok = string(raw), true
	}
	if !ok {
		return t, false, timeRejection(name, string(raw))
	}
	t, zoned, r := readTime(name, text)
	if r != nil || zoned {
		return t, false, r
	}
	return time.Time{}, true, nil
}

// readObject reads the fields named by names into values, in the same order;
// null and absent fields stay nil. Names match exactly, unlike encoding/json's
// own, and a name given twice is an error: which one is meant cannot be known.
func readObject(data []byte, names []string, values []json.RawMessage) *Rejection {
	if len(data) > MaxInputBytes {
		return reject(ReasonTooLong, "the message has %d bytes: at most %d are read", len(data), MaxInputBytes)
	}
	if !utf8.Valid(data) {
		return reject(ReasonBadJSON, "the message is not valid UTF-8") // encoding/json would replace the bad bytes silently
	}
	if !json.Valid(data) {
		var v json.RawMessage
		return reject(ReasonBadJSON, "the message is not one JSON object: %s", json.Unmarshal(data, &v))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, _ := dec.Token(); open != json.Delim('{') {
		return reject(ReasonBadJSON, "the message is %s: it must be one JSON object, {…}", quoted(shown(data)))
	}
	seen := 0
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return reject(ReasonBadJSON, "the message is not one JSON object: %s", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return reject(ReasonBadJSON, "the message is not one JSON object: %s", err)
		}
		name, _ := key.(string)
		i := slices.Index(names, name)
		if i < 0 {
			continue
		}
		if seen&(1<<i) != 0 {
			return reject(ReasonBadJSON, "%s is given twice: give it once", names[i])
		}
		seen |= 1 << i
		if string(value) != "null" {
			values[i] = value
		}
	}
	return nil
}

// stringValue returns the text of a JSON string; ok is false for another kind.
func stringValue(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}

// shown is the text of a JSON string, or the JSON itself of another value.
func shown(raw json.RawMessage) string {
	if text, ok := stringValue(raw); ok {
		return text
	}
	return string(raw)
}
