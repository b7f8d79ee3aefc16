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

// Removal describes what Redis held of a removed symbol.
type Removal struct {
	Known bool   // the symbol had a key, or was in the list of symbols
	Epoch string // epoch of its counter; "" if there was none
	At    int64  // time of the removal by Redis's clock, Unix microseconds
}

// Remove deletes everything that Redis keeps of a symbol: its place in the list, the last quote,
// the history and the counter. The next quote then begins a new epoch. Each node shows its own last
// value until Board.Remove. The error wraps redislink.ErrUnavailable; the symbol may then be
// removed in part, and Remove may be called again.
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
