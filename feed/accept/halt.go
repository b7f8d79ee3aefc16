package accept

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redislink"
)

//go:embed halt.lua
var haltSource string

var haltScript = redis.NewScript(haltSource)

// Halt makes the last quote of a symbol not current if it came from source: all nodes show it as
// stale or closed at once, and as live again with the next quote. It is for a source that reports
// that its price cannot be traded, or that has fallen silent. halted reports whether the quote was
// current. The error wraps redislink.ErrUnavailable; Halt may be called again.
func (p *Publisher) Halt(ctx context.Context, s feed.Symbol, source string) (halted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	publish := "PUBLISH"
	if p.router != nil {
		publish = "SPUBLISH"
	}
	n, err := haltScript.Run(ctx, p.cfg.Redis, []string{p.cfg.Keys.Quote(s)}, source, publish, p.cfg.Keys.Channel(s)).Int()
	if err != nil {
		return false, redislink.Unavailable("halt "+string(s), err)
	}
	return n == 1, nil
}
