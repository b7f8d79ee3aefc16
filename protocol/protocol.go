// Package protocol is the only definition of everything that crosses a client's wire: quotes and
// positions, the server's messages, the client's commands, the codes of errors and of closed
// connections, and the event id of the stream.
//
// The server appends messages; clients and checkers decode them:
//
//	quote.go      Quote and Position; a quote's body, which is encoded once for all clients
//	raw.go        quotes as text, for programs that read too many to decode each message
//	message.go    the server's messages and Append
//	decode.go     Decode decodes a server's message
//	command.go    ParseCommand parses and checks a client's message
//	errorcode.go  the codes of error messages and refusals, with their meaning
//	close.go      every way in which the server ends a connection, as one table
//	eventid.go    the positions of a client of the event stream
//	text.go       times and JSON strings
//
// The package imports only the standard library, holds no state and reads no clock. Its functions
// are safe for concurrent use.
package protocol

// Name is the WebSocket subprotocol.
const Name = "fx.v1"

// MaxMessageBytes bounds a client's message.
const MaxMessageBytes = 32 << 10

// Modes of delivery.
const (
	ModeLatest = "latest" // the newest quote; older unsent ones are conflated into it
	ModeAll    = "all"    // every quote, in order, without a gap
)

// Status of a symbol.
const (
	StatusLive    = "live"
	StatusStale   = "stale"
	StatusClosed  = "closed"
	StatusUnknown = "unknown"
)

// Status of the source of all quotes, in a status message without a symbol.
const (
	StatusDegraded = "degraded"
	StatusOK       = "ok"
)
