package e2e

import (
	"bytes"
	"strings"
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
// client of each mode it says so, of that client and of nobody else.
func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			a := newArena(t, server.Client(), []string{"REDIS_URL=" + server.URL()},
				map[string]func(faulttest.Frame) []faulttest.Frame{faulttest.Latest: bug.tamper(), faulttest.All: bug.tamper()})
			for deadline := time.Now().Add(patience); len(a.clients[1].Record().Events) < 300 && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond) // until much has passed the bug
			}
			tampered := map[string]bool{}
			honest := a.clients[0]
			for _, c := range a.clients {
				if strings.HasSuffix(c.Name(), "-0-0") {
					tampered[c.Name()] = false
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
