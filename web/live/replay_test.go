package live

import (
	"fmt"
	"testing"
	"time"
)

// TestReplayBudget checks that an owner may replay a burst and then the rate, that other owners do
// not wait for it, and that owners who have their burst again are forgotten.
func TestReplayBudget(t *testing.T) {
	var b replayBudget
	now := time.Hour
	for range replayBurst / 500 {
		if wait := b.wait("user:a", now); wait != 0 {
			t.Fatalf("wait %v within the burst", wait)
		}
		b.charge("user:a", 500-replayRead, now)
	}
	b.charge("user:a", 500-replayRead, now) // a replay that began within the burst
	if got, want := b.wait("user:a", now), 500*replayInterval; got != want {
		t.Errorf("wait %v beyond the burst, want %v", got, want)
	}
	if wait := b.wait("user:b", now); wait != 0 {
		t.Errorf("another owner waits %v", wait)
	}
	replayed := 0
	for end := now + time.Minute; now < end; {
		if wait := b.wait("user:a", now); wait > 0 {
			now += wait
			continue
		}
		b.charge("user:a", 8000, now)
		replayed += 8000 + replayRead
	}
	if want := 60 * replayRate; replayed < want-8000 || replayed > want+8000 {
		t.Errorf("%d ticks replayed in a minute, want %d", replayed, want)
	}
	for i := range 1000 {
		b.charge(fmt.Sprint("user:", i), 1, now)
	}
	now += replayWindow + time.Minute
	for range 1000 {
		b.charge("user:a", 1, now)
	}
	if len(b.full) != 1 {
		t.Errorf("%d owners are remembered, want 1", len(b.full))
	}
}
