package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

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

	every    time.Duration // its pace, 0 = none
	align    bool
	waiting  map[string][]modelTick // of each topic, for a beat
	messages int                    // with updates
	reply    bool                   // the answer to a command waits
}

type modelTick struct {
	seq uint64
	at  time.Time
}

// send is one write: all that is due of every topic. Without align, what waits of a topic goes with
// what is due.
func (m *modelClient) send() {
	for topic := range m.queues {
		if !m.align {
			m.beat(time.Now().Add(time.Hour), topic)
		}
		m.received[topic] = append(m.received[topic], m.policy(m.queues[topic])...)
	}
	if len(m.queues) > 0 {
		m.messages++
	}
	m.full = m.narrow && (m.reply || len(m.queues) > 0)
	m.reply = false
	clear(m.queues)
}

// publish gives the client one tick that was accepted now.
func (m *modelClient) publish(topic string, seq uint64) {
	if m.every > 0 {
		m.waiting[topic] = append(m.waiting[topic], modelTick{seq, time.Now()})
		return
	}
	m.queues[topic] = append(m.queues[topic], seq)
	if !m.full {
		m.send()
	}
}

// beat makes the ticks of a topic due that were accepted before an instant.
func (m *modelClient) beat(instant time.Time, topic string) {
	waiting := m.waiting[topic]
	n := 0
	for ; n < len(waiting) && waiting[n].at.Before(instant); n++ {
		m.queues[topic] = append(m.queues[topic], waiting[n].seq)
	}
	m.waiting[topic] = waiting[n:]
}

// pass lets time pass up to now, which is a multiple of modelStep: beats are at such times only.
func (m *modelClient) pass() {
	instant := time.Now()
	if m.align {
		instant = instant.Add(-40 * time.Millisecond)
	}
	if m.every == 0 || !instant.Equal(instant.Truncate(m.every)) {
		return
	}
	for topic := range m.waiting {
		m.beat(instant, topic)
	}
	if !m.full {
		m.send()
	}
}

// setPace changes the pace. What is due waits for a beat of the new one, if there is one.
func (m *modelClient) setPace(every time.Duration, align bool) {
	m.reply = true
	if m.every != every || m.align != align {
		for topic := range m.waiting {
			m.beat(time.Now().Add(time.Hour), topic)
		}
		m.every, m.align = every, align
		if every > 0 {
			for topic, queue := range m.queues {
				for _, seq := range queue {
					m.waiting[topic] = append(m.waiting[topic], modelTick{seq, time.Now().Add(-time.Hour)})
				}
			}
			clear(m.queues)
		}
	}
	if !m.full {
		m.send()
	}
}

// pass lets a step of time pass.
func pass(clients []*modelClient) {
	time.Sleep(modelStep)
	synctest.Wait()
	for _, c := range clients {
		c.pass()
	}
}

const modelStep = 5 * time.Millisecond

// Both modes send exactly the ticks of their model, and in its order, at any pace, while clients come
// to a halt and go on. Clients with equal marks share what was built; it must be right for each.
func TestModesFollowTheirModel(t *testing.T) {
	topics := []string{"EUR/USD", "GBP/USD", "USD/JPY"}
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			f := newFeed(start(rt, hub.Config{Shards: rapid.IntRange(1, 2).Draw(rt, "shards")}))
			f.acceptNow()
			for _, topic := range topics {
				f.publish(topic, 1)
			}
			var clients []*modelClient
			for i := range rapid.IntRange(2, 6).Draw(rt, "clients") {
				all := rapid.Bool().Draw(rt, "all")
				c := &modelClient{peer: join(rt, f.hub, anyPeer(rt)), policy: policies[all], queues: map[string][]uint64{}, received: map[string][]uint64{}, waiting: map[string][]modelTick{}}
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
						c.publish(topic, f.last[topic].seq)
					}
				},
				"pace": func(rt *rapid.T) {
					// Later in the interval it could depend on ticks that the hub has conflated.
					for pass(clients); !time.Now().Equal(time.Now().Truncate(quarter).Add(100 * time.Millisecond)); {
						pass(clients)
					}
					c := client.Draw(rt, "client")
					every := rapid.SampledFrom([]time.Duration{0, quarter, time.Second}).Draw(rt, "every")
					align := every > 0 && rapid.Bool().Draw(rt, "align")
					c.setPace(every, align)
					pace(c.peer, every, align)
				},
				"time": func(rt *rapid.T) {
					for range rapid.IntRange(1, 200).Draw(rt, "steps") {
						pass(clients)
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
						if got := len(c.peer.messages("update")); got != c.messages {
							rt.Fatalf("client %d received %d messages of updates, its model %d", i, got, c.messages)
						}
					}
				},
			})
		})
	})
}
