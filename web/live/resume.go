package live

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

const (
	resumeTime  = 15 * time.Second       // for all symbols of a command, without the waiting for a turn; then they get a snapshot
	queueTime   = time.Minute            // that waiting: many clients come back at once when a node stops
	resumeStep  = 500 * time.Millisecond // for each wait for one symbol; then the next has its turn, and more time
	resumeTicks = 8000                   // of a symbol; a client that has missed more gets a snapshot
	resumeTries = 3                      // readings of the history, where ticks came in between
	resumers    = 16                     // connections that read history at a time
)

// A resumption is a client on its way back to where it stood.
type resumption struct {
	*Client
	ctx    context.Context // for resumeTime and queueTime
	began  time.Time
	queued time.Duration // of that, waited for a turn
}

// resume sends what a client has missed of the symbols that its subscription holds
// back. If history does not reach back to where it stands, or cannot be read in time, it
// gets a snapshot with reset. Symbols take turns: one that cannot be read now, because its server is lost, does not keep the others waiting for long.
func (c *Client) resume(since map[string]protocol.Position) {
	if len(since) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resumeTime+queueTime)
	defer cancel()
	r := resumption{Client: c, ctx: ctx, began: time.Now()}
	waiting := slices.Sorted(maps.Keys(since))
	for step := resumeStep; len(waiting) > 0; step *= 2 {
		round := time.Now()
		var again []string
		for _, symbol := range waiting {
			switch resumed, known := r.one(symbol, since[symbol], step); {
			case !known && !r.over():
				again = append(again, symbol)
			case resumed:
				c.server.metrics.resumes.WithLabelValues("resumed").Inc()
			default:
				c.hub.Resume(symbol, protocol.Position{}, nil, false)
				c.server.metrics.resumes.WithLabelValues("reset").Inc()
			}
		}
		if waiting = again; len(waiting) > 0 {
			r.pause(resumeStep - time.Since(round))
		}
	}
}

func (r *resumption) over() bool {
	return r.ctx.Err() != nil || r.ending.Load() || time.Since(r.began)-r.queued > resumeTime
}

// one reports whether a client has, or will get, all that it has missed of a
// symbol; known is false where that could not be found out yet. Following and
// reading may take a step each.
func (r *resumption) one(symbol string, at protocol.Position, step time.Duration) (resumed, known bool) {
	// Only what is read from now on reaches up to the ticks that are held back.
	following, cancel := context.WithTimeout(r.ctx, step)
	err := r.hub.Await(following, symbol)
	cancel()
	if err != nil {
		return false, errors.Is(err, hub.ErrClosed)
	}
	if !r.turn() {
		return false, false
	}
	defer func() { <-r.server.resuming }()
	ctx, cancel := context.WithTimeout(r.ctx, step)
	defer cancel()
	from := protocol.Position{Epoch: at.Epoch, Seq: at.Seq}
	for range resumeTries {
		ticks, complete, err := r.server.cfg.History.After(ctx, feed.Symbol(symbol), at.Epoch, at.Seq, resumeTicks)
		switch {
		case err != nil:
			return false, false
		case !complete:
			return false, true
		case !r.hub.Resume(symbol, from, missedTicks(ticks), true):
			return true, true
		}
	}
	return false, false
}

// turn waits until this connection may read history. The client's pings and pongs
// wait meanwhile too, so it is not silent.
func (r *resumption) turn() bool {
	began := time.Now()
	defer func() { r.queued += time.Since(began) }()
	for {
		r.hub.Alive()
		again := time.NewTimer(resumeStep)
		select {
		case r.server.resuming <- struct{}{}:
			again.Stop()
			return true
		case <-again.C:
			if r.ctx.Err() != nil || r.ending.Load() {
				return false
			}
		}
	}
}

// pause waits for d, or until the time is over.
func (r *resumption) pause(d time.Duration) {
	r.hub.Alive()
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.ctx.Done():
	}
}

func missedTicks(ticks []feed.Tick) []hub.Missed {
	missed := make([]hub.Missed, 0, len(ticks))
	for _, a := range ticks {
		missed = append(missed, hub.Missed{Position: protocol.Position{Epoch: a.Epoch, Seq: a.Seq}, Body: a.Body, At: a.At})
	}
	return missed
}
