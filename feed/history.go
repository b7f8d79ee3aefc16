package feed

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// History reads the accepted quotes that Redis keeps of each symbol. It is safe
// for concurrent use; a call blocks for one round trip.
type History struct {
	redis redis.UniversalClient
	keys  Keys
}

// NewHistory returns a History.
func NewHistory(client redis.UniversalClient, keys Keys) *History { return &History{client, keys} }

// Newest returns at most limit quotes of a symbol, oldest first: the newest ones
// that were accepted at since or later; a zero since means any. What is not a
// quote is left out. The error wraps ErrUnavailable.
func (h *History) Newest(ctx context.Context, s Symbol, limit int, since time.Time) ([]Accepted, error) {
	from := "-"
	if !since.IsZero() {
		from = strconv.FormatInt(max(since.UnixMilli(), 0), 10)
	}
	entries, err := h.redis.XRevRangeN(ctx, h.keys.Ticks(s), "+", from, int64(limit)).Result()
	if err != nil {
		return nil, fmt.Errorf("%w: history of %s: %w", ErrUnavailable, s, err)
	}
	quotes := make([]Accepted, 0, len(entries))
	for _, e := range slices.Backward(entries) {
		text, _ := e.Values["q"].(string)
		if a, err := DecodeAccepted([]byte(text)); err == nil && a.At >= since.UnixMicro() {
			quotes = append(quotes, a)
		}
	}
	return quotes, nil
}
