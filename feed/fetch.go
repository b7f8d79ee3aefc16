package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// fetched are last values read from Redis. They are merged when marker, which
// was published after they were read, comes back: then every quote published
// before they were read has been received.
type fetched struct {
	marker  string
	again   bool // only of symbols that were unknown a moment before
	symbols []Symbol
	quotes  []storedQuote
}

func (r *Receiver) setFetched(f *fetched) {
	r.mu.Lock()
	r.fetched = f
	r.mu.Unlock()
}

// takeFetched returns the last values that wait for marker, nil if none do.
func (r *Receiver) takeFetched(marker string) *fetched {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.fetched
	if f == nil || f.marker != marker {
		return nil
	}
	r.fetched = nil
	return f
}

// fetch reads all last values, and a little later those of symbols that were
// listed meanwhile: a publisher lists a new symbol just after its first quote,
// which may have been before the subscription.
func (r *Receiver) fetch(ctx context.Context) {
	known := map[Symbol]bool{}
	if r.fetchOnce(ctx, known, false) && sleep(ctx, opTimeout/2) {
		r.fetchOnce(ctx, known, true)
	}
}

// fetchOnce reads the last values of the symbols that are not known yet,
// leaves them for Run's goroutine and publishes the marker. It tries until
// that has worked or ctx ends, and reports which. The symbols are known then.
func (r *Receiver) fetchOnce(ctx context.Context, known map[Symbol]bool, again bool) bool {
	for logged := false; ; {
		f, err := r.read(ctx, known)
		if err == nil && again && len(f.symbols) == 0 {
			return true
		}
		if err == nil {
			f.again = again
			r.setFetched(f)
			err = r.probe.send(ctx, f.marker)
		}
		if err == nil {
			for _, s := range f.symbols {
				known[s] = true
			}
			return true
		}
		if !logged && ctx.Err() == nil {
			logged = true
			r.log.Warn("last values not read, trying on", "err", err)
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return false
		}
	}
}

// read reads the last values of all symbols but the known ones.
func (r *Receiver) read(ctx context.Context, known map[Symbol]bool) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*opTimeout)
	defer cancel()
	members, err := r.client.SMembers(ctx, r.cfg.Keys.Symbols()).Result()
	if err != nil {
		return nil, fmt.Errorf("read the known symbols: %w", err)
	}
	f := &fetched{marker: "fetched-" + newEpoch()}
	for _, m := range members {
		if s, err := ParseSymbol(m); err == nil && string(s) == m && !known[s] { // another program may write there
			f.symbols = append(f.symbols, s)
		}
	}
	for batch := range slices.Chunk(f.symbols, maxPipeline) {
		pipe := r.client.Pipeline()
		values, lives := make([]*redis.StringCmd, len(batch)), make([]*redis.DurationCmd, len(batch))
		for i, s := range batch {
			values[i] = pipe.Get(ctx, r.cfg.Keys.Quote(s))
			lives[i] = pipe.PTTL(ctx, r.cfg.Keys.Quote(s))
		}
		pipe.Exec(ctx) // each answer has its own error
		for i, s := range batch {
			text, err := values[i].Bytes()
			var answered redis.Error
			switch {
			case errors.Is(err, redis.Nil):
				continue
			case errors.As(err, &answered) && !retryable(err): // a key of another type
				r.metrics.bad.Inc()
				continue
			case err != nil:
				return nil, fmt.Errorf("read the last values: %w", err)
			}
			a, err := DecodeAccepted(text)
			if err != nil || a.Symbol != s {
				r.metrics.bad.Inc()
				continue
			}
			life, err := lives[i].Result()
			if err != nil || life == -2 { // expired between the two
				continue
			}
			if life < 0 {
				life = r.cfg.Board.cfg.QuoteTTL // set by hand, without expiry
			}
			f.quotes = append(f.quotes, storedQuote{a, life})
		}
	}
	return f, nil
}
