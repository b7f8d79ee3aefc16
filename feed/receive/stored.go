package receive

import (
	"cmp"
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
	age   time.Duration // since its acceptance
	life  time.Duration // until Redis forgets it
}

// lastValues reads last values from Redis: the newest entry of a symbol's history,
// which outlives the key of the last quote.
type lastValues struct {
	redis               redis.UniversalClient
	keys                feed.Keys
	quoteTTL, lastKnown time.Duration
}

func newLastValues(client redis.UniversalClient, keys feed.Keys, b *Board) lastValues {
	return lastValues{client, keys, b.cfg.QuoteTTL, b.cfg.LastKnown}
}

// read returns the last values of symbols; symbols without one are absent from found. bad counts
// values that are not a quote of their symbol.
func (l lastValues) read(ctx context.Context, symbols []feed.Symbol) (found map[feed.Symbol]*storedQuote, bad int, err error) {
	found = make(map[feed.Symbol]*storedQuote, len(symbols))
	for batch := range slices.Chunk(symbols, maxBatch) {
		pipe := l.redis.Pipeline()
		newest := make([]*redis.XMessageSliceCmd, len(batch))
		lives, current := make([]*redis.DurationCmd, len(batch)), make([]*redis.DurationCmd, len(batch))
		for i, s := range batch {
			newest[i] = pipe.XRevRangeN(ctx, l.keys.Ticks(s), "+", "-", 1)
			lives[i] = pipe.PTTL(ctx, l.keys.Ticks(s))
			current[i] = pipe.PTTL(ctx, l.keys.Quote(s))
		}
		_ = redislink.Exec(ctx, pipe) // each command has its own error
		for i, s := range batch {
			entries, err := newest[i].Result()
			if errors.Is(err, redis.Nil) {
				err = nil
			}
			life, lifeErr := lives[i].Result()
			err = cmp.Or(err, lifeErr, current[i].Err()) // a connection may break between two answers
			switch code := redislink.Code(err); {
			case code == "WRONGTYPE", code == "NOPERM": // only this key is meant
				bad++
				continue
			case err != nil:
				return nil, bad, redislink.Unavailable("read the last values", err)
			case len(entries) == 0, life == -2: // it expired in between
				continue
			}
			t, ok := historyTick(s, entries[0])
			if !ok {
				bad++
				continue
			}
			if v := l.stored(t, life, current[i].Val()); v.life > 0 {
				found[s] = v
			}
		}
	}
	return found, bad, nil
}

// stored reckons the age of a tick from what is left of the lives of its history and
// of the last quote, by Redis's clock. Where a lifetime was changed meanwhile the greater
// age counts, so that an expired quote is never taken for a current one.
func (l lastValues) stored(t feed.Tick, life, current time.Duration) *storedQuote {
	age := l.lastKnown - life
	if life < 0 { // without expiry, as version 0.1 wrote it
		age = max(time.Since(time.UnixMicro(t.At)), 0)
		life = l.lastKnown - age
	}
	age = max(age, l.quoteTTL-max(current, 0), 0)
	return &storedQuote{t, age, min(life, l.lastKnown)}
}
