package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

func quote(symbol string, seq, skipped uint64) Quote {
	q := Quote{Symbol: symbol, Seq: seq}
	q.Epoch, q.Skipped = "e", skipped
	return q
}

// TestLatestConflates checks that with Latest one quote per symbol waits, that skipped adds up, and
// that a gap stays.
func TestLatestConflates(t *testing.T) {
	q := newQueue(Latest)
	gap := &GapError{Symbol: "A", Missing: 2}
	for _, p := range []struct {
		quote Quote
		gap   *GapError
	}{{quote("A", 1, 0), nil}, {quote("B", 7, 0), nil}, {quote("A", 5, 1), gap}, {quote("A", 9, 1), &GapError{Symbol: "A", Missing: 2}}, {quote("A", 10, 0), nil}} {
		q.push(t.Context(), p.quote, p.gap)
	}
	if _, err := q.pop(t.Context()); err.(*GapError).Missing != 4 {
		t.Errorf("first %v, want the gap of 4", err)
	}
	if a, err := q.pop(t.Context()); err != nil || a.quote.Seq != 10 || a.quote.Skipped != 5 {
		t.Errorf("then %+v, %v, want A 10 with 5 skipped", a, err)
	}
	if b, err := q.pop(t.Context()); err != nil || b.quote.Seq != 7 || b.quote.Skipped != 0 {
		t.Errorf("then %+v, %v, want B 7", b, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.pop(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("then %v, want nothing", err)
	}
}

// TestNothingIsSilent is a property of mode latest and all: however ticks are conflated, lost,
// repeated by snapshots and read, the quotes, their skipped and the gaps add up to all ticks.
func TestNothingIsSilent(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 7))
		mode := []Mode{Latest, All}[seed%2]
		s := &Subscription{mode: mode, last: map[string]Position{}, queue: newQueue(mode)}
		wire := map[string]Position{}
		seq, skipped, reached := uint64(10), uint64(0), uint64(0)
		read := func() {
			for len(s.queue.items) > 0 {
				next, err := s.queue.pop(t.Context())
				q := next.quote
				if gap, ok := errors.AsType[*GapError](err); ok {
					reached += gap.Missing
					continue
				}
				if reached > 0 && q.Seq != reached+q.Skipped+1 { // the first one is where it begins
					t.Fatalf("seed %d: quote %d with %d skipped after %d", seed, q.Seq, q.Skipped, reached)
				}
				reached = q.Seq
			}
		}
		receive := func(snapshot bool) {
			q := quote("A", seq, skipped)
			skipped = 0
			deliver, gap, err := s.follow(wire, &q, snapshot, false)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if deliver {
				s.queue.push(t.Context(), q, gap)
			}
		}
		receive(true)
		read()
		for range 50 {
			switch random.IntN(6) {
			case 0: // lost without a word
				seq++
			case 1: // conflated by the server
				if !mode.all {
					seq++
					skipped++
				}
			case 2: // a snapshot of the present tick
				if seq == wire["A"].Seq {
					receive(true)
				}
			case 3:
				read()
			default:
				seq++
				receive(false)
			}
		}
		seq++
		receive(false)
		read()
		if reached != seq {
			t.Fatalf("seed %d: reached %d of %d", seed, reached, seq)
		}
	}
}

func TestPacer(t *testing.T) {
	p, began := &pacer{clock: clock{scale: 1}}, time.Now()
	for _, bound := range []float64{1, 2, 4, 8, 16, 30, 30, 30, 30} {
		p.begin()
		if wait := p.wait(0).Seconds(); wait < bound/5 || wait > bound {
			t.Errorf("wait %v s, want %v to %v", wait, bound/5, bound)
		}
	}
	p.begin()
	if wait := p.wait(1).Seconds(); wait < 60-time.Since(began).Seconds() || wait > 60 {
		t.Errorf("after 10 connects a wait of %v s, want the rest of the minute", wait)
	}
	p = &pacer{clock: clock{scale: 1}}
	p.failed = 1 << 40
	var waits []float64
	for range 100 {
		p.welcomed()
		waits = append(waits, p.wait(0).Seconds())
	}
	if slices.Min(waits) < 0.2 || slices.Max(waits) > 1 || slices.Max(waits)-slices.Min(waits) < 0.3 {
		t.Errorf("waits from %v to %v s, want 0.2 to 1 at random", slices.Min(waits), slices.Max(waits))
	}
}

// A running candle is replaced by a newer one, a closed one is kept.
func TestCandleQueue(t *testing.T) {
	q := newQueue(Mode{queue: 5})
	candle := func(symbol string, ticks uint64, open bool) Candle {
		return Candle{Symbol: symbol, Data: protocol.Candle{Ticks: ticks, Open: open}}
	}
	for _, c := range []Candle{candle("A", 1, true), candle("A", 2, true), candle("B", 1, true), candle("A", 3, false), candle("A", 4, true), candle("A", 5, false)} {
		q.pushCandle(t.Context(), c)
	}
	for _, want := range []Candle{candle("A", 3, false), candle("B", 1, true), candle("A", 5, false)} {
		if got, err := q.pop(t.Context()); err != nil || got.candle != want {
			t.Errorf("%+v, %v, want %+v", got.candle, err, want)
		}
	}
	q.pushCandle(t.Context(), candle("B", 2, false)) // the running one was read
	if got, err := q.pop(t.Context()); err != nil || got.candle != candle("B", 2, false) {
		t.Errorf("%+v, %v", got.candle, err)
	}
}
