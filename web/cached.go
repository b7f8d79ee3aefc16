package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/receive"
	"github.com/fxcast/fxcast/protocol"
)

// CacheNamespaces are the namespaces that this package uses; cache.Config needs them. Keys
// begin with Config.Prefix, since deployments that share a Redis share its cache.
var CacheNamespaces = []string{symbolsNamespace, historyNamespace}

const (
	symbolsNamespace = "symbols"
	historyNamespace = "history"

	// symbolsAge bounds the age of the list of symbols, and of their day figures.
	symbolsAge = time.Second
	// historyAge bounds the age of a page of history. The key of a page has the position of
	// the newest quote that this node knows. So a page has every quote that a client of this
	// node can have seen.
	historyAge = 5 * time.Second
	// unknownAge bounds the age of a page whose symbol has no last value.
	unknownAge = time.Second

	shortPage, longPage = 100, 1000 // quotes; a longer history is read from Redis
)

// caches are the open namespaces.
type caches struct {
	symbols *cache.Namespace
	history cache.Typed[historyPage]
	unknown cache.Typed[historyPage]
	days    cache.Typed[map[feed.Symbol]protocol.Day]
}

func openCaches(c *cache.Cache) (opened caches, err error) {
	if opened.symbols, err = c.Namespace(symbolsNamespace, symbolsAge, cache.Jitter(0)); err != nil {
		return opened, err
	}
	opened.days = cache.As[map[feed.Symbol]protocol.Day](opened.symbols)
	history, err := c.Namespace(historyNamespace, historyAge, cache.Jitter(0))
	if err != nil {
		return opened, err
	}
	unknown, err := c.Namespace(historyNamespace, unknownAge, cache.Jitter(0))
	opened.history, opened.unknown = cache.As[historyPage](history), cache.As[historyPage](unknown)
	return opened, err
}

// symbolList returns the JSON of all symbols, at most symbolsAge old. An empty list is not
// cached, so that the first symbol appears at once.
func (s *Server) symbolList(ctx context.Context) (json.RawMessage, error) {
	e, err := s.caches.symbols.Fetch(ctx, s.listKey(), func(ctx context.Context) (any, error) {
		symbols, err := s.describeSymbols(ctx)
		if err == nil && len(symbols) == 0 {
			err = cache.ErrMiss
		}
		if err != nil {
			return nil, err
		}
		return json.Marshal(symbols)
	})
	if errors.Is(err, cache.ErrMiss) {
		return json.RawMessage("[]"), nil
	}
	return e.Value, err
}

// dropSymbolList forgets the list of symbols and the day figures, after a symbol was removed. If that
// fails they expire soon.
func (s *Server) dropSymbolList(ctx context.Context) {
	if _, err := s.caches.symbols.DeleteMany(ctx, s.listKey(), s.daysKey()); err != nil {
		s.log.Debug("the list of symbols stays cached for a second", "err", err)
	}
}

func (s *Server) listKey() string { return s.cfg.Prefix + "all" }
func (s *Server) daysKey() string { return s.cfg.Prefix + "days" }

// A historyPage has the newest quotes of a symbol, oldest first, in the JSON that clients
// receive.
type historyPage struct {
	Quotes []json.RawMessage `json:"quotes"`
	At     []int64           `json:"at"` // when each was accepted, Unix microseconds
}

func pageOf(ticks []feed.Tick) historyPage {
	p := historyPage{Quotes: []json.RawMessage{}, At: []int64{}}
	for _, a := range ticks {
		p.Quotes = append(p.Quotes, quoteJSON(receive.LastQuote{Tick: a, Status: feed.StatusLive}))
		p.At = append(p.At, a.At)
	}
	return p
}

// quotesSince returns the newest quotes, at most limit, that were accepted at since or later.
func (p historyPage) quotesSince(limit int, since time.Time) []json.RawMessage {
	from := 0
	if !since.IsZero() {
		from, _ = slices.BinarySearch(p.At, since.UnixMicro())
	}
	return p.Quotes[max(from, len(p.Quotes)-limit):]
}

// history returns the newest quotes of a symbol, oldest first. It reads Redis if no page of
// the cache can have them all.
func (s *Server) history(ctx context.Context, symbol feed.Symbol, limit int, since time.Time) ([]json.RawMessage, error) {
	size := shortPage
	if limit > shortPage {
		size = longPage
	}
	if limit <= size {
		p, err := s.historyPage(ctx, symbol, size)
		if err != nil {
			return nil, err
		}
		reachesBack := since.IsZero() || len(p.At) < size || p.At[0] < since.UnixMicro()
		if quotes := p.quotesSince(limit, since); reachesBack || len(quotes) == limit {
			return quotes, nil
		}
	}
	ticks, err := s.cfg.History.Newest(ctx, symbol, limit, since)
	if err != nil {
		return nil, err
	}
	return pageOf(ticks).Quotes, nil
}

func (s *Server) historyPage(ctx context.Context, symbol feed.Symbol, size int) (historyPage, error) {
	last, known, err := s.lastOf(ctx, symbol)
	if err != nil {
		return historyPage{}, err
	}
	pages, key := s.caches.history, fmt.Sprintf("%s%s:%d:%s:%d", s.cfg.Prefix, symbol, size, last.Epoch, last.Seq)
	if !known {
		pages = s.caches.unknown
	}
	e, err := pages.Fetch(ctx, key, func(ctx context.Context) (historyPage, error) {
		ticks, err := s.cfg.History.Newest(ctx, symbol, size, time.Time{})
		return pageOf(ticks), err
	})
	return e.Value, err
}

// lastOf returns the last value of a symbol, if it has one.
func (s *Server) lastOf(ctx context.Context, symbol feed.Symbol) (last receive.LastQuote, known bool, err error) {
	quotes, err := s.cfg.Lasts.Quotes(ctx, []string{string(symbol)})
	if err != nil || len(quotes) == 0 {
		return last, false, err
	}
	return quotes[0], true, nil
}
