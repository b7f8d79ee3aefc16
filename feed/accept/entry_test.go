package accept_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// fromEntry returns a quote of a stream.
func fromEntry(bid, entry string) feed.Quote {
	q := eurusd(bid, "2")
	q.Entry = entry
	return q
}

// TestEntryIsSettledOnce runs the script with quotes of stream entries, one call each.
func TestEntryIsSettledOnce(t *testing.T) {
	t.Parallel()
	const high, higher = "9-18446744073709551614-0", "9-18446744073709551615-0" // a double knows no difference
	onBoth(t, func(t *testing.T, c *redis.Client) {
		seq := uint64(0)
		for _, tc := range []struct {
			about, entry, want string
		}{
			{"the first", "a:5-1-0:", "accepted"},
			{"the same again", "a:5-1-0:", "repeated"},
			{"the same of a reader that knows what precedes it", "a:5-1-0:4-1-0", "repeated"},
			{"one before it", "a:5-0-0:", "repeated"},
			{"the next quote of the entry", "a:5-1-1:5-1-0", "accepted"},
			{"one digit more", "a:5-10-0:5-1-1", "accepted"},
			{"less in one more digit", "a:5-9-3:", "repeated"},
			{"one after a gap", "a:7-0-0:6-0-0", "failed"},
			{"the one that was missing", "a:6-0-0:5-10-0", "accepted"},
			{"the one after the gap", "a:7-0-0:6-0-0", "accepted"},
			{"refused", "a:8-0-0:", "refused"},
			{"refused, again", "a:8-0-0:", "repeated"},
			{"the largest but one", "a:" + high + ":", "accepted"},
			{"the largest", "a:" + higher + ":" + high, "accepted"},
			{"the largest but one, again", "a:" + high + ":", "repeated"},
			{"a stream that was made again", "b:1-0-0:", "accepted"},
			{"again", "b:1-0-0:", "repeated"},
			{"of the stream that was made again, after one that Redis forgot", "c:3-0-0:2-0-0", "failed"},
		} {
			q := fromEntry("1", tc.entry)
			if tc.want == "refused" {
				q.Time = time.Now().Add(time.Hour)
			}
			o, err := accept.Accept(t.Context(), c, q, args())
			got := "failed"
			switch {
			case err != nil && strings.Contains(err.Error(), "FXSTREAM"):
			case err != nil:
				t.Fatalf("%s: %v", tc.about, err)
			case o.Repeated:
				got = "repeated"
			case o.Rejection != nil:
				got = "refused"
			case o.Seq == seq+1:
				got, seq = "accepted", seq+1
			}
			if got != tc.want {
				t.Errorf("%s: %s (%+v, %v), want %s", tc.about, got, o, err, tc.want)
			}
		}
		if got := c.HGet(t.Context(), keys.Seq("EUR/USD"), "entry").Val(); got != "1-0-0 b" {
			t.Errorf("settled last: %q, want 1-0-0 of b", got)
		}
		if o := mustAccept(t, c, eurusd("1", "2"), args()); o.Seq != seq+1 {
			t.Errorf("a quote of another door: %+v, want number %d", o, seq+1)
		}
		q := fromEntry("1", "b:2-0-0:1-0-0")
		q.BidSize, q.AskSize = "100", "0.5"
		mustAccept(t, c, q, args())
		if last := c.Get(t.Context(), keys.Quote("EUR/USD")).Val(); !strings.Contains(last, `"bid_size":"100","ask_size":"0.5","ts"`) {
			t.Errorf("with sizes: %s", last)
		}
	})
}

// TestEntriesInOneCall has new and repeated quotes in one call, of stream and other doors.
func TestEntriesInOneCall(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		quotes := []feed.Quote{fromEntry("1.1", "a:1-0-0:"), fromEntry("1.2", "a:1-0-1:1-0-0"), eurusd("1.3", "2"), fromEntry("1.2", "a:1-0-1:"), fromEntry("1.4", "a:2-0-0:1-0-1")}
		for round, want := range [][]uint64{{1, 2, 3, 0, 4}, {0, 0, 5, 0, 0}} {
			outcomes, err := accept.AcceptAll(t.Context(), c, quotes, args())
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range outcomes {
				if o.Seq != want[i] || o.Repeated != (want[i] == 0) {
					t.Errorf("round %d, quote %d: %+v, want number %d, or repeated if 0", round, i, o, want[i])
				}
			}
		}
		bad := fromEntry("1", "a:3-0:")
		if _, err := accept.Accept(t.Context(), c, bad, args()); err == nil || !strings.Contains(err.Error(), "bad entry") {
			t.Errorf("entry %s: %v, want an error", bad.Entry, err)
		}
	})
}
