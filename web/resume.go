package web

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/hub"
)

const (
	resumeTime  = 15 * time.Second       // for all symbols of a command; then they begin anew
	resumeStep  = 500 * time.Millisecond // for each wait for one symbol; then the next has its turn, and more time
	resumeTicks = 8000                   // of a symbol; who has missed more begins anew
	resumeTries = 3                      // readings of the history, where ticks came in between
	resumers    = 16                     // connections that read history at a time
)

// resume sends what a client has missed of the symbols that its subscription holds
// back. Where history does not reach back to where it stands, or can not be read
// in time, it gets a snapshot that says so. Symbols take turns: one that can not be
// read now, because its server is lost, does not keep the others waiting for long.
func (c *connection) resume(since map[string]position) {
	if len(since) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resumeTime)
	defer cancel()
	waiting := slices.Sorted(maps.Keys(since))
	for step := resumeStep; len(waiting) > 0; step *= 2 {
		began := time.Now()
		var again []string
		for _, symbol := range waiting {
			switch resumed, known := c.resumeOne(ctx, symbol, since[symbol], step); {
			case !known && ctx.Err() == nil && !c.ending.Load():
				again = append(again, symbol)
			case resumed:
				c.server.stats.resumes.WithLabelValues("resumed").Inc()
			default:
				c.client.Resume(symbol, hub.Position{}, nil, false)
				c.server.stats.resumes.WithLabelValues("reset").Inc()
			}
		}
		if waiting = again; len(waiting) > 0 {
			pause(ctx, resumeStep-time.Since(began))
		}
	}
}

// resumeOne reports whether a client has, or will get, all that it has missed;
// known is false where that could not be found out yet. Following and reading may
// take a step each. That many others read takes as long as it takes: a reading that
// is given up would have to be done again.
func (c *connection) resumeOne(ctx context.Context, symbol string, at position, step time.Duration) (resumed, known bool) {
	// Only what is read from now on reaches up to the ticks that are held back.
	following, cancel := context.WithTimeout(ctx, step)
	err := c.client.Await(following, symbol)
	cancel()
	if err != nil {
		return false, errors.Is(err, hub.ErrClosed)
	}
	select {
	case c.server.resuming <- struct{}{}:
		defer func() { <-c.server.resuming }()
	case <-ctx.Done():
		return false, false
	}
	ctx, cancel = context.WithTimeout(ctx, step)
	defer cancel()
	from := hub.Position{Epoch: at.Epoch, Seq: at.Seq}
	for range resumeTries {
		ticks, complete, err := c.server.cfg.History.After(ctx, feed.Symbol(symbol), at.Epoch, at.Seq, resumeTicks)
		switch {
		case err != nil:
			return false, false
		case !complete:
			return false, true
		case !c.client.Resume(symbol, from, missedTicks(ticks), true):
			return true, true
		}
	}
	return false, false
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func missedTicks(ticks []feed.Accepted) []hub.Missed {
	missed := make([]hub.Missed, 0, len(ticks))
	for _, a := range ticks {
		missed = append(missed, hub.Missed{Position: hub.Position{Epoch: a.Epoch, Seq: a.Seq}, Body: a.Body, At: a.At})
	}
	return missed
}
