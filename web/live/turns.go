package live

import (
	"context"
	"time"

	"github.com/fxcast/fxcast/hub"
)

const (
	resumers = 8 // connections that read history at a time; more would keep the hub from the processors
	// restTime is how long work that takes long waits for the hub, at most. A busy hub delays such
	// work, but does not stop it.
	restTime = 2 * time.Millisecond
)

// turns orders the work of clients that takes long: commands of many names, and reads of history.
// Such work would keep the hub from the processors, and so others from their quotes. It therefore
// waits for its turn, and then until the hub rests. It is safe for concurrent use.
type turns struct {
	hub     *hub.Hub
	working chan struct{} // holds a token while a long command is worked on
	reading chan struct{} // holds a token for each connection that reads history
	replays replayBudget
}

func newTurns(h *hub.Hub) turns {
	return turns{hub: h, working: make(chan struct{}, 1), reading: make(chan struct{}, resumers)}
}

// work does work for a command that counts as cost commands. Work for long ones is done one at a
// time. It must not wait.
func (t *turns) work(cost int, work func()) {
	if cost > 1 {
		t.working <- struct{}{}
		defer func() { <-t.working }()
		t.rest()
	}
	work()
}

// beginRead waits until a connection of an owner may read history: until the owner's budget allows
// it, and until fewer than resumers read. It returns false if ctx ends first. Otherwise the caller
// must call endRead.
func (t *turns) beginRead(ctx context.Context, owner string, age func() time.Duration) bool {
	if wait := t.replays.wait(owner, age()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
		if t.replays.wait(owner, age()) > 0 { // another connection of the owner was faster
			return false
		}
	}
	select {
	case t.reading <- struct{}{}:
		t.rest()
		return true
	case <-ctx.Done():
		return false
	}
}

func (t *turns) endRead() { <-t.reading }

// rest lets the hub go first. It is called before each piece of work, none of which takes longer than a
// millisecond or two.
func (t *turns) rest() { t.hub.AwaitRest(restTime) }
