package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// lastValues reads last values from Redis.
type lastValues struct {
	redis redis.UniversalClient
	keys  Keys
	ttl   time.Duration // life of a value that was set by hand, without expiry
}

// read returns the last values of symbols; those without one are not in it. bad
// counts what was there and is no quote of its symbol.
func (l lastValues) read(ctx context.Context, symbols []Symbol) (found map[Symbol]*storedQuote, bad int, err error) {
	found = make(map[Symbol]*storedQuote, len(symbols))
	for batch := range slices.Chunk(symbols, maxPipeline) {
		pipe := l.redis.Pipeline()
		values, lives := make([]*redis.StringCmd, len(batch)), make([]*redis.DurationCmd, len(batch))
		for i, s := range batch {
			values[i] = pipe.Get(ctx, l.keys.Quote(s))
			lives[i] = pipe.PTTL(ctx, l.keys.Quote(s))
		}
		pipe.Exec(ctx) // each answer has its own error
		for i, s := range batch {
			text, err := values[i].Bytes()
			var answered redis.Error
			switch {
			case errors.Is(err, redis.Nil):
				continue
			case errors.As(err, &answered) && !retryable(err): // a key of another type
				bad++
				continue
			case err != nil:
				return nil, bad, fmt.Errorf("%w: read the last values: %w", ErrUnavailable, err)
			}
			a, err := DecodeAccepted(text)
			if err != nil || a.Symbol != s {
				bad++
				continue
			}
			life, err := lives[i].Result()
			if err != nil || life == -2 { // expired between the two
				continue
			}
			if life < 0 {
				life = l.ttl
			}
			found[s] = &storedQuote{a, life}
		}
	}
	return found, bad, nil
}
