package main

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// planted are bugs put between a real server and one client of the checker.
var planted = []struct {
	name, want string
	tamper     func() func(faulttest.Frame) []faulttest.Frame
}{
	{"a lost tick", faulttest.Gap, func() func(faulttest.Frame) []faulttest.Frame {
		return onUpdate(func(n int, f faulttest.Frame) []faulttest.Frame {
			if n == 20 {
				return nil
			}
			return []faulttest.Frame{f}
		})
	}},
	{"a double", faulttest.Double, func() func(faulttest.Frame) []faulttest.Frame {
		return onUpdate(func(n int, f faulttest.Frame) []faulttest.Frame {
			if n == 20 {
				return []faulttest.Frame{f, f}
			}
			return []faulttest.Frame{f}
		})
	}},
	{"a reorder", faulttest.Order, func() func(faulttest.Frame) []faulttest.Frame {
		var held []faulttest.Frame
		return onUpdate(func(n int, f faulttest.Frame) []faulttest.Frame {
			if n%20 < 3 { // several, so that two hold the same symbol
				held = append(held, f)
				return nil
			}
			out := append([]faulttest.Frame{f}, held...)
			held = nil
			return out
		})
	}},
	{"a stale last value", faulttest.Final, func() func(faulttest.Frame) []faulttest.Frame {
		return onUpdate(func(n int, f faulttest.Frame) []faulttest.Frame {
			if n > 20 {
				return nil
			}
			return []faulttest.Frame{f}
		})
	}},
	{"a missed revocation", faulttest.Revocation, func() func(faulttest.Frame) []faulttest.Frame {
		return func(f faulttest.Frame) []faulttest.Frame {
			if f.Text == nil {
				return nil
			}
			return []faulttest.Frame{f}
		}
	}},
}

// onUpdate counts the messages that are updates, and leaves the others alone.
func onUpdate(tamper func(n int, f faulttest.Frame) []faulttest.Frame) func(faulttest.Frame) []faulttest.Frame {
	n := 0
	return func(f faulttest.Frame) []faulttest.Frame {
		if !bytes.HasPrefix(f.Text, []byte(`{"type":"update"`)) {
			return []faulttest.Frame{f}
		}
		n++
		return tamper(n, f)
	}
}

// TestPlantedBugs proves the checker: with each bug between the server and one
// client it says so, of that client and of nobody else.
func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a := newArena(t, server.Client(), []string{"REDIS_URL=" + server.URL()}, bug.tamper())
			tampered := a.clients[0].Name()
			for deadline := time.Now().Add(patience); len(a.clients[0].Record().Events) < 300 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if bug.want == faulttest.Final && len(a.direct.Ticks()) > 500 {
					break // it hears no more
				}
			}
			if bug.want == faulttest.Final { // who is revoked has no last value to judge
				a.clients[0], a.clients[1] = a.clients[1], a.clients[0]
			}
			found := a.judge()
			if !slices.ContainsFunc(found, func(v faulttest.Violation) bool { return v.Kind == bug.want }) {
				t.Errorf("it was not found; found: %v", found)
			}
			for _, v := range found {
				if v.Client != tampered {
					t.Errorf("of a client that was told the truth: %v", v)
				}
			}
		})
	}
}
