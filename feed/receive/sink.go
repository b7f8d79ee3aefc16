package receive

import "time"

// Sink receives the quotes and statuses of the feed. Its methods must not block and must not call
// back into the Board or Receiver. For one symbol they are called one at a time and in order; for
// different symbols they may be called concurrently.
type Sink interface {
	// Publish receives a quote. body is its JSON for clients without the closing brace, as
	// Tick.Body; it is immutable and may be kept. at is its acceptance in Unix microseconds. A
	// number that does not follow the previous one means that this node lost the quotes in between.
	Publish(symbol, epoch string, seq uint64, body []byte, at int64)
	// SetStatus receives the status of a symbol (StatusLive, StatusStale, StatusClosed or
	// StatusUnknown) and the time since when it holds. A change to live comes before the quote that
	// caused it. source is empty unless the quotes of a live symbol now come from another source
	// than before.
	SetStatus(symbol, status, source string, since time.Time)
	// Drop reports that the last value is not known any more.
	Drop(symbol string)
	// List(true) means that wildcards match the symbol from now on, since it has a last known price;
	// they also match a symbol whose quote is published. List(false) means that they no longer match
	// it, since its price is not known any more. The status unknown comes before.
	List(symbol string, listed bool)
	// Follow(true) means that every quote of the symbol is delivered from now on, and that its last
	// value, if there is one, was delivered just before. Follow(false) means that no more quotes
	// follow and that the last value must be forgotten.
	Follow(symbol string, following bool)
	// Relay receives a message of one of the relayed channels. data is valid JSON and may be kept.
	Relay(channel string, data []byte)
}
