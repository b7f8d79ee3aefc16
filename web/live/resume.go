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
	resumeTime  = 15 * time.Second // for all symbols of a command, without queueTime; then the rest get a snapshot
	queueTime   = time.Minute      // for waiting in turn; many clients reconnect at once when a node stops
	resumeTicks = 8000             // of a symbol; a client that missed more gets a snapshot
	resumeTries = 3                // reads of the history, if new ticks arrive during a read
)

// resumeStep limits each wait for one symbol in the first round. It doubles each round. Only a test
// changes it, before it starts a server.
var resumeStep = 500 * time.Millisecond

// A resumption replays the ticks that a client has missed since its position.
type resumption struct {
	*Client
	ctx    context.Context // ends after resumeTime and queueTime
	began  time.Time
	queued time.Duration // the time since began that was spent waiting for a turn
}

// resume replays the ticks that a client has missed, for each symbol that its subscription holds
// back. If the history does not reach back to the client's position, or cannot be read in time,
// the client gets a snapshot with reset. Symbols take turns, so that one whose server is lost
// does not delay the others for long.
func (c *Client) resume(since map[string]protocol.Position) {
	if len(since) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), resumeTime+queueTime)
	defer cancel()
	c.endResume.Store(&cancel)
	defer c.endResume.Store(nil)
	if c.ending.Load() { // Close may have found nothing to cancel
		return
	}
	r := resumption{Client: c, ctx: ctx, began: time.Now()}
	waiting := slices.Sorted(maps.Keys(since))
	for step := resumeStep; len(waiting) > 0; step *= 2 {
		round := time.Now()
		var again []string
		for _, symbol := range waiting {
			switch resumed, known := r.one(symbol, since[symbol], step); {
			case r.ending.Load():
				return
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

// cancelResume ends a resume with its connection.
func (c *Client) cancelResume() {
	if cancel := c.endResume.Load(); cancel != nil {
		(*cancel)()
	}
}

func (r *resumption) over() bool {
	return r.ctx.Err() != nil || r.ending.Load() || time.Since(r.began)-r.queued > resumeTime
}

// one resumes one symbol. It returns resumed if the client has, or will get, every tick that it
// missed. known is false if that could not be decided yet. Waiting for the hub and reading the
// history may each take up to step.
func (r *resumption) one(symbol string, at protocol.Position, step time.Duration) (resumed, known bool) {
	// Only a history that is read after this reaches up to the ticks that the hub holds back.
	following, cancel := context.WithTimeout(r.ctx, step)
	err := r.hub.Await(following, symbol)
	cancel()
	if err != nil {
		return false, errors.Is(err, hub.ErrClosed)
	}
	if !r.turn() {
		return false, false
	}
	defer r.server.turns.endRead()
	ctx, cancel := context.WithTimeout(r.ctx, step)
	defer cancel()
	from := protocol.Position{Epoch: at.Epoch, Seq: at.Seq}
	for range resumeTries {
		ticks, complete, err := r.server.cfg.History.After(ctx, feed.Symbol(symbol), at.Epoch, at.Seq, resumeTicks, r.server.turns.rest)
		r.server.turns.replays.charge(r.owner, len(ticks), r.server.age())
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

// turn waits until this connection may read history. Meanwhile no pings and pongs are read, so turn
// reports the client as alive.
func (r *resumption) turn() bool {
	began := time.Now()
	defer func() { r.queued += time.Since(began) }()
	for r.ctx.Err() == nil {
		r.hub.Alive()
		wait, cancel := context.WithTimeout(r.ctx, resumeStep)
		ok := r.server.turns.beginRead(wait, r.owner, r.server.age)
		cancel()
		if ok {
			return true
		}
	}
	return false
}

// pause waits for d, or until the context ends.
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
