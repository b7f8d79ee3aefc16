package receive

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

// storedQuote is a last value read from Redis.
type storedQuote struct {
	quote feed.Tick
	life  time.Duration // until its key expires in Redis
}

// lastValues reads last values from Redis.
type lastValues struct {
	redis redis.UniversalClient
	keys  feed.Keys
	ttl   time.Duration // lifetime of a value without an expiry, such as one set by hand
}

// read returns the last values of symbols; symbols without one are absent from found. bad counts
// values that are not a quote of their symbol.
func (l lastValues) read(ctx context.Context, symbols []feed.Symbol) (found map[feed.Symbol]*storedQuote, bad int, err error) {
	found = make(map[feed.Symbol]*storedQuote, len(symbols))
	for batch := range slices.Chunk(symbols, maxBatch) {
		pipe := l.redis.Pipeline()
		values, lives := make([]*redis.StringCmd, len(batch)), make([]*redis.DurationCmd, len(batch))
		for i, s := range batch {
			values[i] = pipe.Get(ctx, l.keys.Quote(s))
			lives[i] = pipe.PTTL(ctx, l.keys.Quote(s))
		}
		pipe.Exec(ctx) // each command has its own error
		for i, s := range batch {
			text, err := values[i].Bytes()
			switch {
			case errors.Is(err, redis.Nil):
				continue
			case redislink.Code(err) != "" && !redislink.MayRetry(err): // a key of another type
				bad++
				continue
			case err != nil:
				return nil, bad, redislink.Unavailable("read the last values", err)
			}
			a, err := feed.DecodeTick(text)
			if err != nil || a.Symbol != s {
				bad++
				continue
			}
			life, err := lives[i].Result()
			if err != nil || life == -2 { // it expired between GET and PTTL
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
