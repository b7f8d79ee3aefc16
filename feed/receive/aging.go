package receive

import (
	"context"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// aging holds what decides when a symbol without quotes becomes stale or closed.
type aging struct {
	staleAfter  time.Duration
	instruments *feed.Instruments
}

// statusAt is the status of a symbol whose last tick arrived at a time.
func (a aging) statusAt(s feed.Symbol, arrived, now time.Time, has bool) feed.Status {
	return a.instruments.StatusAt(s, arrived, now, a.staleAfter, has)
}

// since is when a status began that is seen now: when the last tick grew old, if the
// market was then open or closed as it is now.
func (a aging) since(status feed.Status, s feed.Symbol, arrived, now time.Time) time.Time {
	grewOld := arrived.Add(a.staleAfter)
	if grewOld.Before(now) && a.statusAt(s, arrived, grewOld, true) == status {
		return grewOld
	}
	return now
}

// Run updates the statuses as time passes. It returns nil when ctx ends.
func (b *Board) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(b.cfg.StaleAfter/8, 10*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.age()
		}
	}
}

func (b *Board) aging() aging { return aging{b.cfg.StaleAfter, b.cfg.Instruments} }

func (b *Board) age() {
	now := time.Now()
	changed := map[feed.Symbol]*entry{}
	counts := map[feed.Status]int{}
	followed := 0
	b.mu.Lock()
	for s, e := range b.entries {
		if e.order.followed() {
			followed++
			had := e.value.has
			e.value.age(now, b.aging(), &e.out)
			if had {
				e.settleName()
			}
			if len(e.out.events) > 0 {
				changed[s] = e
			}
		} else if e.forgettable(now) {
			delete(b.entries, s)
			continue
		}
		counts[e.value.status]++
	}
	b.mu.Unlock()
	for s, e := range changed {
		b.mu.Lock()
		b.handOver(s, e) // unlocks
	}
	for status, g := range b.metrics.symbols {
		g.Set(float64(counts[status]))
	}
	b.metrics.followed.Set(float64(followed))
}

// forgettable reports whether an entry holds no information: its symbol was never published, or is
// not known any more. An entry stays for a while after its symbol was left, since ticks may still
// be on their way.
func (e *entry) forgettable(now time.Time) bool {
	return e.order.state == idle && !e.listed && e.out.idle() && now.Sub(e.value.since) > goesBack
}
