package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
)

// TestGapIsShownWithinThreeQuotes publishes what EUR/CHF did on 15 January 2015, when
// its floor was given up: 15 % down at once. The third quote of the new level is shown
// everywhere, and marked; nobody sees the two before it.
func TestGapIsShownWithinThreeQuotes(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	one, two := startNode(t, r), startNode(t, r)
	doors := openDoors(t, one, two, "EUR/CHF")
	const gap = 4 // number of the quote that confirms it
	prices := []string{"1.20095", "1.20097", "1.20096", "1.02081", "1.02010", "1.02155", "1.02160", "1.02171"}
	var want []string // bids by number
	for i, bid := range prices {
		ask := bid + "9"
		var got struct {
			Accepted int
			Rejected []struct{ Reason, Message string }
		}
		one.do("POST", one.public+"/api/v1/quotes", fmt.Sprintf(`{"symbol":"EURCHF","bid":"%s","ask":"%s"}`, bid, ask), bearer(pubToken)).into(t, 200, &got)
		if i == 3 || i == 4 {
			left := fmt.Sprintf("%d more agreeing quotes of this source confirm it", 5-i)
			if len(got.Rejected) != 1 || got.Rejected[0].Reason != "outlier" || !strings.Contains(got.Rejected[0].Message, left) {
				t.Errorf("quote %d of the new level: %+v", i-2, got)
			}
			continue
		}
		if got.Accepted != 1 {
			t.Fatalf("%s: %+v", bid, got)
		}
		want = append(want, bid)
		doors.await("EUR/CHF", uint64(len(want)))
		wantGap(t, "GET quotes", doors.last("EUR/CHF"), want[len(want)-1:], len(want), gap)
		wantGap(t, "GET history", doors.history("EUR/CHF", 100), want, 1, gap)
		wantGap(t, "stream of ticks", doors.ticks("EUR/CHF"), want, 1, gap)
		if len(want) >= gap { // a client that comes now gets the newest quote, marked only if it is the one
			k, _ := two.connect(doors.token)
			k.say(`{"op":"subscribe","symbols":["EUR/CHF"]}`)
			if m := k.until("snapshot"); strings.Contains(m.raw, `"gap":true`) != (len(want) == gap) || !strings.Contains(m.raw, want[len(want)-1]) {
				t.Errorf("the snapshot after number %d: %s", len(want), m.raw)
			}
		}
	}
	for _, door := range doors.streaming {
		door.mu.Lock()
		if door.every {
			wantGap(t, door.name, door.seen, want, 1, gap)
		}
		marked := false
		for _, q := range door.seen {
			if q.Seq < 1 || q.Seq > uint64(len(want)) || q.Bid != want[q.Seq-1] {
				t.Errorf("%s shows %+v, which was not accepted", door.name, q)
			}
			// A quote is marked also for a tick that was conflated into it.
			if over := q.Seq >= gap && q.Seq-q.Skipped <= gap; q.Gap != over {
				t.Errorf("%s shows %+v: gap should be %v", door.name, q, over)
			}
			marked = marked || q.Gap
		}
		if !marked {
			t.Errorf("%s shows no gap: %+v", door.name, door.seen)
		}
		door.mu.Unlock()
	}
}

// wantGap compares what a door has shown with the bids of quotes from a number on, of
// which one is marked.
func wantGap(t *testing.T, door string, shown []shownQuote, bids []string, from, gap int) {
	t.Helper()
	if len(shown) != len(bids) {
		t.Errorf("%s: %d quotes, want %d", door, len(shown), len(bids))
		return
	}
	for i, q := range shown {
		if q.Bid != bids[i] || q.Seq != uint64(from+i) || q.Gap != (from+i == gap) {
			t.Errorf("%s shows %+v, want number %d at %s, gap %v", door, q, from+i, bids[i], from+i == gap)
		}
	}
}
