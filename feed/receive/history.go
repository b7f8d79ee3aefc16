package receive

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/protocol"

	"github.com/redis/go-redis/v9"
)

// History reads the accepted quotes that Redis keeps of each symbol. It is safe
// for concurrent use; a call blocks for one round trip, After for a few.
type History struct {
	redis redis.UniversalClient
	keys  feed.Keys
}

// NewHistory returns a History.
func NewHistory(client redis.UniversalClient, keys feed.Keys) *History { return &History{client, keys} }

// Newest returns at most limit quotes of a symbol, oldest first: the newest ones
// that were accepted at since or later; a zero since means any. What is not a
// quote is left out. The error wraps redislink.ErrUnavailable.
func (h *History) Newest(ctx context.Context, s feed.Symbol, limit int, since time.Time) ([]feed.Tick, error) {
	from := "-"
	if !since.IsZero() {
		from = strconv.FormatInt(max(since.UnixMilli(), 0), 10)
	}
	entries, err := h.redis.XRevRangeN(ctx, h.keys.Ticks(s), "+", from, int64(limit)).Result()
	if err != nil {
		return nil, redislink.Unavailable("history of "+string(s), err)
	}
	quotes := make([]feed.Tick, 0, len(entries))
	for _, e := range slices.Backward(entries) {
		if a, ok := historyTick(s, e); ok && a.At >= since.UnixMicro() {
			quotes = append(quotes, a)
		}
	}
	return quotes, nil
}

// After returns the ticks of a symbol that Redis keeps and that were accepted
// after the one with this epoch and number, oldest first, those of later epochs
// too; at most limit, the newest. complete tells that none is missing between
// that tick and the first returned, nor between two returned. It is false when
// history no longer reaches back to that tick, does not know it, or when more
// than limit follow. The error wraps redislink.ErrUnavailable.
func (h *History) After(ctx context.Context, s feed.Symbol, epoch string, seq uint64, limit int) (ticks []feed.Tick, complete bool, err error) {
	answers := h.after(ctx, []position{{s, protocol.Position{Epoch: epoch, Seq: seq}}}, limit)
	return answers[0].ticks, answers[0].complete, answers[0].err
}

// position is a place in the sequence of a symbol.
type position struct {
	symbol feed.Symbol
	protocol.Position
}

// historyAnswer is what followed a position.
type historyAnswer struct {
	ticks    []feed.Tick
	complete bool
	err      error
}

// How many ticks of a symbol are read in one round trip. Who comes back after a
// moment has missed few, and comes with many others: the first chunk is small, and
// each is four times the one before.
const (
	firstChunk = 16
	lastChunk  = 1024
)

// after is After for several symbols, with one pipeline per round trip. Streams
// are read backwards, the newest chunk first, until the position is found.
func (h *History) after(ctx context.Context, from []position, limit int) []historyAnswer {
	answers := make([]historyAnswer, len(from))
	searches := make([]historySearch, len(from))
	open := make([]int, len(from))
	for i, p := range from {
		searches[i] = historySearch{position: p, below: "+", limit: limit, chunk: firstChunk}
		open[i] = i
	}
	for len(open) > 0 {
		pipe := h.redis.Pipeline()
		reads := make([]*redis.XMessageSliceCmd, len(open))
		for k, i := range open {
			reads[k] = pipe.XRevRangeN(ctx, h.keys.Ticks(from[i].symbol), searches[i].below, "-", searches[i].chunk)
		}
		pipe.Exec(ctx) // each answer has its own error
		var still []int
		for k, i := range open {
			entries, err := reads[k].Result()
			switch {
			case err != nil && !errors.Is(err, redis.Nil):
				answers[i].err = redislink.Unavailable("history of "+string(from[i].symbol), err)
			case searches[i].take(entries):
				answers[i] = searches[i].answer()
			default:
				still = append(still, i)
			}
		}
		open = still
	}
	return answers
}

// historySearch goes back through one stream.
type historySearch struct {
	position
	limit int
	below string // where the next chunk begins
	chunk int64  // its length

	newest []feed.Tick // newest first
	found  bool        // the position itself is in the stream
}

// take takes the next chunk and reports whether the search is over.
func (f *historySearch) take(entries []redis.XMessage) bool {
	for _, e := range entries {
		f.below = "(" + e.ID
		a, ok := historyTick(f.symbol, e)
		if !ok {
			continue
		}
		if a.Epoch == f.Epoch && a.Seq <= f.Seq {
			f.found = a.Seq == f.Seq
			return true
		}
		if len(f.newest) == f.limit {
			return true
		}
		f.newest = append(f.newest, a)
	}
	end := int64(len(entries)) < f.chunk
	f.chunk = min(4*f.chunk, lastChunk)
	return end
}

func (f *historySearch) answer() historyAnswer {
	slices.Reverse(f.newest)
	complete := f.found
	if len(f.newest) > 0 {
		first := f.newest[0]
		complete = f.found && first.Epoch != f.Epoch || first.Epoch == f.Epoch && first.Seq == f.Seq+1
	}
	last := f.Position
	for _, a := range f.newest {
		complete = complete && a.Seq == 1+seqIn(a.Epoch, last)
		last = idOf(a).Position
	}
	return historyAnswer{ticks: f.newest, complete: complete}
}

// historyTick reads an entry of a symbol's stream; false for what is none.
func historyTick(s feed.Symbol, e redis.XMessage) (feed.Tick, bool) {
	text, _ := e.Values["q"].(string)
	a, err := feed.DecodeTick([]byte(text))
	return a, err == nil && a.Symbol == s
}
