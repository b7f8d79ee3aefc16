package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
)

// TestClientStats checks that the statistics of a client agree with its subscriptions and with the
// skipped quotes reported to it.
func TestClientStats(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		stats := func(want hub.ClientStats) {
			t.Helper()
			if got, ok := p.client.Stats(t.Context()); !ok || got != want {
				t.Errorf("%+v, %v, want %+v", got, ok, want)
			}
		}
		stats(hub.ClientStats{})
		f.subscribe(p, 1, "EUR/USD")
		stats(hub.ClientStats{Subscriptions: 1})
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
		stats(hub.ClientStats{Subscriptions: 2, All: 1, Skipped: 3})
	})
}
