package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
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

// TestLatencyIsFromWhenDue checks that a client's own max_rate, its snapshots and the ticks it missed
// count as no delay of the node, and that a late tick does.
func TestLatencyIsFromWhenDue(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	cfg := oneShard
	cfg.Registerer = reg
	bubble(t, cfg, func(t *testing.T, h *hub.Hub, f *feed) {
		late := time.Duration(0)
		f.at = func() int64 { return time.Now().Add(-late).UnixMicro() }
		latency := func() (count uint64, sum float64) {
			time.Sleep(2 * time.Second) // counts are published once per sweep
			synctest.Wait()
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range families {
				if family.GetName() == "fx_hub_latency_seconds" {
					count, sum = family.Metric[0].Histogram.GetSampleCount(), family.Metric[0].Histogram.GetSampleSum()
				}
			}
			return count, sum
		}
		f.publish("EUR/USD", 10)
		time.Sleep(5 * time.Second)
		rated, all := join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(rated, 1, "EUR/USD") // a snapshot, 5 s old
		from := position{f.last["EUR/USD"].epoch, 4}
		all.since["EUR/USD"] = from
		all.client.Subscribe([]string{"EUR/USD"}, hub.Settings{All: true, Hold: []string{"EUR/USD"}}, ackMode("subscribe", "all", []string{"EUR/USD"}, 0, nil))
		synctest.Wait()
		all.client.Resume("EUR/USD", protocol.Position{Epoch: from.epoch, Seq: from.seq}, f.after("EUR/USD", from, 0), true)
		for range 3 { // the first goes out at once, the last when the second is over
			f.publish("EUR/USD", 1)
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		if count, sum := latency(); count != 2+6+3 || sum > 0.01 {
			t.Errorf("%d updates took %g s in all, want 11 and next to nothing", count, sum)
		}
		late = 200 * time.Millisecond
		time.Sleep(time.Second)
		f.publish("EUR/USD", 1)
		if _, sum := latency(); sum < 0.39 || sum > 0.42 {
			t.Errorf("after a tick that was 0.2 s late for two clients: %g s", sum)
		}
	})
}
