package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Ops of commands.
const (
	OpSubscribe   = "subscribe"
	OpUnsubscribe = "unsubscribe"
	OpPace        = "pace"
	OpList        = "list"
	OpPing        = "ping"
)

// A Command is one message of a client. Names of symbols are as the client wrote them.
type Command struct {
	Op       string              `json:"op"`
	ID       json.RawMessage     `json:"id,omitempty"` // a number or a short string
	Symbols  Names               `json:"symbols,omitempty"`
	Channels Names               `json:"channels,omitempty"`
	MaxRate  float64             `json:"max_rate,omitempty"`
	Mode     string              `json:"mode,omitempty"`
	Since    map[string]Position `json:"since,omitempty"`
	Candles  string              `json:"candles,omitempty"`  // an interval: the command is about its candles instead of quotes
	Day      bool                `json:"day,omitempty"`      // of subscribe: day figures, too
	EveryMS  *float64            `json:"every_ms,omitempty"` // of pace: a whole number
	Align    bool                `json:"align,omitempty"`
}

// MinPace and MaxPace bound the interval of a pace in milliseconds.
const (
	MinPace = 10
	MaxPace = 60_000
)

const (
	maxCommandID = 64
	maxNames     = 1000 // of symbols and channels; an ack may refuse each of them
	maxSince     = 1000
	maxEpoch     = 32
)

// A Canonical function returns the canonical form of a symbol that a client names. Clients receive
// its error text.
type Canonical func(name string) (symbol string, err error)

// ParseCommand parses and checks one message of a client. The names in Since become canonical. The
// ID is returned even with an error, if it could be parsed; the error carries it too.
func ParseCommand(data []byte, symbol Canonical) (Command, *Error) {
	c, bad := readCommand(data)
	if bad == nil {
		bad = c.check(symbol)
	}
	if bad != nil {
		bad.ID = c.ID
	}
	return c, bad
}

// idReach is the part of a command in which CommandID looks for the ID.
const idReach = 512

// CommandID returns the ID of a command like ParseCommand, but at a cost that does not grow with
// the command. It returns nil if the ID does not stand near the beginning, or if ParseCommand would
// refuse it.
func CommandID(data []byte) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(data[:min(len(data), idReach)]))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil
		}
		if name == "id" {
			c := Command{ID: value}
			_ = c.checkID() // drops an ID that it refuses
			return c.ID
		}
	}
	return nil
}

func readCommand(data []byte) (c Command, bad *Error) {
	err := json.Unmarshal(data, &c)
	if err != nil && c.ID == nil { // names ended it, and the ID may follow them
		var rest struct{ ID json.RawMessage }
		if json.Unmarshal(data, &rest) == nil {
			c.ID = rest.ID
		}
	}
	if string(bytes.TrimSpace(data)) == "null" {
		return c, badJSON("want one JSON object, got a JSON null")
	}
	if bad := c.checkID(); bad != nil {
		return c, bad
	}
	if err != nil {
		return c, unmarshalError(err)
	}
	return c, nil
}

// checkID drops an ID that is null, and one that it refuses.
func (c *Command) checkID() *Error {
	switch id := c.ID; {
	case len(id) == 0:
	case string(id) == "null":
		c.ID = nil
	case id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9') || len(id) > maxCommandID:
		c.ID = nil
		return badField("id: want a number or a string of at most %d bytes", maxCommandID)
	}
	return nil
}

func (c *Command) check(symbol Canonical) *Error {
	switch c.Op {
	case OpSubscribe:
		return c.CheckSubscribe(symbol)
	case OpUnsubscribe:
		if bad := c.checkCandles(); bad != nil {
			return bad
		}
		return c.checkNames()
	case OpPace:
		return c.CheckPace()
	case OpList, OpPing:
		return nil
	case "":
		return &Error{Code: ErrorUnknownOp, Message: `op is missing; want "subscribe", "unsubscribe", "pace", "list" or "ping"`}
	}
	return &Error{Code: ErrorUnknownOp, Message: fmt.Sprintf(`unknown op %s; want "subscribe", "unsubscribe", "pace", "list" or "ping"`, echo(c.Op))}
}

func badJSON(message string) *Error { return &Error{Code: ErrorBadJSON, Message: message} }

func badField(format string, args ...any) *Error {
	return &Error{Code: ErrorBadField, Message: fmt.Sprintf(format, args...)}
}

func unmarshalError(err error) *Error {
	if many, ok := errors.AsType[tooManyNames](err); ok {
		return badField("%v", many)
	}
	typ, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case ok && typ.Field != "":
		return badField("%s: want %s, got %s", typ.Field, fieldKind(typ.Field), given(typ.Value))
	case ok:
		return badJSON("want one JSON object, got " + given(typ.Value))
	}
	return badJSON("the message is not valid JSON; want one JSON object")
}

// given describes a value as encoding/json names it: its kind, or the number itself, as in
// "number 1e400".
func given(value string) string {
	kind, number, ok := strings.Cut(value, " ")
	if ok {
		return Clip(number, MaxEcho)
	}
	return "a JSON " + kind
}

func fieldKind(field string) string {
	switch name, _, _ := strings.Cut(field, "."); name {
	case "symbols", "channels":
		return "an array of strings"
	case "max_rate", "every_ms":
		return "a number"
	case "align", "day":
		return "true or false"
	case "since":
		return `an object of {"epoch","seq"} by symbol`
	default:
		return "a string"
	}
}

// CheckSubscribe checks the fields of a subscribe command. It sets the default mode, unless the
// command is about candles, and makes the names in Since canonical.
func (c *Command) CheckSubscribe(symbol Canonical) *Error {
	if c.Candles != "" {
		bad := c.checkCandles()
		if bad == nil {
			bad = c.checkCandleSettings()
		}
		if bad == nil {
			bad = c.checkNames()
		}
		return bad
	}
	switch c.Mode {
	case "":
		c.Mode = ModeLatest
	case ModeLatest, ModeAll:
	default:
		return badField(`mode: want "latest" or "all", got %s`, echo(c.Mode))
	}
	if c.MaxRate < 0 || math.IsNaN(c.MaxRate) || math.IsInf(c.MaxRate, 0) {
		return badField("max_rate: want 0 (no limit) or a positive number of updates per second")
	}
	if c.Mode == ModeAll && c.MaxRate > 0 {
		return badField(`max_rate: mode "all" is every tick; want no max_rate, or mode "latest"`)
	}
	if bad := c.checkSince(symbol); bad != nil {
		return bad
	}
	return c.checkNames()
}

// CheckPace checks the fields of a pace command.
func (c *Command) CheckPace() *Error {
	if ms := c.EveryMS; ms == nil || *ms != 0 && (*ms < MinPace || *ms > MaxPace || *ms != math.Trunc(*ms)) {
		return badField("every_ms: want 0 (no pace) or a whole number of %d to %d milliseconds", MinPace, MaxPace)
	}
	return nil
}

// Pace returns the interval that a pace command asks for; 0 means none.
func (c *Command) Pace() time.Duration {
	if c.EveryMS == nil {
		return 0
	}
	return time.Duration(*c.EveryMS) * time.Millisecond
}

func (c *Command) checkSince(canonical Canonical) *Error {
	if len(c.Since) > maxSince {
		return badField("since: want at most %d symbols", maxSince)
	}
	since := make(map[string]Position, len(c.Since))
	for name, at := range c.Since {
		symbol, err := canonical(name)
		switch {
		case err != nil:
			return badField("since: %v", err)
		case at.Epoch == "" || len(at.Epoch) > maxEpoch || at.Seq == 0:
			return badField(`since: %s: want the "epoch" and "seq" of the last quote received`, symbol)
		}
		since[symbol] = at
	}
	c.Since = since
	return nil
}

// intervals are the names of all intervals of candles, shortest first.
var intervals = []string{"1m", "5m", "15m", "1h", "4h", "1d"}

// Intervals returns the names of all intervals of candles, shortest first. The caller owns the
// slice.
func Intervals() []string { return slices.Clone(intervals) }

// checkCandles checks the name of an interval, if there is one.
func (c *Command) checkCandles() *Error {
	switch {
	case c.Candles == "":
		return nil
	case !slices.Contains(intervals, c.Candles):
		return badField(`candles: want one of %s, got %s`, strings.Join(intervals, ", "), echo(c.Candles))
	case len(c.Symbols) == 0:
		return badField(`candles: want "symbols" with at least one name`)
	}
	return nil
}

// checkCandleSettings refuses settings that candles do not have.
func (c *Command) checkCandleSettings() *Error {
	switch {
	case c.Mode != "":
		return badField("mode: candles have none; subscribe to quotes with another command")
	case c.MaxRate != 0:
		return badField("max_rate: candles have none; subscribe to quotes with another command")
	case c.Since != nil:
		return badField("since: candles have none; GET /api/v1/quotes/{base}/{quote}/candles has earlier ones")
	}
	return nil
}

func (c *Command) checkNames() *Error {
	switch n := len(c.Symbols) + len(c.Channels); {
	case n == 0:
		return badField(`want "symbols" or "channels" with at least one name`)
	case n > maxNames:
		return badField("%v", tooManyNames(n))
	}
	return nil
}

// Append appends the command as a client sends it.
func (c Command) Append(dst []byte) []byte {
	text, err := json.Marshal(c)
	if err != nil {
		return dst // an ID that is not JSON, or a rate that is not a number
	}
	return append(dst, text...)
}
