package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// SeedVariable is the environment variable that replays a schedule.
const SeedVariable = "FXCAST_FAULT_SEED"

// Fault is something that goes wrong. Inject and Heal are called by one
// goroutine; an error of either ends the run.
type Fault struct {
	Name   string
	Inject func(ctx context.Context) error
	Heal   func(ctx context.Context) error // nil: the fault is over at once

	// Shortest and Longest bound the time before Heal; 0, 0 = 100 ms to 5 s.
	Shortest, Longest time.Duration
}

// Step is one fault of a schedule.
type Step struct {
	Fault Fault
	Calm  time.Duration // before it
	Hold  time.Duration // until it is healed
}

// Seed returns the seed, from the environment if it is set there. If the test fails it logs how to
// replay the schedule.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64() >> 32
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: want a whole number: %v", SeedVariable, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the same faults again: %s=%d", SeedVariable, seed)
		}
	})
	return seed
}

// Schedule makes the steps for a duration. The same seed, faults and duration
// make the same steps. Each fault comes once before any comes again; at least
// one does.
func Schedule(seed uint64, faults []Fault, d time.Duration) []Step {
	r := rand.New(rand.NewPCG(seed, 0))
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(r.Int64N(int64(high-low)+1))
	}
	var steps []Step
	for total := time.Duration(0); len(faults) > 0; {
		for _, i := range r.Perm(len(faults)) {
			f := faults[i]
			low, high := f.Shortest, f.Longest
			if high == 0 {
				low, high = 100*time.Millisecond, 5*time.Second
			}
			s := Step{Fault: f, Calm: between(200*time.Millisecond, time.Second)}
			if f.Heal != nil {
				s.Hold = between(low, high)
			}
			if total += s.Calm + s.Hold; total > d && len(steps) > 0 {
				return steps
			}
			steps = append(steps, s)
		}
	}
	return steps
}

// Outcome is the effect of one step on the clients.
type Outcome struct {
	Fault    string
	Injected time.Time
	Healed   time.Time

	// Noticed is the time from Injected until a client received a sign of trouble: degraded, a
	// stale symbol or the end of its connection. It is negative if no client did.
	Noticed time.Duration

	// Right is the time from Healed until every client was connected, not degraded, and had for
	// every symbol a tick that was sent after Healed.
	Right time.Duration

	// Missed is the number of accepted ticks that some client of mode all did not get, and Lost of
	// those that none of them got. Unreplicated ones were answered as such. See Blame.
	Missed, Lost, Unreplicated int
}

// Field has the participants of a run.
type Field struct {
	// Publishers' ticks show when a client is right again: it has a new tick of any of them,
	// because a conflated client gets whichever is newest. The first publisher sends the last
	// ticks.
	Publishers []*Publisher
	Clients    []*Client
	Patience   time.Duration // for clients to be right again; 0 = 60 s
	Log        func(format string, args ...any)
}

// Run executes the steps, one after the other, and waits after each until the clients are right
// again. If a client does not become right, or ctx ends, it returns the outcomes so far with an
// error.
func (f Field) Run(ctx context.Context, steps []Step) (outcomes []Outcome, err error) {
	for i, s := range steps {
		if !wait(ctx, s.Calm) {
			return outcomes, ctx.Err()
		}
		f.Log("fault %d of %d: %s for %v", i+1, len(steps), s.Fault.Name, s.Hold)
		o := Outcome{Fault: s.Fault.Name, Injected: time.Now(), Noticed: -1}
		if err := s.Fault.Inject(ctx); err != nil {
			return outcomes, fmt.Errorf("%s: %w", s.Fault.Name, err)
		}
		if s.Fault.Heal != nil {
			wait(ctx, s.Hold)
			if err := s.Fault.Heal(context.WithoutCancel(ctx)); err != nil {
				return outcomes, fmt.Errorf("heal %s: %w", s.Fault.Name, err)
			}
		}
		o.Healed = time.Now()
		err := f.AwaitRight(ctx)
		o.Right = time.Since(o.Healed)
		for _, c := range f.Clients {
			if at, ok := c.noticed(o.Injected); ok && (o.Noticed < 0 || at.Sub(o.Injected) < o.Noticed) {
				o.Noticed = at.Sub(o.Injected)
			}
		}
		outcomes = append(outcomes, o)
		if err != nil {
			return outcomes, fmt.Errorf("after %s: %w", s.Fault.Name, err)
		}
	}
	return outcomes, nil
}

// AwaitRight waits until every client has of every symbol a tick that was sent
// after the call.
func (f Field) AwaitRight(ctx context.Context) error {
	patience := f.Patience
	if patience == 0 {
		patience = time.Minute
	}
	marks := map[int]map[string]uint64{}
	for _, p := range f.Publishers {
		marks[p.id] = p.mark()
	}
	for deadline := time.Now().Add(patience); ; {
		late := ""
		for _, c := range f.Clients {
			if !c.heard(marks) {
				late = c.Name()
				break
			}
		}
		if late == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("faulttest: after %v client %s is not right again", patience, late)
		}
		if !wait(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// AwaitLast waits until every client has the last tick the first publisher sent
// of each symbol, as Publisher.Finish leaves it.
func (f Field) AwaitLast(ctx context.Context) error {
	mark := f.Publishers[0].mark()
	for s := range mark {
		mark[s]--
	}
	marks := map[int]map[string]uint64{f.Publishers[0].id: mark}
	for {
		late := 0
		for _, c := range f.Clients {
			if !c.heard(marks) {
				late++
			}
		}
		if late == 0 || !wait(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}
