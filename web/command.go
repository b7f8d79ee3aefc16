package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/session"
)

// Codes of error messages and of failed entries in an ack; docs/protocol.md says
// what each means.
const (
	codeBadJSON        = "bad_json"
	codeBadField       = "bad_field"
	codeUnknownOp      = "unknown_op"
	codeUnknownSymbol  = "unknown_symbol"
	codeUnknownChannel = "unknown_channel"
	codeTooMany        = "too_many_symbols"
	codeNotEntitled    = "not_entitled"
	codeNotSubscribed  = "not_subscribed"
	codeRateLimited    = "rate_limited"
)

// A command is one message of a client.
type command struct {
	Op       string              `json:"op"`
	ID       json.RawMessage     `json:"id"`
	Symbols  []string            `json:"symbols"`
	Channels []string            `json:"channels"`
	MaxRate  float64             `json:"max_rate"`
	Mode     string              `json:"mode"`
	Since    map[string]position `json:"since"`
}

// A position is where a client stands in the sequence of a symbol.
type position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// A commandError is told to the client; the connection lives on.
type commandError struct {
	code, message string
}

func (e *commandError) Error() string { return e.code + ": " + e.message }

const maxCommandID = 64

// modes of delivery there are; a role may have fewer.
var modes = []string{session.ModeLatest, session.ModeAll}

// parseCommand reads one message. The id is returned even with an error, where
// it could be read.
func parseCommand(data []byte) (command, *commandError) {
	var c command
	err := json.Unmarshal(data, &c)
	if string(bytes.TrimSpace(data)) == "null" {
		return c, &commandError{codeBadJSON, "want one JSON object, got a JSON null"}
	}
	if id := c.ID; len(id) > 0 {
		switch {
		case string(id) == "null":
			c.ID = nil
		case id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9') || len(id) > maxCommandID:
			c.ID = nil
			return c, &commandError{codeBadField, fmt.Sprintf("id: want a number or a string of at most %d bytes", maxCommandID)}
		}
	}
	if err != nil {
		return c, unmarshalError(err)
	}
	switch c.Op {
	case "subscribe":
		return c, c.checkSubscribe()
	case "unsubscribe":
		return c, c.checkNames()
	case "list", "ping":
		return c, nil
	case "":
		return c, &commandError{codeUnknownOp, `op is missing; want "subscribe", "unsubscribe", "list" or "ping"`}
	}
	return c, &commandError{codeUnknownOp, fmt.Sprintf(`unknown op %s; want "subscribe", "unsubscribe", "list" or "ping"`, shown(c.Op))}
}

func unmarshalError(err error) *commandError {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && typ.Field != "" {
		return &commandError{codeBadField, fmt.Sprintf("%s: want %s, got a JSON %s", typ.Field, fieldKind(typ.Field), kindName(typ.Value))}
	}
	if errors.As(err, &typ) {
		return &commandError{codeBadJSON, "want one JSON object, got a JSON " + kindName(typ.Value)}
	}
	return &commandError{codeBadJSON, "the message is not valid JSON; want one JSON object"}
}

func kindName(value string) string {
	kind, _, _ := strings.Cut(value, " ") // "number 1e400" names the value too
	return kind
}

func fieldKind(field string) string {
	switch name, _, _ := strings.Cut(field, "."); name {
	case "symbols", "channels":
		return "an array of strings"
	case "max_rate":
		return "a number"
	case "since":
		return `an object of {"epoch","seq"} by symbol`
	default:
		return "a string"
	}
}

func (c *command) checkSubscribe() *commandError {
	switch c.Mode {
	case "":
		c.Mode = session.ModeLatest
	case session.ModeLatest, session.ModeAll:
	default:
		return &commandError{codeBadField, fmt.Sprintf(`mode: want "latest" or "all", got %s`, shown(c.Mode))}
	}
	if c.MaxRate < 0 || math.IsNaN(c.MaxRate) || math.IsInf(c.MaxRate, 0) {
		return &commandError{codeBadField, "max_rate: want 0 (no limit) or a positive number of updates per second"}
	}
	if c.Mode == session.ModeAll && c.MaxRate > 0 {
		return &commandError{codeBadField, `max_rate: mode "all" is every tick; want no max_rate, or mode "latest"`}
	}
	if err := c.checkSince(); err != nil {
		return err
	}
	return c.checkNames()
}

// checkSince makes the names canonical.
func (c *command) checkSince() *commandError {
	if len(c.Since) > maxSince {
		return &commandError{codeBadField, fmt.Sprintf("since: want at most %d symbols", maxSince)}
	}
	since := make(map[string]position, len(c.Since))
	for name, at := range c.Since {
		symbol, err := feed.ParseSymbol(name)
		switch {
		case err != nil:
			return &commandError{codeBadField, "since: " + err.Error()}
		case at.Epoch == "" || len(at.Epoch) > maxEpoch || at.Seq == 0:
			return &commandError{codeBadField, fmt.Sprintf(`since: %s: want the "epoch" and "seq" of the last quote received`, symbol)}
		}
		since[string(symbol)] = at
	}
	c.Since = since
	return nil
}

const (
	maxSince = 1000
	maxEpoch = 32
)

// settings are what of a command the hub needs: of the granted symbols. With mode
// "all", since lists those that are to be resumed.
func (c *command) settings(grants *session.Grants, symbols []string) (settings hub.Settings, since map[string]position) {
	if c.Mode == session.ModeLatest {
		return hub.Settings{MaxRate: grants.GrantRate(c.MaxRate)}, nil
	}
	settings.Every = true
	for symbol, at := range c.Since {
		if slices.ContainsFunc(symbols, func(p string) bool { return feed.MatchPattern(p, feed.Symbol(symbol)) }) {
			if since == nil {
				since = make(map[string]position)
			}
			since[symbol] = at
			settings.Hold = append(settings.Hold, symbol)
		}
	}
	return settings, since
}

func (c *command) checkNames() *commandError {
	if len(c.Symbols)+len(c.Channels) == 0 {
		return &commandError{codeBadField, `want "symbols" or "channels" with at least one name`}
	}
	return nil
}

// A refusal is one entry of an ack's failed list.
type refusal struct {
	Symbol  string `json:"symbol,omitempty"`
	Channel string `json:"channel,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// An ack answers subscribe and unsubscribe.
type ack struct {
	Type    string          `json:"type"`
	ID      json.RawMessage `json:"id,omitempty"`
	Op      string          `json:"op"`
	OK      []string        `json:"ok"`
	Failed  []refusal       `json:"failed"`
	MaxRate *float64        `json:"max_rate,omitempty"`
	Mode    string          `json:"mode,omitempty"`
}

// A subscriptions set is what one connection has asked for; owned by its reader.
type subscriptions struct {
	symbols  []string // patterns in the order of asking
	channels []string
}

// subscribe decides each name of a command: what is granted and what is refused.
func (s *subscriptions) subscribe(c command, grants *session.Grants, relayed []string) (symbols, channels []string, failed []refusal) {
	failed = []refusal{}
	for _, name := range c.Symbols {
		pattern, err := feed.ParsePattern(name)
		switch {
		case err != nil:
			failed = append(failed, refusal{Symbol: clipped(name), Code: codeUnknownSymbol, Message: err.Error()})
		case slices.Contains(symbols, pattern):
		case !grants.AllowsMode(c.Mode):
			failed = append(failed, refusal{Symbol: pattern, Code: codeNotEntitled, Message: fmt.Sprintf("the session's role does not include mode %q", c.Mode)})
		case !grants.Allows(pattern):
			failed = append(failed, refusal{Symbol: pattern, Code: codeNotEntitled, Message: "the session's role does not include this symbol"})
		case !slices.Contains(s.symbols, pattern) && len(s.symbols) >= grants.MaxSymbols:
			failed = append(failed, refusal{Symbol: pattern, Code: codeTooMany,
				Message: fmt.Sprintf("at most %d symbols and wildcards per connection", grants.MaxSymbols)})
		default:
			if !slices.Contains(s.symbols, pattern) {
				s.symbols = append(s.symbols, pattern)
			}
			symbols = append(symbols, pattern)
		}
	}
	for _, name := range c.Channels {
		switch {
		case slices.Contains(channels, name):
		case !slices.Contains(relayed, name) || !grants.AllowsChannel(name):
			failed = append(failed, refusal{Channel: clipped(name), Code: codeUnknownChannel, Message: "no such channel is relayed to this session"})
		default:
			if !slices.Contains(s.channels, name) {
				s.channels = append(s.channels, name)
			}
			channels = append(channels, name)
		}
	}
	return symbols, channels, failed
}

// unsubscribe removes the exact entries a command names.
func (s *subscriptions) unsubscribe(c command) (symbols, channels []string, failed []refusal) {
	failed = []refusal{}
	for _, name := range c.Symbols {
		pattern, err := feed.ParsePattern(name)
		if i := slices.Index(s.symbols, pattern); err == nil && i >= 0 {
			s.symbols = slices.Delete(s.symbols, i, i+1)
			symbols = append(symbols, pattern)
			continue
		}
		if err != nil {
			failed = append(failed, refusal{Symbol: clipped(name), Code: codeUnknownSymbol, Message: err.Error()})
		} else if !slices.Contains(symbols, pattern) {
			failed = append(failed, refusal{Symbol: pattern, Code: codeNotSubscribed, Message: "not subscribed under this name"})
		}
	}
	for _, name := range c.Channels {
		if i := slices.Index(s.channels, name); i >= 0 {
			s.channels = slices.Delete(s.channels, i, i+1)
			channels = append(channels, name)
		} else if !slices.Contains(channels, name) {
			failed = append(failed, refusal{Channel: clipped(name), Code: codeNotSubscribed, Message: "not subscribed to this channel"})
		}
	}
	return symbols, channels, failed
}

const maxShown = 40

// clipped bounds what is echoed of a client's text.
func clipped(s string) string { return clippedTo(maxShown, s) }

// clippedTo is the beginning of a text, as valid UTF-8.
func clippedTo(most int, s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// shown is clipped and quoted, for messages.
func shown(s string) string { return fmt.Sprintf("%q", clipped(s)) }
