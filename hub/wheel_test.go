package hub_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
)

// wheelAgainstList compares a wheel with a sorted list. Nothing may fire before it is due, later
// than a millisecond plus the time between calls, or twice; nothing may be lost. Wait never sleeps
// past a due entry.
func wheelAgainstList(t *rapid.T) {
	var w hub.Wheel
	var due []time.Duration
	waiting := map[int]bool{}
	now := time.Duration(0)
	fire := func(t *rapid.T) {
		for _, i := range w.Fire(now) {
			if !waiting[i] {
				t.Fatalf("%d fired without waiting", i)
			}
			if due[i] > now {
				t.Fatalf("%d fired at %v, due %v", i, now, due[i])
			}
			delete(waiting, i)
		}
		for i := range waiting {
			// A slot holds what is due up to its end, so at most 1 ms is left over.
			if due[i] <= now-time.Millisecond {
				t.Fatalf("at %v %d still waits, due %v", now, i, due[i])
			}
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			span := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute}).Draw(t, "span")
			for range rapid.IntRange(1, 20).Draw(t, "n") {
				d := now + time.Duration(rapid.Int64Range(0, int64(span)).Draw(t, "in"))
				waiting[len(due)] = true
				due = append(due, d)
				w.Add(d)
			}
		},
		"pass": func(t *rapid.T) {
			span := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 3 * time.Second}).Draw(t, "span")
			now += time.Duration(rapid.Int64Range(0, int64(span)).Draw(t, "pass"))
			fire(t)
		},
		"sleep": func(t *rapid.T) { // as long as the wheel allows
			d, ok := w.Wait(now)
			if ok != (len(waiting) > 0) {
				t.Fatalf("Wait returned %v with %d waiting", ok, len(waiting))
			}
			if !ok {
				return
			}
			var all []time.Duration
			for i := range waiting {
				all = append(all, due[i])
			}
			if first := slices.Min(all); now+d > max(first, now)+time.Millisecond {
				t.Fatalf("at %v Wait returned %v, but something is due at %v", now, d, first)
			}
			if d > 1024*time.Millisecond {
				t.Fatalf("Wait returned %v, more than a turn", d)
			}
			now += d
			fire(t)
		},
	})
	for len(waiting) > 0 {
		d, ok := w.Wait(now)
		if !ok {
			t.Fatalf("%d lost", len(waiting))
		}
		now += max(d, 1)
		fire(t)
	}
	if _, ok := w.Wait(now); ok {
		t.Fatal("Wait knows of something in an empty wheel")
	}
}

func TestWheel(t *testing.T) { rapid.Check(t, wheelAgainstList) }

func FuzzWheel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(wheelAgainstList)) }
