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

// History reads the accepted quotes that Redis keeps for each symbol. It is safe for concurrent
// use. Newest blocks for one round trip, After for several.
type History struct {
	redis redis.UniversalClient
	keys  feed.Keys
}

// NewHistory returns a History that reads through client.
func NewHistory(client redis.UniversalClient, keys feed.Keys) *History { return &History{client, keys} }

// Newest returns the newest quotes of a symbol that were accepted at since or later, at most limit,
// oldest first. A zero since sets no lower bound. Stream entries that are not quotes are left out.
// The error wraps redislink.ErrUnavailable.
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

// After returns the ticks of a symbol that were accepted after the one with this epoch and number,
// oldest first. They include later epochs.
//
// complete reports that no tick is missing between the given tick and the first returned one, nor
// between any two returned. It is false when history no longer reaches back to the given tick, does
// not know it, or has more than limit ticks after it; then there are no ticks. Clients choose the
// position, so in most of these cases the newest and the oldest entries show that at small cost.
// After decodes a chunk of ticks at a time, and calls pause between them: others may need the
// processor more. The error wraps redislink.ErrUnavailable.
func (h *History) After(ctx context.Context, s feed.Symbol, epoch string, seq uint64, limit int, pause func()) (ticks []feed.Tick, complete bool, err error) {
	from := position{s, protocol.Position{Epoch: epoch, Seq: seq}}
	vain, err := h.inVain(ctx, from, limit)
	if vain || err != nil {
		return nil, false, err
	}
	answer := h.after(ctx, []position{from}, limit, pause)[0]
	if !answer.complete {
		return nil, false, answer.err
	}
	return answer.ticks, true, answer.err
}

// inVain reports that history cannot answer After completely, by its newest and its oldest entry.
// It may return false although a search would fail.
func (h *History) inVain(ctx context.Context, from position, limit int) (bool, error) {
	key := h.keys.Ticks(from.symbol)
	pipe := h.redis.Pipeline()
	last, first := pipe.XRevRangeN(ctx, key, "+", "-", 1), pipe.XRangeN(ctx, key, "-", "+", 1)
	err := redislink.Exec(ctx, pipe)
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, redislink.Unavailable("history of "+string(from.symbol), err)
	}
	if len(last.Val()) == 0 || len(first.Val()) == 0 {
		return true, nil
	}
	newest, ok := historyTick(from.symbol, last.Val()[0])
	oldest, ok2 := historyTick(from.symbol, first.Val()[0])
	if !ok || !ok2 {
		return false, nil // the entries between may still be quotes
	}
	switch from.Epoch {
	case newest.Epoch:
		ahead := from.Seq > newest.Seq
		return ahead || newest.Seq-from.Seq > uint64(limit) || oldest.Epoch == from.Epoch && from.Seq+1 < oldest.Seq, nil
	case oldest.Epoch:
		return from.Seq+1 < oldest.Seq, nil
	}
	return newest.Epoch == oldest.Epoch, nil
}

// position is a place in the sequence of a symbol.
type position struct {
	symbol feed.Symbol
	protocol.Position
}

// historyAnswer holds the ticks that followed a position.
type historyAnswer struct {
	ticks    []feed.Tick
	complete bool
	err      error
}

// How many ticks of a symbol one round trip reads. A client that reconnects after a moment has
// missed few ticks, but many others reconnect with it. So the first chunk is small, and each
// further chunk is larger, up to one that takes a third of a millisecond to decode.
const (
	firstChunk = 16
	lastChunk  = 64
)

// after is After for several symbols, with one pipeline per round trip. It reads each stream
// backwards, the newest chunk first, until it finds the position.
func (h *History) after(ctx context.Context, from []position, limit int, pause func()) []historyAnswer {
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
		_ = redislink.Exec(ctx, pipe) // each command has its own error
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
		if open = still; len(open) > 0 {
			pause()
		}
	}
	return answers
}

// historySearch reads backwards through one stream.
type historySearch struct {
	position
	limit int
	below string // upper bound of the next chunk, as XREVRANGE takes it
	chunk int64  // length of the next chunk

	newest []feed.Tick // newest first
	found  bool        // the position itself is in the stream
}

// take adds the next chunk and reports whether the search is over.
func (f *historySearch) take(entries []redis.XMessage) bool {
	f.newest = slices.Grow(f.newest, min(len(entries), f.limit-len(f.newest)))
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

// historyTick decodes an entry of a symbol's stream. ok is false if the entry is not a quote of s.
func historyTick(s feed.Symbol, e redis.XMessage) (tick feed.Tick, ok bool) {
	text, _ := e.Values["q"].(string)
	a, err := feed.DecodeTick([]byte(text))
	return a, err == nil && a.Symbol == s
}
