package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
)

// TestStanding: what is told of a client is what it asked for, and what it was told
// was skipped.
func TestStanding(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		standing := func(want hub.Standing) {
			t.Helper()
			if got, ok := p.client.Standing(t.Context()); !ok || got != want {
				t.Errorf("%+v, %v, want %+v", got, ok, want)
			}
		}
		standing(hub.Standing{})
		f.subscribe(p, 1, "EUR/USD")
		standing(hub.Standing{Subscriptions: 1})
		f.every(p, "GBP/USD")
		time.Sleep(time.Second)
		synctest.Wait()
		for range 5 { // of these the first goes out at once, and the last after a second
			f.publish("EUR/USD", 1)
			f.publish("GBP/USD", 1)
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		f.settled(t, p)
		standing(hub.Standing{Subscriptions: 2, Every: 1, Skipped: 3})
	})
}
