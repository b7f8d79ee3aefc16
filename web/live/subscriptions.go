package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
)

// canonical returns the canonical form of a symbol that a client names, for
// protocol.ParseCommand.
func (s *Server) canonical(name string) (string, error) {
	symbol, err := s.cfg.Instruments.ParseSymbol(name)
	return string(symbol), err
}

// settingsOf returns the settings of a command for the hub. With mode "all", since has the
// positions of the granted symbols that are to be resumed.
func settingsOf(c protocol.Command, grants *session.Grants, symbols []string) (settings hub.Settings, since map[string]protocol.Position) {
	if c.Mode == protocol.ModeLatest {
		return hub.Settings{MaxRate: grants.GrantRate(c.MaxRate)}, nil
	}
	settings.All = true
	for symbol, at := range c.Since {
		if slices.ContainsFunc(symbols, func(p string) bool { return feed.MatchPattern(p, feed.Symbol(symbol)) }) {
			if since == nil {
				since = make(map[string]protocol.Position)
			}
			since[symbol] = at
			settings.Hold = append(settings.Hold, symbol)
		}
	}
	return settings, since
}

// subscriptions are the entries of one connection. Its reader owns them.
type subscriptions struct {
	// entries are symbols and wildcards, in the order of the commands. Those for candles begin with
	// their interval, as in 1m:EUR/USD.
	entries  nameList
	day      nameList // symbols and wildcards with day figures; each of them is in entries, too
	channels []string
}

// entryOf returns the entry for a symbol or wildcard in a command.
func entryOf(c protocol.Command, pattern string) string {
	if c.Candles == "" {
		return pattern
	}
	return c.Candles + ":" + pattern
}

// list returns the subscriptions as clients see them.
func (s *subscriptions) list(id json.RawMessage) protocol.List {
	l := protocol.List{ID: id, Symbols: []string{}, Channels: names(s.channels, nil), Day: s.day.names()}
	for _, entry := range s.entries.names() {
		if interval, pattern, ok := strings.Cut(entry, ":"); ok {
			l.Candles = append(l.Candles, protocol.CandleEntry{Symbol: pattern, Interval: interval})
		} else {
			l.Symbols = append(l.Symbols, entry)
		}
	}
	return l
}

// addDay adds day figures of symbols and wildcards.
func (s *subscriptions) addDay(patterns []string) {
	day := s.day.names()
	for _, p := range patterns {
		if !slices.Contains(day, p) {
			day = append(day, p)
		}
	}
	s.day = listOf(day)
}

// dropDay removes day figures of symbols and wildcards, and returns those that had some. If others
// is set, it leaves alone those with another entry.
func (s *subscriptions) dropDay(patterns []string, others bool) (ended []string) {
	if s.day == (nameList{}) {
		return nil
	}
	day, entries := s.day.names(), s.entries.names()
	for _, p := range patterns {
		i := slices.Index(day, p)
		has := func(entry string) bool { return entry == p || strings.HasSuffix(entry, ":"+p) }
		if i >= 0 && !(others && slices.ContainsFunc(entries, has)) {
			day = slices.Delete(day, i, i+1)
			ended = append(ended, p)
		}
	}
	s.day = listOf(day)
	return ended
}

// A nameList is a list of symbols and wildcards. Connections with equal lists share their memory.
type nameList struct{ joined unique.Handle[string] }

func listOf(names []string) nameList {
	if len(names) == 0 {
		return nameList{}
	}
	return nameList{unique.Make(strings.Join(names, nameSeparator))}
}

const nameSeparator = " " // which no symbol contains

// names returns the list as a new slice.
func (l nameList) names() []string {
	if l == (nameList{}) {
		return nil
	}
	return strings.Split(l.joined.Value(), nameSeparator)
}

// subscribe adds the names of a command that the grants include. It returns the granted symbols
// and channels, and a refusal for each other name. A repeated name is answered once.
func (s *subscriptions) subscribe(c protocol.Command, instruments *feed.Instruments, grants *session.Grants, relayed []string) (symbols, channels []string, failed []protocol.Refusal) {
	failed = make([]protocol.Refusal, 0, len(c.Symbols)+len(c.Channels))
	subscribed := s.entries.names()
	decided := make(map[string]bool, len(c.Symbols)+len(c.Channels)) // what clients name, and patterns
	for _, name := range c.Symbols {
		if decided[name] {
			continue
		}
		decided[name] = true
		pattern, err := instruments.ParsePattern(name)
		if err == nil && pattern != name {
			if decided[pattern] {
				continue
			}
			decided[pattern] = true
		}
		switch {
		case err != nil:
			failed = append(failed, protocol.Refusal{Symbol: protocol.Clip(name, protocol.MaxEcho), Code: protocol.ErrorUnknownSymbol, Message: err.Error()})
		case c.Candles == "" && !grants.AllowsMode(c.Mode):
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorNotEntitled, Message: fmt.Sprintf("the session's role does not include mode %q", c.Mode)})
		case !grants.Allows(pattern):
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorNotEntitled, Message: "the session's role does not include this symbol"})
		case !slices.Contains(subscribed, entryOf(c, pattern)) && len(subscribed) >= grants.MaxSymbols:
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorTooManySymbols,
				Message: fmt.Sprintf("at most %d symbols and wildcards per connection", grants.MaxSymbols)})
		default:
			if entry := entryOf(c, pattern); !slices.Contains(subscribed, entry) {
				subscribed = append(subscribed, entry)
			}
			symbols = append(symbols, pattern)
		}
	}
	s.entries = listOf(subscribed)
	clear(decided)
	for _, name := range c.Channels {
		switch {
		case decided[name]:
			continue
		case !slices.Contains(relayed, name) || !grants.AllowsChannel(name):
			failed = append(failed, protocol.Refusal{Channel: protocol.Clip(name, protocol.MaxEcho), Code: protocol.ErrorUnknownChannel, Message: "no such channel is relayed to this session"})
		default:
			if !slices.Contains(s.channels, name) {
				s.channels = append(s.channels, name)
			}
			channels = append(channels, name)
		}
		decided[name] = true
	}
	return symbols, channels, failed
}

// unsubscribe removes the names of a command. A wildcard removes itself, not the symbols that it
// matches. It returns the removed symbols and channels, and a refusal for each other name. A
// repeated name is answered once.
func (s *subscriptions) unsubscribe(c protocol.Command, instruments *feed.Instruments) (symbols, channels []string, failed []protocol.Refusal) {
	failed = make([]protocol.Refusal, 0, len(c.Symbols)+len(c.Channels))
	subscribed := s.entries.names()
	decided := make(map[string]bool, len(c.Symbols)+len(c.Channels))
	for _, name := range c.Symbols {
		if decided[name] {
			continue
		}
		decided[name] = true
		pattern, err := instruments.ParsePattern(name)
		if err == nil && pattern != name {
			if decided[pattern] {
				continue
			}
			decided[pattern] = true
		}
		if i := slices.Index(subscribed, entryOf(c, pattern)); err == nil && i >= 0 {
			subscribed = slices.Delete(subscribed, i, i+1)
			symbols = append(symbols, pattern)
			continue
		}
		if err != nil {
			failed = append(failed, protocol.Refusal{Symbol: protocol.Clip(name, protocol.MaxEcho), Code: protocol.ErrorUnknownSymbol, Message: err.Error()})
		} else {
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorNotSubscribed, Message: "not subscribed under this name"})
		}
	}
	s.entries = listOf(subscribed)
	clear(decided)
	for _, name := range c.Channels {
		if decided[name] {
			continue
		}
		decided[name] = true
		if i := slices.Index(s.channels, name); i >= 0 {
			s.channels = slices.Delete(s.channels, i, i+1)
			channels = append(channels, name)
		} else {
			failed = append(failed, protocol.Refusal{Channel: protocol.Clip(name, protocol.MaxEcho), Code: protocol.ErrorNotSubscribed, Message: "not subscribed to this channel"})
		}
	}
	return symbols, channels, failed
}
