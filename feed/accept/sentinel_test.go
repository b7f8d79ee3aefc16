package accept_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/internal/redistest"
)

// TestPublisherLeavesReplacedMaster checks that no publisher keeps using a master that was paused
// and replaced meanwhile. Such a master answers on its open connections and accepts quotes until
// Sentinel makes it a replica, ten seconds later.
func TestPublisherLeavesReplacedMaster(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	p := startPublisher(t, s.Client())
	quote := []feed.Quote{{Symbol: "EUR/USD", Bid: "1", Ask: "2"}}
	if _, err := p.Publish(t.Context(), quote); err != nil {
		t.Fatal(err)
	}
	old := s.Master()
	before := old.Client()
	old.Pause()
	s.AwaitFailover(old)
	old.Resume()
	replaced := func() bool { return before.Info(t.Context(), "replication").Val() != "" }
	eventually(t, 5*time.Second, "it answers again", replaced)
	var taken accept.Outcome
	eventually(t, 5*time.Second, "a quote is taken", func() bool {
		out, err := p.Publish(t.Context(), quote)
		if err == nil {
			taken = out[0]
		}
		return err == nil
	})
	has, err := s.Master().Client().HMGet(t.Context(), keys.Seq("EUR/USD"), "epoch", "seq").Result()
	if want := []any{taken.Epoch, strconv.FormatUint(taken.Seq, 10)}; err != nil || !slices.Equal(has, want) {
		t.Errorf("the master is at %v, %v, want %v", has, err, want)
	}
}
