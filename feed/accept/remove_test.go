package accept_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
)

// A removed symbol leaves nothing behind, and its next quote begins a new epoch that is not compared
// with any price and is listed again.
func TestRemove(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p, ctx := startPublisher(t, c), t.Context()
		before := publishOne(t, p, eurusd("1.1", "1.2"))
		kept := publishOne(t, p, feed.Quote{Symbol: "GBP/USD", Bid: "1", Ask: "2"})
		r, err := p.Remove(ctx, "EUR/USD")
		if err != nil || !r.Known || r.Epoch != before.Epoch || r.At < before.At {
			t.Errorf("Remove = %+v, %v; want known, with epoch %s, after %d", r, err, before.Epoch, before.At)
		}
		if left := c.Keys(ctx, "fx:{EUR/USD}*").Val(); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		if listed := c.SMembers(ctx, keys.Symbols()).Val(); len(listed) != 1 || listed[0] != "GBP/USD" {
			t.Errorf("listed: %v, want GBP/USD", listed)
		}
		if r, err := p.Remove(ctx, "EUR/USD"); err != nil || r.Known || r.Epoch != "" || r.At == 0 {
			t.Errorf("a second Remove = %+v, %v; want not known", r, err)
		}
		if o := publishOne(t, p, eurusd("9.1", "9.2")); o.Seq != 1 || o.Epoch == before.Epoch {
			t.Errorf("the next quote: %+v, want number 1 of another epoch than %s", o, before.Epoch)
		}
		if o := publishOne(t, p, feed.Quote{Symbol: "GBP/USD", Bid: "1", Ask: "2"}); o.Seq != 2 || o.Epoch != kept.Epoch {
			t.Errorf("another symbol: %+v, want number 2 of epoch %s", o, kept.Epoch)
		}
		if !c.SIsMember(ctx, keys.Symbols(), "EUR/USD").Val() {
			t.Error("not listed again")
		}
		// A damaged symbol can be removed too.
		c.Del(ctx, keys.Seq("EUR/USD"))
		c.Set(ctx, keys.Seq("EUR/USD"), "no hash", 0)
		if r, err := p.Remove(ctx, "EUR/USD"); err != nil || !r.Known || r.Epoch != "" {
			t.Errorf("Remove with a damaged counter = %+v, %v", r, err)
		}
	})
}
