package live

import (
	"sync"
	"time"
)

// Ticks that may be replayed for the connections of one owner: so many at once, then so many per
// second. A read of history counts as some ticks, even if it finds none.
const (
	replayBurst = 2_500
	replayRate  = 5_000
	replayRead  = 10
)

// A replayBudget shares the replay of ticks among owners. What an owner's connections replay
// beyond the burst makes further replays for that owner wait; nobody is refused, and the replays of
// other owners go on. It is safe for concurrent use.
type replayBudget struct {
	mu   sync.Mutex
	full map[string]time.Duration // guarded by mu; when an owner has its whole burst again
}

const (
	replayInterval = time.Second / replayRate
	replayWindow   = replayBurst * replayInterval // the time in which a burst refills
)

// wait returns how long the next replay of an owner must wait, at a time of the server's clock.
func (b *replayBudget) wait(owner string, now time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.full[owner]-now-replayWindow, 0)
}

// charge counts a read of history and the ticks that it found. Their number is known only after the
// read, so the last one may exceed the burst.
func (b *replayBudget) charge(owner string, ticks int, now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const look = 8 // more than are added, so that only those not yet full stay
	seen := 0
	for o, full := range b.full { // in random order
		if full <= now {
			delete(b.full, o)
		}
		if seen++; seen == look {
			break
		}
	}
	if b.full == nil {
		b.full = make(map[string]time.Duration)
	}
	b.full[owner] = max(b.full[owner], now) + time.Duration(replayRead+ticks)*replayInterval
}
