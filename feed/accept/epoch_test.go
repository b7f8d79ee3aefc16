package accept_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// TestOlderEpochEnds runs the script with a stored epoch, the epoch that the caller has seen, and
// one to begin. An epoch goes on unless the caller has seen a newer one. One that begins is newer
// than both.
func TestOlderEpochEnds(t *testing.T) {
	t.Parallel()
	second := func(n int) string { return feed.NewEpoch(time.Date(2026, 11, 26, 5, 0, n, 0, time.UTC)) }
	one, two, three := second(1), second(2), second(3)
	onBoth(t, func(t *testing.T, c *redis.Client) {
		for _, tc := range []struct {
			about, stored, seen, candidate string
			goesOn                         bool
		}{
			{"nothing seen", one, "", three, true},
			{"the same seen", one, one, three, true},
			{"an older one seen", two, one, three, true},
			{"a newer one seen", one, two, three, false},
			{"another of the same time", second(2), second(2), three, false},
			{"the clock of the caller is behind", two, three, one, false},
			{"an epoch of version 0.1", "abcdefgh", "abcdefgh", three, true},
			{"an epoch of version 0.1, seen by nobody", "abcdefgh", "", three, true},
			{"two of version 0.1, whose order is not known", "abcdefgh", "hgfedcba", three, true},
			{"an old node begins none, a new one has", "abcdefgh", two, three, false},
		} {
			c.Del(t.Context(), keys.Seq("EUR/USD"))
			c.HSet(t.Context(), keys.Seq("EUR/USD"), "epoch", tc.stored, "seq", 41, "run", "run1")
			a := args()
			a.Candidate, a.KnownEpoch, a.KnownSeq = tc.candidate, tc.seen, 7
			o := mustAccept(t, c, eurusd("1", "2"), a)
			switch {
			case tc.goesOn && (o.Epoch != tc.stored || o.Seq != 42):
				t.Errorf("%s: %+v, want number 42 of %s", tc.about, o, tc.stored)
			case !tc.goesOn && (o.Seq != 1 || feed.EpochBegan(o.Epoch) <= max(feed.EpochBegan(tc.seen), feed.EpochBegan(tc.stored))):
				t.Errorf("%s: %+v, want number 1 of an epoch that is newer than %s and %s", tc.about, o, tc.stored, tc.seen)
			case !tc.goesOn && !strings.HasSuffix(o.Epoch, tc.candidate[9:]):
				t.Errorf("%s: epoch %s, want the end of %s", tc.about, o.Epoch, tc.candidate)
			}
		}
	})
}

// TestSplitBringsNoEpochBack has two masters, as after a failover whose old master lives on. A
// publisher that knows the epoch of the new one never continues the epoch of the old one.
func TestSplitBringsNoEpochBack(t *testing.T) {
	t.Parallel()
	old, promoted := startReplica(t)
	before := startPublisher(t, old.Client())
	first := publishOne(t, before, eurusd("1", "2"))
	if err := promoted.Client().ReplicaOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	second := publishOne(t, startPublisher(t, promoted.Client()), eurusd("1", "2"))
	if feed.EpochBegan(second.Epoch) <= feed.EpochBegan(first.Epoch) {
		t.Fatalf("%s after %s, want a newer epoch", second.Epoch, first.Epoch)
	}
	if o := publishOne(t, before, eurusd("1", "2")); o.Epoch != first.Epoch {
		t.Errorf("a publisher that has seen nothing of the new master: %+v, want %s to go on", o, first.Epoch)
	}
	// A node that has received from the new master, and publishes to the old one.
	knows := startPublisher(t, old.Client(), func(cfg *accept.PublisherConfig) {
		cfg.Known = func(feed.Symbol) (string, uint64, int64) { return second.Epoch, second.Seq, second.At }
	})
	third := publishOne(t, knows, eurusd("1", "2"))
	if third.Epoch == first.Epoch || feed.EpochBegan(third.Epoch) <= feed.EpochBegan(second.Epoch) || third.Seq != 1 {
		t.Errorf("%+v, want number 1 of an epoch that is newer than %s: clients have left %s", third, second.Epoch, first.Epoch)
	}
	if o := publishOne(t, before, eurusd("1", "2")); o.Epoch != third.Epoch || o.Seq != 2 {
		t.Errorf("the other publisher of the old master: %+v, want number 2 of %s", o, third.Epoch)
	}
}
