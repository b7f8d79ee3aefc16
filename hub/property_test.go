package hub_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
)

// somePace gives a client one of a few paces.
func somePace(rt *rapid.T, p *peer) {
	pace(p, rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, quarter, time.Second}).Draw(rt, "every"), rapid.Bool().Draw(rt, "align"))
}

// In any interleaving every client's protocol is right at every moment. When all clients can be
// written to again, all have the newest quotes.
func TestAnyInterleaving(t *testing.T) {
	topics := []string{"EUR/USD", "EUR/JPY", "GBP/USD", "USD/JPY", "XAU/USD"}
	patterns := append(slices.Clone(topics), "*", "EUR/*", "*/USD", "*/JPY")
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			h := start(rt, hub.Config{Shards: rapid.IntRange(1, 3).Draw(rt, "shards"), Ordered: rapid.Bool().Draw(rt, "ordered")})
			f := newFeed(h)
			f.acceptNow()
			var peers []*peer
			topic := rapid.SampledFrom(topics)
			rate := rapid.SampledFrom([]float64{0, 0, 0.25, 1, 3, 20, 5000})
			some := rapid.SliceOfN(rapid.SampledFrom(patterns), 1, 3)
			degraded := false
			any := func() *peer {
				if len(peers) == 0 { // a Skip could leave no action to choose
					peers = append(peers, join(rt, h, newPeer()))
				}
				return peers[rapid.IntRange(0, len(peers)-1).Draw(rt, "peer")]
			}
			rt.Repeat(map[string]func(*rapid.T){
				"publish": func(rt *rapid.T) { f.publish(topic.Draw(rt, "topic"), rapid.IntRange(1, 3).Draw(rt, "ticks")) },
				"publish all": func(*rapid.T) {
					for _, tp := range topics {
						f.publish(tp, 1)
					}
				},
				"subscribe":   func(rt *rapid.T) { f.subscribe(any(), rate.Draw(rt, "rate"), some.Draw(rt, "patterns")...) },
				"unsubscribe": func(rt *rapid.T) { f.unsubscribe(any(), some.Draw(rt, "patterns")...) },
				"join": func(rt *rapid.T) {
					if len(peers) < 5 {
						p := anyPeer(rt)
						p.positions = rapid.Bool().Draw(rt, "positions")
						peers = append(peers, p)
						f.subscribe(join(rt, h, p), rate.Draw(rt, "rate"), some.Draw(rt, "patterns")...)
					}
				},
				"leave": func(rt *rapid.T) {
					p := any()
					if len(peers) < 3 {
						return
					}
					p.client.Leave()
					p.check(rt)
					peers = slices.DeleteFunc(peers, func(q *peer) bool { return p == q })
				},
				"pace":    func(rt *rapid.T) { somePace(rt, any()) },
				"block":   func(*rapid.T) { any().block() },
				"room":    func(*rapid.T) { any().room() },
				"unblock": func(*rapid.T) { any().unblock() },
				"epoch": func(rt *rapid.T) {
					if tp := topic.Draw(rt, "topic"); f.last[tp].epoch != "" {
						f.last[tp] = f.newEpoch()
						f.publish(tp, 1)
					}
				},
				"status": func(rt *rapid.T) {
					f.setStatus(topic.Draw(rt, "topic"), rapid.SampledFrom([]string{"live", "stale", "closed"}).Draw(rt, "status"))
				},
				"drop":     func(rt *rapid.T) { f.drop(topic.Draw(rt, "topic")) },
				"forget":   func(rt *rapid.T) { f.forget(topic.Draw(rt, "topic"), peers...) },
				"degraded": func(*rapid.T) { degraded = !degraded; h.Degraded(degraded) },
				"relay":    func(*rapid.T) { h.Relay("news", []byte(`{"n":1}`)) },
				"channel": func(*rapid.T) {
					p := any()
					p.asked.add("channel:news", 0)
					p.client.SubscribeChannels([]string{"news"}, ack("subscribe", channels("news"), 0, nil))
				},
				"no channel": func(*rapid.T) {
					p := any()
					p.asked.remove("channel:news")
					p.client.UnsubscribeChannels([]string{"news"}, ack("unsubscribe", channels("news"), 0, nil))
				},
				"settle": func(*rapid.T) { synctest.Wait() },
				"time": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 2_500_000).Draw(rt, "µs")) * time.Microsecond)
				},
			})
			for _, p := range peers {
				p.unblock()
			}
			time.Sleep(10 * time.Second) // longer than the lowest rate lets a tick wait
			synctest.Wait()
			for _, p := range peers {
				f.settled(rt, p)
			}
			for _, p := range peers {
				p.client.Leave()
			}
			if clients, dirty := h.Known(); clients != 0 || dirty != 0 || h.Subscriptions() != 0 || h.Clients() != 0 {
				rt.Errorf("left behind: %d clients, %d to be served, %d subscriptions, %d counted",
					clients, dirty, h.Subscriptions(), h.Clients())
			}
			if err := h.Drain(context.Background(), 0); err != nil {
				rt.Errorf("drain with nobody there: %v", err)
			}
		})
	})
}
