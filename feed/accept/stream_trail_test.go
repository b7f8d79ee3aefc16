package accept_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/internal/redistest"
)

// In a cluster the master of a symbol forgets what it has accepted of a stream, and the master of
// the stream does not. The entries are read again.
func TestStreamAfterMasterForgot(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	c := cluster.Client()
	stream := cluster.Owner(cluster.SlotOf(keys.StreamPlace(streamName)))
	var symbol feed.Symbol
	for _, s := range []feed.Symbol{"EUR/USD", "GBP/USD", "USD/JPY", "CHF/SEK", "NOK/PLN"} {
		if cluster.Owner(cluster.SlotOf(keys.Seq(s))) != stream {
			symbol = s
			break
		}
	}
	forgets := []string{keys.Seq(symbol), keys.Ticks(symbol)}
	startInbox(t, c, "n1", withStream)
	var want []string
	add := func() (id string) {
		want = append(want, fmt.Sprintf("1.%06d", len(want)+1))
		id = addEntry(t, c, "*", "data", tick(string(symbol), len(want)))
		eventually(t, "it is accepted", func() bool {
			got := bids(ticksOf(t, c, symbol))
			return len(got) > 0 && got[len(got)-1] == want[len(want)-1]
		})
		return id
	}
	for range 20 {
		add()
		var kept []string
		for _, key := range forgets {
			kept = append(kept, c.Dump(t.Context(), key).Val())
		}
		forgotten := add()
		for i, key := range forgets {
			if err := c.RestoreReplace(t.Context(), key, 0, kept[i]).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if storedPlace(c) >= forgotten { // the machine is busy: the place has gone past it
			want = slices.Delete(want, len(want)-1, len(want))
			continue
		}
		add()
		if got := bids(ticksOf(t, c, symbol)); !slices.Equal(got, want) {
			t.Errorf("accepted %v, want %v", got, want)
		}
		return
	}
	t.Error("the stored place was past what had just been accepted 20 times")
}
