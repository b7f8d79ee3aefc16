package e2e

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// planted are bugs put between a real server and the record of one client of the checker.
var planted = []struct {
	name, want string
	tamper     func() func(faulttest.Event) []faulttest.Event
}{
	{"a lost tick", faulttest.Gap, func() func(faulttest.Event) []faulttest.Event {
		return onUpdate(func(n int, e faulttest.Event) []faulttest.Event {
			if n == 100 {
				return nil
			}
			return []faulttest.Event{e}
		})
	}},
	{"a double", faulttest.Double, func() func(faulttest.Event) []faulttest.Event {
		return onUpdate(func(n int, e faulttest.Event) []faulttest.Event {
			if n == 100 {
				return []faulttest.Event{e, e}
			}
			return []faulttest.Event{e}
		})
	}},
	{"a reorder", faulttest.Order, func() func(faulttest.Event) []faulttest.Event {
		var held []faulttest.Event
		return onUpdate(func(n int, e faulttest.Event) []faulttest.Event {
			if n%100 < 15 { // several, so that two hold the same symbol
				held = append(held, e)
				return nil
			}
			out := append([]faulttest.Event{e}, held...)
			held = nil
			return out
		})
	}},
	{"a stale last value", faulttest.Final, func() func(faulttest.Event) []faulttest.Event {
		return onUpdate(func(n int, e faulttest.Event) []faulttest.Event {
			if n > 100 {
				return nil
			}
			return []faulttest.Event{e}
		})
	}},
	{"a missed revocation", faulttest.Revocation, func() func(faulttest.Event) []faulttest.Event {
		return func(e faulttest.Event) []faulttest.Event {
			if e.Kind == faulttest.Closed {
				return nil
			}
			return []faulttest.Event{e}
		}
	}},
}

// onUpdate counts the updates, and leaves other events alone.
func onUpdate(tamper func(n int, e faulttest.Event) []faulttest.Event) func(faulttest.Event) []faulttest.Event {
	n := 0
	return func(e faulttest.Event) []faulttest.Event {
		if e.Kind != faulttest.Update {
			return []faulttest.Event{e}
		}
		n++
		return tamper(n, e)
	}
}

// TestPlantedBugs proves the checker: with each bug between the server and one
// client of each mode it says so, of that client and of nobody else.
func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a := newArena(t, server.Client(), []string{"REDIS_URL=" + server.URL()},
				map[string]func(faulttest.Event) []faulttest.Event{faulttest.Latest: bug.tamper(), faulttest.All: bug.tamper()})
			tampered := map[string]bool{}
			honest := a.clients[0]
			for _, c := range a.clients {
				if strings.HasSuffix(c.Name(), "-0-0") {
					tampered[c.Name()] = false
					programtest.Eventually(t, "much has passed the bug", func() bool { return len(c.Record().Deliveries) > 300 })
				} else {
					honest = c
				}
			}
			if bug.want == faulttest.Revocation {
				for _, c := range a.clients {
					if _, is := tampered[c.Name()]; is {
						a.revoke(c, revokedWithin+slack)
					}
				}
			}
			for _, v := range a.judge(honest) {
				found, is := tampered[v.Client]
				if !is {
					t.Errorf("of a client that was told the truth: %v", v)
					continue
				}
				tampered[v.Client] = found || v.Kind == bug.want
			}
			for name, found := range tampered {
				if !found {
					t.Errorf("%s: it was not found", name)
				}
			}
		})
	}
}
