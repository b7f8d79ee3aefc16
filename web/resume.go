package web

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/hub"
)

const (
	resumeTime  = 5 * time.Second // for all symbols of a command; then they begin anew
	resumeTicks = 8000            // of a symbol; who has missed more begins anew
	resumeTries = 3               // readings of the history, where ticks came in between
	resumers    = 16              // connections that read history at a time
)

// resume sends what a client has missed of the symbols that its subscription holds
// back. Where history does not reach back to where it stands, or can not be read,
// it gets a snapshot that says so.
func (c *connection) resume(since map[string]position) {
	if len(since) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resumeTime)
	defer cancel()
	select {
	case c.server.resuming <- struct{}{}:
		defer func() { <-c.server.resuming }()
	case <-ctx.Done():
	}
	for _, symbol := range slices.Sorted(maps.Keys(since)) {
		result := "resumed"
		if !c.resumeOne(ctx, symbol, since[symbol]) {
			c.client.Resume(symbol, hub.Position{}, nil, false)
			result = "reset"
		}
		c.server.stats.resumes.WithLabelValues(result).Inc()
	}
}

// resumeOne reports whether a client has, or will get, all that it has missed.
func (c *connection) resumeOne(ctx context.Context, symbol string, at position) bool {
	// Only what is read from now on reaches up to the ticks that are held back.
	if c.client.Await(ctx, symbol) != nil {
		return false
	}
	from := hub.Position{Epoch: at.Epoch, Seq: at.Seq}
	for range resumeTries {
		ticks, complete, err := c.server.cfg.History.After(ctx, feed.Symbol(symbol), at.Epoch, at.Seq, resumeTicks)
		if err != nil || !complete {
			return false
		}
		if !c.client.Resume(symbol, from, missedTicks(ticks), true) {
			return true
		}
	}
	return false
}

func missedTicks(ticks []feed.Accepted) []hub.Missed {
	missed := make([]hub.Missed, 0, len(ticks))
	for _, a := range ticks {
		missed = append(missed, hub.Missed{Position: hub.Position{Epoch: a.Epoch, Seq: a.Seq}, Body: a.Body, At: a.At})
	}
	return missed
}
