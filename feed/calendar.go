package feed

import (
	"sync"
	"time"
	_ "time/tzdata" // a minimal image has no zone files
)

// Status is the state of a symbol as clients see it.
type Status string

// The states of a symbol.
const (
	StatusLive    Status = "live"    // quotes arrive
	StatusStale   Status = "stale"   // none has arrived for a while though the market is open
	StatusClosed  Status = "closed"  // none has arrived for a while and the market is closed
	StatusUnknown Status = "unknown" // no last value
)

// StatusAt returns the state at now of a symbol whose last accepted quote arrived
// at lastArrival, by the same clock. staleAfter is positive; from that age on a
// symbol is no longer live. hasValue tells whether its last value still exists.
// A lastArrival after now, when a clock was set back, counts as just arrived.
func StatusAt(lastArrival, now time.Time, staleAfter time.Duration, hasValue bool) Status {
	switch {
	case !hasValue:
		return StatusUnknown
	case now.Sub(lastArrival) < staleAfter:
		return StatusLive
	case MarketOpen(now):
		return StatusStale
	}
	return StatusClosed
}

// MarketOpen reports whether the spot market trades at t: from Sunday 17:00 to
// Friday 17:00 New York time, daylight saving included. Holidays (25 December, 1
// January), the daily pause of metals and the hours of single currencies are not
// modelled: there a symbol without quotes is stale.
func MarketOpen(t time.Time) bool {
	local := t.In(newYork())
	const closing = 17 // o'clock
	switch local.Weekday() {
	case time.Friday:
		return local.Hour() < closing
	case time.Saturday:
		return false
	case time.Sunday:
		return local.Hour() >= closing
	}
	return true
}

var newYork = sync.OnceValue(func() *time.Location {
	loc, err := time.LoadLocation("America/New_York")
	if err != nil { // the embedded zones are tried last and hold it
		panic("feed: no zone data in this binary: " + err.Error())
	}
	return loc
})
