package receive_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// TestOlderEpochIsEnded has another master begin an epoch and vanish. The publisher has seen nothing
// of it and continues the older epoch, which the node has left. The node does not show that epoch
// again, and has a newer one begun.
func TestOlderEpochIsEnded(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p := startPublisher(t, c)
		first := publishOne(t, p, eurusd("1", "2"))
		n := startNode(t, c)
		n.at(t, first)
		newer := accept.Outcome{Epoch: feed.NewEpoch(time.Now().Add(time.Minute)), Seq: 5}
		message := feed.Tick{Symbol: "EUR/USD", Bid: "1", Ask: "2", Time: time.Now().UTC(), Source: "other", Epoch: newer.Epoch, Seq: newer.Seq,
			At: first.At - 11*time.Second.Microseconds()}.AppendJSON(nil) // by the clock of Redis nothing of it came for as long
		if err := c.Publish(t.Context(), keys.Channel("EUR/USD"), message).Err(); err != nil {
			t.Fatal(err)
		}
		n.at(t, newer)
		var third accept.Outcome
		eventually(t, "another epoch begins", func() bool {
			third = publishOne(t, p, eurusd("1", "2"))
			return third.Epoch != first.Epoch
		})
		if third.Seq != 1 || feed.EpochBegan(third.Epoch) <= feed.EpochBegan(newer.Epoch) {
			t.Errorf("%+v, want number 1 of an epoch that is newer than %s", third, newer.Epoch)
		}
		n.at(t, third)
		events := n.all()
		after := events[slices.Index(events, fmt.Sprintf("publish EUR/USD %s %d", newer.Epoch, newer.Seq)):]
		if slices.ContainsFunc(after, func(e string) bool { return strings.HasPrefix(e, "publish EUR/USD "+first.Epoch) }) {
			t.Errorf("%q, want no quote of %s", after, first.Epoch)
		}
	})
}
