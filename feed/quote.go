// Package feed takes currency quotes in and hands accepted ones on.
//
// A producer's message becomes a Quote by ParseInput, which accepts the several
// forms producers use, or is refused with a Rejection that says why. An accepted
// quote travels through Redis as an Accepted. Prices are decimal text from end to
// end and keep the producer's digits; no float is involved. The functions of
// values in this package (symbols, prices, input, calendar) read no clock and
// hold no state, so they are safe for concurrent use.
//
// When Redis fails: a Publisher fails in bounded time and doubles nothing. A
// Receiver notices within 3 s, by test messages that go through Redis, says so,
// opens its connections again and reads what it missed from history before it
// goes on, so that each accepted quote is handed on once and in order. What
// history no longer has, or what Redis itself lost (replication is asynchronous,
// a server may come back empty), is not handed on: the first shows as a gap in
// the sequence and is counted, the second as a new epoch. Statuses turn stale by
// themselves meanwhile. The Inbox stops when it may have lost its lease.
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

// Quote is a quote as its producer gave it, before it is accepted.
type Quote struct {
	Symbol           Symbol
	Bid, Ask         string // plain decimal text, the producer's digits
	BidSize, AskSize string // plain decimal text, 0 or more; "" = none
	// Time is when the producer says the quote was made: UTC, truncated to
	// microseconds. Zero means untimed: not given or not believed. The time of
	// acceptance is used then.
	Time   time.Time
	Source string // [a-z0-9_.-]{1,32}; "" means DefaultSource

	// TimeUnzoned is set by ParseInput when the message had a time without a
	// zone: it was read and checked, but Time is zero since it may mean any zone.
	TimeUnzoned bool
	// BadSizes is how many sizes ParseInput left out since it could not read them.
	BadSizes int
}

// Check returns nil if the quote may be published, else a *Rejection: the symbol
// must be canonical and known, the prices plain decimal text, positive and within
// MaxPriceDigits and MaxPriceChars, the ask not below the bid, sizes of the same
// form but perhaps zero, a time within 1990 to 2199, the source name valid. It does
// not allocate for a good quote. Whether the time is too old or in the future is
// decided where it is published.
func (t *Instruments) Check(q Quote) error {
	if r := t.check(q); r != nil {
		return r // a nil *Rejection must not become a non-nil error
	}
	return nil
}

func (t *Instruments) check(q Quote) *Rejection {
	if q.Symbol == "" {
		return reject(ReasonMissingSymbol, "symbol is missing: give one such as EUR/USD")
	}
	if !t.Known(q.Symbol) {
		sym, err := t.ParseSymbol(string(q.Symbol))
		if err != nil {
			return reject(ReasonUnknownSymbol, "%s", err)
		}
		return reject(ReasonUnknownSymbol, "symbol %s is not in canonical form, %s", quoted(string(q.Symbol)), sym)
	}
	return checkRest(q)
}

// checkRest checks all but the symbol.
func checkRest(q Quote) *Rejection {
	if r := checkPrice("bid", q.Bid); r != nil {
		return r
	}
	if r := checkPrice("ask", q.Ask); r != nil {
		return r
	}
	if r := checkCrossed(q.Bid, q.Ask); r != nil {
		return r
	}
	if r := checkSize("bid_size", q.BidSize); r != nil {
		return r
	}
	if r := checkSize("ask_size", q.AskSize); r != nil {
		return r
	}
	if !q.Time.IsZero() && !quoteTimeInRange(q.Time) {
		return reject(ReasonBadTime, "the time's year is %d: it must be from 1990 to 2199", q.Time.UTC().Year())
	}
	if q.Source != "" && !validSource(q.Source) {
		return sourceRejection(q.Source)
	}
	return nil
}

func checkCrossed(bid, ask string) *Rejection {
	if priceLess(ask, bid) {
		return reject(ReasonCrossed, "ask %s is below bid %s: the ask must not be less than the bid", ask, bid)
	}
	return nil
}

// timeInRange keeps times where they fit every reader: microseconds since 1970
// below 2^53, which Lua and JavaScript count exactly.
func timeInRange(t time.Time) bool {
	year := t.UTC().Year()
	return 1970 <= year && year < 2200
}

// quoteTimeInRange reports whether a quote can be of that time. An earlier one is
// a clock that was never set, or a number of another kind.
func quoteTimeInRange(t time.Time) bool { return timeInRange(t) && t.UTC().Year() >= 1990 }

// TimeLayout is the form of times in all that is sent: UTC, always six
// fractional digits.
const TimeLayout = protocol.TimeLayout

// AppendTime appends t in UTC as TimeLayout to dst. Digits below a microsecond
// are cut off.
func AppendTime(dst []byte, t time.Time) []byte {
	return protocol.AppendTime(dst, t)
}

// Accepted is a quote that Redis gave a sequence number.
type Accepted struct {
	Symbol   Symbol
	Bid, Ask string    // plain decimal text
	Time     time.Time // of the quote: UTC, whole microseconds
	Seq      uint64    // per symbol, +1 per accepted quote within an epoch; from 1
	Epoch    string    // changes when Redis lost the counter
	At       int64     // acceptance by Redis's clock, Unix microseconds
	Source   string    // never ""
	// Body is the quote as clients get it, JSON without the closing brace so
	// that fields may follow: {"symbol":…,"bid":…,"ask":…,"ts":…,"seq":…
	// It may be kept and must not be changed; its capacity is its length, so
	// appending copies.
	Body []byte
}

// AppendBody appends what Body holds, made from the other fields, to dst. The
// fields are written as they are: they must be valid, as DecodeAccepted returns them.
func (a Accepted) AppendBody(dst []byte) []byte {
	return protocol.Quote{Symbol: string(a.Symbol), Bid: a.Bid, Ask: a.Ask, Time: protocol.At(a.Time), Seq: a.Seq}.AppendBody(dst)
}

// AppendJSON appends the message of the quote channel, byte for byte as the
// publish script writes it, to dst. The fields must be valid, as for AppendBody.
func (a Accepted) AppendJSON(dst []byte) []byte {
	dst = a.AppendBody(dst)
	dst = append(dst, `,"epoch":"`...)
	dst = append(dst, a.Epoch...)
	dst = append(dst, `","at":`...)
	dst = strconv.AppendInt(dst, a.At, 10)
	dst = append(dst, `,"source":"`...)
	dst = append(dst, a.Source...)
	return append(dst, `"}`...)
}

// DecodeAccepted reads a message of a symbol's quote channel, or its last value.
// Body of the result shares msg's memory: msg must not be changed afterwards.
//
// The exact layout of AppendJSON is read with one allocation, the copy that the
// strings share. Any other JSON object with the same fields is read too, more
// slowly; unknown fields are ignored and source may be absent. Every field is
// checked either way. The error says what was wrong; its text is bounded and
// printable.
func DecodeAccepted(msg []byte) (Accepted, error) {
	if a, ok := decodeExact(msg); ok {
		return a, nil
	}
	a, r := decodeObject(msg)
	if r != nil {
		return Accepted{}, fmt.Errorf("feed: read accepted quote: %w", r)
	}
	return a, nil
}

// decodeExact reads the layout of AppendJSON and nothing else. Each value is cut
// at the text that follows it; acceptedText.check then allows no value that could
// hold such text itself.
func decodeExact(msg []byte) (Accepted, bool) {
	if len(msg) > MaxInputBytes {
		return Accepted{}, false
	}
	b, rest, ok := protocol.CutBody(string(msg))
	body := len(msg) - len(rest)
	t := acceptedText{symbol: b.Symbol, bid: b.Bid, ask: b.Ask, time: b.Time, seq: b.Seq}
	var found [4]bool
	rest, found[0] = strings.CutPrefix(rest, `,"epoch":"`)
	t.epoch, rest, found[1] = strings.Cut(rest, `","at":`)
	t.at, rest, found[2] = strings.Cut(rest, `,"source":"`)
	t.source, found[3] = strings.CutSuffix(rest, `"}`)
	if !ok || found != [4]bool{true, true, true, true} || !exactTime(t.time) {
		return Accepted{}, false
	}
	a, r := t.accepted()
	if r != nil {
		return Accepted{}, false
	}
	a.Body = msg[:body:body]
	return a, true
}

func exactTime(s string) bool {
	return len(s) == len(TimeLayout) && s[10] == 'T' && s[19] == '.' && s[26] == 'Z'
}

var acceptedFields = []string{"symbol", "bid", "ask", "ts", "epoch", "source", "seq", "at"}

// decodeObject reads any JSON object with the fields of AppendJSON.
func decodeObject(msg []byte) (Accepted, *Rejection) {
	var values [8]json.RawMessage
	if r := readObject(msg, acceptedFields, values[:]); r != nil {
		return Accepted{}, r
	}
	var t acceptedText
	for i, dst := range []*string{&t.symbol, &t.bid, &t.ask, &t.time, &t.epoch, &t.source} {
		if values[i] == nil {
			continue // checked with the rest
		}
		text, isString := stringValue(values[i])
		if !isString {
			return Accepted{}, reject(ReasonBadJSON, "%s is %s: it must be a string", acceptedFields[i], quoted(string(values[i])))
		}
		*dst = text
	}
	if values[5] == nil {
		t.source = DefaultSource
	}
	t.seq, t.at = string(values[6]), string(values[7])
	a, r := t.accepted()
	if r != nil {
		return Accepted{}, r
	}
	a.Body = slices.Clip(a.AppendBody(nil))
	return a, nil
}

// acceptedText is an accepted quote before its fields are checked.
type acceptedText struct{ symbol, bid, ask, time, seq, epoch, at, source string }

func (t acceptedText) accepted() (Accepted, *Rejection) {
	at, zoned, ok := parseTimeText(t.time)
	if !ok || !zoned {
		return Accepted{}, reject(ReasonBadTime, "ts is %s: it must be RFC 3339 with a zone", quoted(t.time))
	}
	if !timeInRange(at) { // Check takes a zero time as not given
		return Accepted{}, reject(ReasonBadTime, "ts is %s: the year must be from 1970 to 2199", quoted(t.time))
	}
	q := Quote{Symbol: Symbol(t.symbol), Bid: t.bid, Ask: t.ask, Time: at, Source: t.source}
	if r := builtIn.check(q); r != nil {
		return Accepted{}, r
	}
	if t.source == "" {
		return Accepted{}, sourceRejection("")
	}
	seq, ok := parseCount(t.seq)
	if !ok {
		return Accepted{}, reject(ReasonBadJSON, "seq is %s: it must be a whole number from 1 to 2^53-1", quoted(t.seq))
	}
	accepted, ok := parseCount(t.at)
	if !ok {
		return Accepted{}, reject(ReasonBadJSON, "at is %s: it must be Unix microseconds", quoted(t.at))
	}
	if !validEpoch(t.epoch) {
		return Accepted{}, reject(ReasonBadJSON, "epoch is %s: it must be 1 to 32 letters, digits, _ or -", quoted(t.epoch))
	}
	return Accepted{
		Symbol: q.Symbol, Bid: q.Bid, Ask: q.Ask, Time: at, Seq: uint64(seq), Epoch: t.epoch, At: accepted, Source: t.source,
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

// validEpoch keeps out what separates an epoch from its neighbours in resume positions.
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
