// Package feed defines symbols, quotes, the input forms of producers, reasons for rejection,
// trading hours, and the names of everything that is kept in Redis. Package accept publishes quotes
// through Redis, and package receive delivers the accepted ones.
//
// ParseInput turns a producer's message, in any of several forms, into a Quote or returns a
// Rejection that explains why not. An accepted quote travels through Redis as a Tick. Prices are
// decimal text from end to end and keep the producer's digits, without floats. The functions for
// symbols, prices, input and calendar read no clock and hold no state, so they are safe for
// concurrent use.
package feed

import (
	"time"
)

// Quote is a quote as its producer sent it, before it is accepted.
type Quote struct {
	Symbol           Symbol
	Bid, Ask         string // plain decimal text, the producer's digits
	BidSize, AskSize string // plain decimal text, 0 or more; "" = none
	// Time is when the quote was made, according to its producer: UTC, truncated to microseconds.
	// Zero means that no usable time was given; the time of acceptance is then used.
	Time   time.Time
	Source string // [a-z0-9_.-]{1,32}; "" means DefaultSource

	// Entry is the place in a stream from which the quote came, in the form that package accept
	// reads: each place is settled once. "" = it came in by another way.
	Entry string

	// TimeUnzoned is set by ParseInput if the message had a time without a zone. Such a time is
	// checked but may mean any zone, so Time is zero.
	TimeUnzoned bool
	// BadSizes counts the sizes that ParseInput left out because it could not read them.
	BadSizes int
}

// SourceOrDefault returns Source, or DefaultSource if it is empty.
func (q Quote) SourceOrDefault() string {
	if q.Source == "" {
		return DefaultSource
	}
	return q.Source
}

// Check returns nil if the quote may be published, else a *Rejection. It requires:
//
//   - a canonical and known symbol;
//   - prices that are plain decimal text, positive and within MaxPriceDigits and
//     MaxPriceChars, with the ask not below the bid;
//   - sizes of the same form, or zero;
//   - a time from 1990 to 2199, if there is one, and a valid source name.
//
// Check does not allocate for a valid quote. The publish script decides whether the time is too old
// or in the future.
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
	if !q.Time.IsZero() && !QuoteTimeInRange(q.Time) {
		return reject(ReasonBadTime, "the time's year is %d: it must be from 1990 to 2199", q.Time.UTC().Year())
	}
	return q.checkValues()
}

// checkValues checks the prices, the sizes and the source.
func (q Quote) checkValues() *Rejection {
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

// timeInRange reports whether t fits every reader: its microseconds since 1970 stay below 2^53,
// which Lua and JavaScript count exactly.
func timeInRange(t time.Time) bool {
	year := t.UTC().Year()
	return 1970 <= year && year < 2200
}

// QuoteTimeInRange reports whether t can be the time of a quote: 1990 to 2199. An earlier time
// comes from a clock that was never set, or is a number of another kind.
func QuoteTimeInRange(t time.Time) bool { return timeInRange(t) && t.UTC().Year() >= 1990 }
