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
//	candle.go     candles and day figures
//	command.go    ParseCommand parses and checks a client's message
//	errorcode.go  the codes of error messages and refusals, with their meaning
//	close.go      every way in which the server ends a connection, as one table
//	eventid.go    the positions of a client of the event stream
//	fx.proto      the binary form of snapshots and updates, with the rules of decoding
//	coded.go      a quote in the numbers of fx.proto, and their encoding
//	decoder.go    Decoder decodes the binary messages of a connection
//	decimal.go    decimal text as scaled integers
//	text.go       times and JSON strings
//
// The package imports only the standard library, holds no state and reads no clock. Its functions
// are safe for concurrent use.
package protocol

import (
	_ "embed" // fx.proto
	"slices"
)

// The WebSocket subprotocols.
const (
	Name       = "fx.v1"
	NameBinary = "fx.v1.pb" // its snapshots and updates are binary, as fx.proto describes
)

//go:embed fx.proto
var schema []byte

// Schema returns the text of fx.proto: the Protobuf schema of the binary messages, with the rules
// of decoding. The caller owns it.
func Schema() []byte { return slices.Clone(schema) }

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
