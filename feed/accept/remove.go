package accept

import (
	"context"
	_ "embed"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

//go:embed remove.lua
var removeSource string

var removeScript = redis.NewScript(removeSource)

// Removal is what Redis knew of a symbol that was removed.
type Removal struct {
	Known bool   // it had a key, or stood in the list
	Epoch string // of its counter; "" if there was none
	At    int64  // by Redis's clock, Unix microseconds
}

// Remove deletes all that Redis keeps of a symbol: its place in the list, the last
// quote, the history and the counter, so that the next quote begins a new epoch. Nodes
// go on showing what they have until Board.Remove. The error wraps ErrUnavailable;
// the symbol may be removed in part then, and may be removed again.
func (p *Publisher) Remove(ctx context.Context, s feed.Symbol) (Removal, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	// The list comes first: a quote that is accepted once the counter is gone is of a new
	// epoch, which lists its symbol again.
	listed, err := p.cfg.Redis.SRem(ctx, p.cfg.Keys.Symbols(), string(s)).Result()
	if err != nil {
		return Removal{}, redislink.Unavailable("remove "+string(s), err)
	}
	reply, err := removeScript.Run(ctx, p.cfg.Redis, p.cfg.Keys.OfSymbol(s)).Slice()
	if err != nil {
		return Removal{}, redislink.Unavailable("remove "+string(s), err)
	}
	r := Removal{Known: listed > 0}
	if len(reply) == 3 {
		deleted, _ := reply[0].(int64)
		r.Known = r.Known || deleted > 0
		r.Epoch, _ = reply[1].(string)
		at, _ := reply[2].(string)
		r.At, _ = strconv.ParseInt(at, 10, 64)
	}
	return r, nil
}
