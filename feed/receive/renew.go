package receive

import (
	"context"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"

	"github.com/redis/go-redis/v9"
)

// renewScript has the next quote of a symbol begin an epoch newer than the one seen, if its counter
// is still in the older one: the publish script begins one when another process has counted.
var renewScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'run', '-')
return 1`)

// takeBack returns the symbols of which Redis has gone back to an older epoch, and forgets them.
func (b *Board) takeBack() map[feed.Symbol]goneBack {
	b.mu.Lock()
	defer b.mu.Unlock()
	back := b.back
	b.back = map[feed.Symbol]goneBack{}
	return back
}

// renew ends epochs that Redis has gone back to, until ctx ends. Their publisher does not know the
// newer epoch that followed, and clients would see nothing of the symbol until it does.
func (r *Receiver) renew(ctx context.Context) {
	for {
		select {
		case <-r.cfg.Board.older:
		case <-ctx.Done():
			return
		}
		for s, b := range r.cfg.Board.takeBack() {
			bounded, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
			renewed, err := renewScript.Run(bounded, r.client, []string{r.cfg.Keys.Seq(s)}, b.epoch, b.seen).Int()
			cancel()
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				r.log.Warn("Redis has gone back to an older epoch, which could not be ended; the next quote tries again", "symbol", string(s), "err", err)
			case renewed > 0:
				r.log.Warn("Redis has gone back to an older epoch; the next quote begins a new one", "symbol", string(s), "older", b.epoch, "seen", b.seen)
			}
		}
		if !redislink.Sleep(ctx, 200*time.Millisecond) {
			return
		}
	}
}
