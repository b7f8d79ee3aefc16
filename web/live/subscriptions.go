package live

import (
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

// subscriptions are the symbols and channels of one connection. Its reader owns them.
type subscriptions struct {
	symbols  nameList // symbols and wildcards, in the order of the commands
	channels []string
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
	failed = []protocol.Refusal{}
	subscribed := s.symbols.names()
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
		case !grants.AllowsMode(c.Mode):
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorNotEntitled, Message: fmt.Sprintf("the session's role does not include mode %q", c.Mode)})
		case !grants.Allows(pattern):
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorNotEntitled, Message: "the session's role does not include this symbol"})
		case !slices.Contains(subscribed, pattern) && len(subscribed) >= grants.MaxSymbols:
			failed = append(failed, protocol.Refusal{Symbol: pattern, Code: protocol.ErrorTooManySymbols,
				Message: fmt.Sprintf("at most %d symbols and wildcards per connection", grants.MaxSymbols)})
		default:
			if !slices.Contains(subscribed, pattern) {
				subscribed = append(subscribed, pattern)
			}
			symbols = append(symbols, pattern)
		}
	}
	s.symbols = listOf(subscribed)
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
	failed = []protocol.Refusal{}
	subscribed := s.symbols.names()
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
		if i := slices.Index(subscribed, pattern); err == nil && i >= 0 {
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
	s.symbols = listOf(subscribed)
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
