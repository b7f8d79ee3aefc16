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
	return &LastQuotes{board, newLastValues(client, keys, board)}
}

// LastQuote is the last value of a symbol.
type LastQuote struct {
	feed.Tick
	Status feed.Status
	Since  time.Time // of the status
}

// SymbolInfo describes a symbol that has a last value.
type SymbolInfo struct {
	Symbol  feed.Symbol
	Digits  int
	Pip     string
	Hours   *feed.Hours
	Aliases []string
	Status  feed.Status
	Last    time.Time // time of the last value
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

// Remove makes this node forget a symbol that was removed in Redis, as Board.Remove does.
func (l *LastQuotes) Remove(s feed.Symbol, epoch string, at int64) (known bool) {
	return l.board.Remove(s, epoch, at)
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

// Symbols returns all symbols that have a last value, sorted. Like Quotes it may block for a round
// trip; the error wraps redislink.ErrUnavailable.
func (l *LastQuotes) Symbols(ctx context.Context) ([]SymbolInfo, error) {
	infos, absent := l.board.symbols()
	now := time.Now()
	read, _, err := l.redis.read(ctx, absent)
	if err != nil {
		return nil, err
	}
	for s, v := range read {
		infos = append(infos, SymbolInfo{Symbol: s, Status: l.board.lastQuote(*v, now).Status, Last: v.quote.Time})
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
	arrived, by := b.arrivalOf(v, now).arrived, b.aging()
	status := by.statusAt(v.quote.Symbol, arrived, now, true)
	return LastQuote{Tick: v.quote, Status: status, Since: by.since(status, v.quote.Symbol, arrived, now)}
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

// symbols returns the followed symbols that have a last value. absent lists the other symbols that
// may have one.
func (b *Board) symbols() (infos []SymbolInfo, absent []feed.Symbol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s, e := range b.entries {
		switch {
		case e.value.has:
			infos = append(infos, SymbolInfo{Symbol: s, Status: e.value.status, Last: e.value.last.Time})
		case !e.order.followed() && (e.listed || e.order.newest.Epoch != ""): // else requested by a client, never published
			absent = append(absent, s)
		}
	}
	return infos, absent
}
