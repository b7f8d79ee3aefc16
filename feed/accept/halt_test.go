package accept_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
)

// A halt concerns the last quote of its own source only, and repeats that quote to the nodes.
func TestHalt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, c *redis.Client) {
		p, ctx := startPublisher(t, c), t.Context()
		sub := c.Subscribe(ctx, keys.Channel("EUR/USD"))
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		halt := func(source string, want bool) {
			t.Helper()
			if halted, err := p.Halt(ctx, "EUR/USD", source); err != nil || halted != want {
				t.Errorf("Halt by %s = %v, %v, want %v", source, halted, err, want)
			}
		}
		halt("oanda", false)
		publish := func(source string) string {
			t.Helper()
			q := eurusd("1.10", "1.20")
			q.Source = source
			publishOne(t, p, q)
			return received(t, sub)
		}
		message := publish("oanda")
		halt("kraken", false)
		if c.Exists(ctx, keys.Quote("EUR/USD")).Val() != 1 {
			t.Error("the quote of another source is not current any more")
		}
		halt("oanda", true)
		if got, want := received(t, sub), strings.TrimSuffix(message, "}")+`,"halted":true}`; got != want {
			t.Errorf("message %s, want %s", got, want)
		} else if tick, err := feed.DecodeTick([]byte(got)); err != nil || !tick.Halted || tick.Seq != 1 || tick.Bid != "1.10" {
			t.Errorf("tick %+v, %v", tick, err)
		}
		if c.Exists(ctx, keys.Quote("EUR/USD")).Val() != 0 || c.XLen(ctx, keys.Ticks("EUR/USD")).Val() != 1 {
			t.Error("the quote is current still, or not known any more")
		}
		halt("oanda", false)
		publish("kraken")
		halt("oanda", false)
		halt("kraken", true)
	})
}

func received(t *testing.T, sub *redis.PubSub) string {
	t.Helper()
	m, err := sub.ReceiveTimeout(t.Context(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	message, ok := m.(*redis.Message)
	if !ok {
		t.Fatalf("%v", m)
	}
	return message.Payload
}
