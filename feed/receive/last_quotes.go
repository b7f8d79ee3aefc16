package receive

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"

	"github.com/redis/go-redis/v9"
)

// LastQuotes returns the last values of all symbols. Symbols that the Board follows come from
// memory, all others from Redis. It is safe for concurrent use.
type LastQuotes struct {
	board *Board
	redis lastValues
}

// NewLastQuotes returns a LastQuotes that reads from board and, for symbols it does not follow,
// through client.
func NewLastQuotes(board *Board, client redis.UniversalClient, keys feed.Keys) *LastQuotes {
	return &LastQuotes{board, lastValues{client, keys, board.cfg.QuoteTTL}}
}

// LastQuote is the last value of a symbol.
type LastQuote struct {
	feed.Tick
	Status feed.Status
	Since  time.Time // of the status
}

// SymbolInfo describes a symbol that has ever been published.
type SymbolInfo struct {
	Symbol  feed.Symbol
	Digits  int
	Pip     string
	Hours   *feed.Hours
	Aliases []string
	Status  feed.Status
	Last    time.Time // time of the last value; zero if there is none
}

// Quotes returns the last values of the symbols that match any of the canonical patterns, sorted by
// symbol. Symbols without a last value are left out. If a matching symbol is not followed here,
// Quotes blocks for a round trip to Redis, bounded by ctx. The error wraps
// redislink.ErrUnavailable.
func (l *LastQuotes) Quotes(ctx context.Context, patterns []string) ([]LastQuote, error) {
	quotes, absent := l.board.quotes(patterns)
	now := time.Now()
	read, _, err := l.redis.read(ctx, absent)
	if err != nil {
		return nil, err
	}
	for _, v := range read {
		quotes = append(quotes, l.board.lastQuote(*v, now))
	}
	sortQuotes(quotes)
	return quotes, nil
}

// Quotes returns the last values of followed symbols that match any of the canonical patterns,
// sorted by symbol. It never reads from Redis.
func (b *Board) Quotes(patterns []string) []LastQuote {
	quotes, _ := b.quotes(patterns)
	sortQuotes(quotes)
	return quotes
}

func sortQuotes(quotes []LastQuote) {
	slices.SortFunc(quotes, func(a, b LastQuote) int { return strings.Compare(string(a.Symbol), string(b.Symbol)) })
}

// Symbols returns all known symbols, sorted. Like Quotes it may block for a round trip; the error
// wraps redislink.ErrUnavailable.
func (l *LastQuotes) Symbols(ctx context.Context) ([]SymbolInfo, error) {
	infos, absent := l.board.symbols()
	now := time.Now()
	read, _, err := l.redis.read(ctx, absent)
	if err != nil {
		return nil, err
	}
	for _, s := range absent {
		info := SymbolInfo{Symbol: s, Status: feed.StatusUnknown}
		if v := read[s]; v != nil {
			info.Status, info.Last = l.board.lastQuote(*v, now).Status, v.quote.Time
		}
		infos = append(infos, info)
	}
	table := l.board.cfg.Instruments
	for i := range infos {
		in, s := &infos[i], infos[i].Symbol
		in.Digits, in.Pip, in.Hours, in.Aliases = table.Digits(s), table.Pip(s), table.Hours(s), table.Aliases(s)
	}
	slices.SortFunc(infos, func(a, b SymbolInfo) int { return strings.Compare(string(a.Symbol), string(b.Symbol)) })
	return infos, nil
}

// lastQuote returns a value read from Redis with the status that follows from when it was stored
// there.
func (b *Board) lastQuote(v storedQuote, now time.Time) LastQuote {
	h := b.arrivalOf(v, now)
	q := LastQuote{Tick: v.quote, Status: b.cfg.Instruments.StatusAt(v.quote.Symbol, h.arrived, now, b.cfg.StaleAfter, true), Since: h.arrived}
	if q.Status != feed.StatusLive {
		q.Since = h.arrived.Add(b.cfg.StaleAfter)
	}
	return q
}

// quotes returns the last values of the followed symbols that patterns match. absent lists the
// other symbols that match.
func (b *Board) quotes(patterns []string) (quotes []LastQuote, absent []feed.Symbol) {
	exact := map[feed.Symbol]bool{} // may be new and not listed yet
	for _, p := range patterns {
		if s := feed.Symbol(p); s.Canonical() {
			exact[s] = true
		}
	}
	b.mu.Lock()
	for s, e := range b.entries {
		if !slices.ContainsFunc(patterns, func(p string) bool { return feed.MatchPattern(p, s) }) {
			continue
		}
		delete(exact, s)
		switch {
		case !e.order.followed():
			absent = append(absent, s)
		case e.value.has:
			quotes = append(quotes, LastQuote{e.value.last, e.value.status, e.value.since})
		}
	}
	b.mu.Unlock()
	return quotes, slices.AppendSeq(absent, maps.Keys(exact))
}

// symbols returns the followed symbols. absent lists the other known symbols.
func (b *Board) symbols() (infos []SymbolInfo, absent []feed.Symbol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s, e := range b.entries {
		switch {
		case !e.listed && e.order.newest.Epoch == "": // requested by a client, never published
		case !e.order.followed():
			absent = append(absent, s)
		default:
			info := SymbolInfo{Symbol: s, Status: e.value.status}
			if e.value.has {
				info.Last = e.value.last.Time
			}
			infos = append(infos, info)
		}
	}
	return infos, absent
}
