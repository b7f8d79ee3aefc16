// Package feed is the price itself: symbols, quotes, what producers send, why a
// quote is rejected, trading hours, and the names of all that is kept in Redis.
// Package accept publishes quotes through Redis, package receive hands accepted
// ones on.
//
// A producer's message becomes a Quote by ParseInput, which accepts the several
// forms producers use, or is refused with a Rejection that says why. An accepted
// quote travels through Redis as a Tick. Prices are decimal text from end to
// end and keep the producer's digits; no float is involved. The functions of
// values in this package (symbols, prices, input, calendar) read no clock and
// hold no state, so they are safe for concurrent use.
package feed

import (
	"time"
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

// SourceOrDefault returns the source that the quote counts as.
func (q Quote) SourceOrDefault() string {
	if q.Source == "" {
		return DefaultSource
	}
	return q.Source
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

// timeInRange keeps times where they fit every reader: microseconds since 1970
// below 2^53, which Lua and JavaScript count exactly.
func timeInRange(t time.Time) bool {
	year := t.UTC().Year()
	return 1970 <= year && year < 2200
}

// QuoteTimeInRange reports whether a quote can be of that time. An earlier one is
// a clock that was never set, or a number of another kind.
func QuoteTimeInRange(t time.Time) bool { return timeInRange(t) && t.UTC().Year() >= 1990 }
