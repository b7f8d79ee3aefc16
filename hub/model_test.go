package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
)

// A policy is the model of a mode: which ticks of a queue are sent when the client can take some.
type policy func(queue []uint64) (sent []uint64)

var policies = map[bool]policy{
	false: func(queue []uint64) []uint64 { return queue[max(0, len(queue)-1):] }, // the newest
	true:  func(queue []uint64) []uint64 { return queue },                        // every tick
}

// A modelClient is what a client receives by its policy. It has a queue for each topic.
type modelClient struct {
	*peer
	policy   policy
	queues   map[string][]uint64
	received map[string][]uint64
	full     bool // the connection takes nothing
	narrow   bool // the next write fills it
}

// send is one write: all that is due of every topic.
func (m *modelClient) send() {
	for topic, queue := range m.queues {
		m.received[topic] = append(m.received[topic], m.policy(queue)...)
		m.full = m.full || m.narrow && len(queue) > 0
	}
	clear(m.queues)
}

// Both modes send exactly the ticks of their model, and in its order, while clients of both come to
// a halt and go on. Clients with equal marks share what was built; it must be right for each.
func TestModesFollowTheirModel(t *testing.T) {
	topics := []string{"EUR/USD", "GBP/USD", "USD/JPY"}
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			f := newFeed(start(rt, hub.Config{Shards: rapid.IntRange(1, 2).Draw(rt, "shards")}))
			for _, topic := range topics {
				f.publish(topic, 1)
			}
			var clients []*modelClient
			for i := range rapid.IntRange(2, 6).Draw(rt, "clients") {
				all := rapid.Bool().Draw(rt, "all")
				c := &modelClient{peer: join(rt, f.hub, newPeer()), policy: policies[all], queues: map[string][]uint64{}, received: map[string][]uint64{}}
				pattern := []string{"*", "*", "*/USD"}[i%3]
				if all {
					c.first = true
					f.every(c.peer, pattern)
				} else {
					f.subscribe(c.peer, 0, pattern)
				}
				clients = append(clients, c)
			}
			synctest.Wait()
			client := rapid.SampledFrom(clients)
			rt.Repeat(map[string]func(*rapid.T){
				"publish": func(rt *rapid.T) {
					topic := rapid.SampledFrom(topics).Draw(rt, "topic")
					f.publish(topic, 1)
					for _, c := range clients {
						if _, wanted := c.asked.deciding(topic); !wanted {
							continue
						}
						c.queues[topic] = append(c.queues[topic], f.last[topic].seq)
						if !c.full {
							c.send()
						}
					}
				},
				"narrow": func(rt *rapid.T) {
					c := client.Draw(rt, "client")
					c.narrow = true
					c.block()
				},
				"room": func(rt *rapid.T) {
					c := client.Draw(rt, "client")
					c.full = false
					c.send()
					c.room()
				},
				"wide": func(rt *rapid.T) {
					c := client.Draw(rt, "client")
					c.full, c.narrow = false, false
					c.send()
					c.unblock()
				},
				"": func(rt *rapid.T) { // after each action
					synctest.Wait()
					for i, c := range clients {
						for _, topic := range topics {
							if got := c.seqs(topic); !slices.Equal(got, c.received[topic]) {
								rt.Fatalf("client %d received %v of %s, its model %v", i, got, topic, c.received[topic])
							}
						}
						c.check(rt)
					}
				},
			})
		})
	})
}
