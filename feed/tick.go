package feed

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Tick is an accepted quote with its sequence number.
type Tick struct {
	Symbol   Symbol
	Bid, Ask string // plain decimal text

	BidSize, AskSize string // as in a Quote; "" = not given

	Time   time.Time // of the quote: UTC, whole microseconds
	Seq    uint64    // per symbol, +1 per accepted quote within an epoch; from 1
	Epoch  string    // changes when Redis lost the counter
	Gap    bool      // the quote confirmed a jump of the price
	At     int64     // acceptance by Redis's clock, Unix microseconds
	Source string    // never ""
	Halted bool      // not a new quote: the last one, which is not current any more

	// Body is the quote as clients receive it: JSON without the closing brace, so that fields can
	// be appended: {"symbol":…,"bid":…,"ask":…,"ts":…,"seq":… It may be kept but must not be
	// changed. Its capacity equals its length, so appending copies it.
	Body []byte
}

// AppendBody appends the JSON of Body, built from the other fields, to dst. The fields must be
// valid, as DecodeTick returns them.
func (a Tick) AppendBody(dst []byte) []byte {
	return protocol.Quote{
		Symbol: string(a.Symbol), Bid: a.Bid, Ask: a.Ask, BidSize: a.BidSize, AskSize: a.AskSize,
		Time: protocol.At(a.Time), Seq: a.Seq, Extra: protocol.Extra{Gap: a.Gap},
	}.AppendBody(dst)
}

// AppendJSON appends the message of the quote channel to dst, byte for byte as the publish script
// writes it. The fields must be valid, as for AppendBody. Halted is left out.
func (a Tick) AppendJSON(dst []byte) []byte {
	dst = a.AppendBody(dst)
	dst = append(dst, `,"epoch":"`...)
	dst = append(dst, a.Epoch...)
	dst = append(dst, `","at":`...)
	dst = strconv.AppendInt(dst, a.At, 10)
	dst = append(dst, `,"source":"`...)
	dst = append(dst, a.Source...)
	return append(dst, `"}`...)
}

// DecodeTick reads a message of a symbol's quote channel, or its last value. Body of the result
// shares msg's memory: msg must not be changed afterwards.
//
// DecodeTick reads the exact layout of AppendJSON with one allocation, the copy that the strings
// share. It also reads any other JSON object with the same fields, more slowly; unknown fields are
// ignored, and source may be absent. Every field is checked in both cases, but not whether the
// symbol is known: that depends on the table of the node that accepted it. The error text is
// bounded and printable.
func DecodeTick(msg []byte) (Tick, error) {
	if a, ok := decodeExact(msg); ok {
		return a, nil
	}
	a, r := decodeObject(msg)
	if r != nil {
		return Tick{}, fmt.Errorf("feed: read accepted quote: %w", r)
	}
	return a, nil
}

// decodeExact reads only the layout of AppendJSON. It cuts each value at the text that follows it;
// tickText.check then allows no value that could contain such text.
func decodeExact(msg []byte) (Tick, bool) {
	if len(msg) > MaxInputBytes {
		return Tick{}, false
	}
	b, rest, ok := protocol.CutBody(string(msg))
	body := len(msg) - len(rest)
	t := tickText{symbol: b.Symbol, bid: b.Bid, ask: b.Ask, bidSize: b.BidSize, askSize: b.AskSize, time: b.Time, seq: b.Seq, gap: b.Gap}
	var found [4]bool
	rest, found[0] = strings.CutPrefix(rest, `,"epoch":"`)
	t.epoch, rest, found[1] = strings.Cut(rest, `","at":`)
	t.at, rest, found[2] = strings.Cut(rest, `,"source":"`)
	t.source, found[3] = strings.CutSuffix(rest, `"}`)
	if !ok || found != [4]bool{true, true, true, true} || !exactTime(t.time) {
		return Tick{}, false
	}
	a, r := t.tick()
	if r != nil {
		return Tick{}, false
	}
	a.Body = msg[:body:body]
	return a, true
}

func exactTime(s string) bool {
	return len(s) == len(protocol.TimeLayout) && s[10] == 'T' && s[19] == '.' && s[26] == 'Z'
}

var tickFields = []string{"symbol", "bid", "ask", "ts", "epoch", "bid_size", "ask_size", "source", "seq", "at", "gap", "halted"}

// decodeObject reads any JSON object with the fields of AppendJSON.
func decodeObject(msg []byte) (Tick, *Rejection) {
	var values [12]json.RawMessage
	if r := readObject(msg, tickFields, values[:]); r != nil {
		return Tick{}, r
	}
	var t tickText
	for i, dst := range []*string{&t.symbol, &t.bid, &t.ask, &t.time, &t.epoch, &t.bidSize, &t.askSize, &t.source} {
		if values[i] == nil {
			continue // tick checks it
		}
		text, isString := stringValue(values[i])
		if !isString {
			return Tick{}, reject(ReasonBadJSON, "%s is %s: it must be a string", tickFields[i], quoted(string(values[i])))
		}
		*dst = text
	}
	if values[7] == nil {
		t.source = DefaultSource
	}
	t.seq, t.at, t.gap = string(values[8]), string(values[9]), string(values[10]) == "true"
	a, r := t.tick()
	if r != nil {
		return Tick{}, r
	}
	a.Halted = string(values[11]) == "true"
	a.Body = slices.Clip(a.AppendBody(nil))
	return a, nil
}

// tickText is an accepted quote before its fields are checked.
type tickText struct {
	symbol, bid, ask, bidSize, askSize, time, seq, epoch, at, source string
	gap                                                              bool
}

func (t tickText) tick() (Tick, *Rejection) {
	at, zoned, ok := parseTimeText(t.time)
	if !ok || !zoned {
		return Tick{}, reject(ReasonBadTime, "ts is %s: it must be RFC 3339 with a zone", quoted(t.time))
	}
	if !timeInRange(at) {
		return Tick{}, reject(ReasonBadTime, "ts is %s: the year must be from 1970 to 2199", quoted(t.time))
	}
	q := Quote{Symbol: Symbol(t.symbol), Bid: t.bid, Ask: t.ask, BidSize: t.bidSize, AskSize: t.askSize, Source: t.source}
	if !q.Symbol.Canonical() {
		return Tick{}, reject(ReasonUnknownSymbol, "symbol is %s: it must be in canonical form, as in EUR/USD", quoted(t.symbol))
	}
	if r := q.checkValues(); r != nil {
		return Tick{}, r
	}
	if t.source == "" {
		return Tick{}, sourceRejection("")
	}
	seq, ok := parseCount(t.seq)
	if !ok {
		return Tick{}, reject(ReasonBadJSON, "seq is %s: it must be a whole number from 1 to 2^53-1", quoted(t.seq))
	}
	accepted, ok := parseCount(t.at)
	if !ok {
		return Tick{}, reject(ReasonBadJSON, "at is %s: it must be Unix microseconds", quoted(t.at))
	}
	if !validEpoch(t.epoch) {
		return Tick{}, reject(ReasonBadJSON, "epoch is %s: it must be 1 to 32 letters, digits, _ or -", quoted(t.epoch))
	}
	return Tick{
		Symbol: q.Symbol, Bid: q.Bid, Ask: q.Ask, BidSize: q.BidSize, AskSize: q.AskSize,
		Time: at, Seq: uint64(seq), Epoch: t.epoch, Gap: t.gap, At: accepted, Source: t.source,
	}, nil
}

// parseCount reads a positive integer that JavaScript counts exactly.
func parseCount(s string) (int64, bool) {
	if s == "" || len(s) > 16 || s[0] == '0' || scanDigits(s, 0) != len(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n < 1<<53
}

// validEpoch reports whether s is an epoch: it excludes the characters that separate epochs in
// resume positions.
func validEpoch(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return 0 < len(s) && len(s) <= 32
}
