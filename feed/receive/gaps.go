package receive

import (
	"context"
	"slices"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	// refillLimit is how many ticks of a symbol are read from history.
	refillLimit = 10_000
	// refillPatience is how long reading them is tried.
	refillPatience = 5 * time.Second
)

// gap is what is missing: everything after position.
type gap struct {
	position
	since time.Time
}

// setRefills notes whether somebody reads missing ticks from history; if not, gaps
// are counted and passed over.
func (b *Board) setRefills(on bool) {
	b.mu.Lock()
	b.refills = on
	b.mu.Unlock()
}

// openGaps returns what is missing; what was closed since, or is not followed any
// more, is forgotten.
func (b *Board) openGaps() []gap {
	b.mu.Lock()
	defer b.mu.Unlock()
	var gaps []gap
	for s, e := range b.gaps {
		after, since, open := e.order.Gap()
		if !open {
			delete(b.gaps, s)
			continue
		}
		gaps = append(gaps, gap{position{s, after}, since})
	}
	return gaps
}

// refill gives a symbol what history has after p. By giveUp history could not be
// read in time.
func (b *Board) refill(p position, a historyAnswer, giveUp bool) {
	now := time.Now()
	b.mu.Lock()
	e := b.gaps[p.symbol]
	if e == nil {
		b.mu.Unlock()
		return
	}
	m := b.take(e, now)
	c := e.order.Refill(refill{p.Position, a.ticks, a.complete, giveUp}, m, b.cfg.QuoteTTL)
	b.show(p.symbol, e, c, now)
	b.handOver(p.symbol, e) // unlocks
}

// fill reads what is missing from history, until ctx ends.
func (r *Receiver) fill(ctx context.Context) {
	history := NewHistory(r.client, r.cfg.Keys)
	for ctx.Err() == nil {
		gaps := r.cfg.Board.openGaps()
		if len(gaps) == 0 {
			select {
			case <-r.cfg.Board.gapped:
			case <-ctx.Done():
			}
			continue
		}
		failed := false
		for batch := range slices.Chunk(gaps, 64) {
			failed = !r.fillBatch(ctx, history, batch) || failed
		}
		if failed {
			redislink.Sleep(ctx, 100*time.Millisecond)
		}
	}
}

// fillBatch reports whether all of gaps were settled.
func (r *Receiver) fillBatch(ctx context.Context, history *History, gaps []gap) bool {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	positions := make([]position, len(gaps))
	for i, g := range gaps {
		positions[i] = g.position
	}
	all := true
	for i, a := range history.after(ctx, positions, refillLimit) {
		giveUp := a.err != nil
		if giveUp && time.Since(gaps[i].since) < refillPatience {
			all = false
			continue
		}
		if giveUp {
			r.log.Warn("quotes that were missed could not be read from history", "symbol", string(gaps[i].symbol), "err", a.err)
		}
		r.cfg.Board.refill(gaps[i].position, a, giveUp)
	}
	return all
}
