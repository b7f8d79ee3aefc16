package receive

import "time"

// Sink takes what the feed has to tell. Its methods must not block, and must
// not call back into the Board or Receiver. For one symbol they are called one
// at a time and in order; for different symbols perhaps at once.
type Sink interface {
	// Publish hands on a quote. body is its JSON for clients without the
	// closing brace, as Tick.Body; it is immutable and may be kept. at is
	// the acceptance in Unix microseconds. A number that does not follow the
	// one before means that quotes in between are lost to this node.
	Publish(symbol, epoch string, seq uint64, body []byte, at int64)
	// SetStatus tells that a symbol is StatusLive, StatusStale, StatusClosed or
	// StatusUnknown and since when. A change to live comes before the quote
	// that caused it. source is "", or where the newest quotes of a live symbol
	// come from if they came from elsewhere before.
	SetStatus(symbol, status, source string, since time.Time)
	// Drop tells that the last value has expired.
	Drop(symbol string)
	// Follow tells that from now on every quote of the symbol is handed on, and
	// that its last value, if there is one, just was (true); or that no more
	// quotes follow and the last value is to be forgotten (false).
	Follow(symbol string, following bool)
	// Relay hands on a message of one of the further channels. data is valid
	// JSON, and may be kept.
	Relay(channel string, data []byte)
}
