package receive

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	// refillLimit bounds the ticks of a symbol that are read from history to fill a gap.
	refillLimit = 10_000
	// refillPatience is how long reading them is retried.
	refillPatience = 5 * time.Second
)

// gap means that all ticks after position are missing.
type gap struct {
	position
	since time.Time
}

// setRefills sets whether a Receiver reads missing ticks from history. If not, gaps are counted and
// skipped.
func (b *Board) setRefills(on bool) {
	b.mu.Lock()
	b.refills = on
	b.mu.Unlock()
}

// openGaps returns the gaps that are still open. It forgets gaps that have closed and those of
// symbols that are no longer followed.
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

// refill passes the ticks that history has after p to the sequence of its symbol. giveUp means that
// history could not be read in time.
func (b *Board) refill(p position, a historyAnswer, giveUp bool) {
	now := time.Now()
	b.mu.Lock()
	e := b.gaps[p.symbol]
	if e == nil {
		b.mu.Unlock()
		return
	}
	m := b.take(e, now)
	c := e.order.Refill(refill{p.Position, a.ticks, a.complete, giveUp}, m, b.cfg.LastKnown)
	b.show(p.symbol, e, c, now)
	b.handOver(p.symbol, e) // unlocks
}

// fill reads missing ticks from history until ctx ends.
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

// fillBatch reads history for gaps and reports whether each of them was settled: filled or given
// up.
func (r *Receiver) fillBatch(ctx context.Context, history *History, gaps []gap) bool {
	ctx, cancel := context.WithTimeout(ctx, redislink.OpTimeout)
	defer cancel()
	positions := make([]position, len(gaps))
	for i, g := range gaps {
		positions[i] = g.position
	}
	all := true
	for i, a := range history.after(ctx, positions, refillLimit, runtime.Gosched) {
		giveUp := a.err != nil
		if giveUp && time.Since(gaps[i].since) < refillPatience {
			all = false
			continue
		}
		if giveUp {
			r.log.Warn("missed quotes could not be read from history", "symbol", string(gaps[i].symbol), "err", a.err)
		}
		r.cfg.Board.refill(gaps[i].position, a, giveUp)
	}
	return all
}
