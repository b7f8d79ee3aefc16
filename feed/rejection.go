package feed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reason is why a quote was rejected. The values are stable: they are metric labels and part of the
// answers to producers.
type Reason string

// The reasons. A new one must also be added to Reasons.
const (
	ReasonBadJSON        Reason = "bad_json"         // not one JSON object, invalid UTF-8, or a field given twice
	ReasonBadLine        Reason = "bad_line"         // a line of a replayed file that is not a tick: too few fields, or cut off
	ReasonMissingSymbol  Reason = "missing_symbol"   // none of symbol, pair, instrument, currency
	ReasonUnknownSymbol  Reason = "unknown_symbol"   // not two different known codes
	ReasonMissingPrice   Reason = "missing_price"    // bid or ask (or price) absent, null or empty
	ReasonNotANumber     Reason = "not_a_number"     // a price that is not a decimal number
	ReasonZero           Reason = "zero"             // a price of zero
	ReasonNegative       Reason = "negative"         // a price below zero
	ReasonTooLong        Reason = "too_long"         // a price over MaxPriceDigits or MaxPriceChars, or input over MaxInputBytes
	ReasonCrossed        Reason = "crossed"          // ask < bid
	ReasonBadTime        Reason = "bad_time"         // a time that cannot be read or is out of range
	ReasonFuture         Reason = "future"           // more than 5 s ahead of Redis's clock
	ReasonOld            Reason = "old"              // older than the last accepted quote of this symbol and source, or than FEED_MAX_LAG allows
	ReasonBadSource      Reason = "bad_source"       // a source name outside [a-z0-9_.-]{1,32}
	ReasonTooManySources Reason = "too_many_sources" // the symbol has as many sources as are remembered
	ReasonWide           Reason = "wide"             // a spread above GATE_MAX_SPREAD of the mid
	ReasonOutlier        Reason = "outlier"          // a mid further than GATE_MAX_JUMP from the mid of the last accepted quote
	ReasonOutranked      Reason = "outranked"        // a source of higher priority has not been silent for long enough
	ReasonUnlisted       Reason = "unlisted"         // the accepted sources are listed, and this one is not
	ReasonOverflow       Reason = "overflow"         // the quote came faster than quotes could be published: a bounded queue was full
)

var reasons = []Reason{
	ReasonBadJSON, ReasonBadLine, ReasonMissingSymbol, ReasonUnknownSymbol, ReasonMissingPrice, ReasonNotANumber,
	ReasonZero, ReasonNegative, ReasonTooLong, ReasonCrossed, ReasonBadTime, ReasonFuture, ReasonOld,
	ReasonBadSource, ReasonTooManySources, ReasonOutranked, ReasonWide, ReasonOutlier, ReasonUnlisted, ReasonOverflow,
}

// Reasons returns every Reason, so that a counter per reason can start at 0. The caller owns the
// slice.
func Reasons() []Reason { return slices.Clone(reasons) }

// Rejection is the error for a quote that was not accepted. Message names what is wrong and what
// would be right. It is valid UTF-8 without control characters and at most about 300 bytes long. It
// quotes at most a short piece of the input, so it may be logged and shown to the producer.
type Rejection struct {
	Reason  Reason
	Message string
}

// Error returns the reason and the message.
func (r *Rejection) Error() string { return string(r.Reason) + ": " + r.Message }

func reject(reason Reason, format string, args ...any) *Rejection {
	return &Rejection{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// NewRejection returns a Rejection with a formatted message. Arguments that come from input must be
// Quoted, so that the message keeps its bounds.
func NewRejection(reason Reason, format string, args ...any) *Rejection {
	return reject(reason, format, args...)
}

// maxQuoted bounds the characters of input that a message repeats.
const maxQuoted = 40

// quoted returns a bounded, printable form of input in double quotes. It reads only the first few
// hundred bytes of s.
func quoted(s string) string { return quotedUpTo(s, maxQuoted) }

// Quoted returns a bounded, printable form of input in double quotes, for use in messages.
func Quoted(s string) string { return quoted(s) }

// quotedUpTo is quoted with a bound of most characters.
func quotedUpTo(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == most {
			return strconv.Quote(b.String()) + "… (" + strconv.Itoa(len(s)) + " bytes)"
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
		n++
	}
	return strconv.Quote(b.String())
}
