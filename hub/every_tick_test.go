package hub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// A subscription to every tick receives every tick, once and in order, in any interleaving. A reset
// reports missing ticks where the hub itself has missed some, and only there.
func TestEveryTickInAnyInterleaving(t *testing.T) {
	topics := []string{"EUR/USD", "EUR/JPY", "USD/JPY"}
	patterns := append(slices.Clone(topics), "*", "EUR/*", "*/JPY")
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			h := start(rt, hub.Config{Shards: rapid.IntRange(1, 2).Draw(rt, "shards")})
			f := newFeed(h)
			var peers []*peer
			topic := rapid.SampledFrom(topics)
			some := rapid.SliceOfN(rapid.SampledFrom(patterns), 1, 2)
			begin := func() *peer {
				p := anyPeer(rt)
				p.first = true
				peers = append(peers, join(rt, h, p))
				return p
			}
			any := func() *peer {
				if len(peers) == 0 {
					begin()
				}
				return peers[rapid.IntRange(0, len(peers)-1).Draw(rt, "peer")]
			}
			rt.Repeat(map[string]func(*rapid.T){
				"publish": func(rt *rapid.T) { f.publish(topic.Draw(rt, "topic"), rapid.IntRange(1, 5).Draw(rt, "ticks")) },
				"publish all": func(*rapid.T) {
					for _, tp := range topics {
						f.publish(tp, 1)
					}
				},
				"lose": func(rt *rapid.T) { f.lose(topic.Draw(rt, "topic")) },
				"epoch": func(rt *rapid.T) {
					if tp := topic.Draw(rt, "topic"); f.last[tp].epoch != "" {
						f.last[tp] = f.newEpoch()
						f.publish(tp, 1)
					}
				},
				"every":       func(rt *rapid.T) { f.every(any(), some.Draw(rt, "patterns")...) },
				"latest":      func(rt *rapid.T) { f.subscribe(any(), 0, some.Draw(rt, "patterns")...) },
				"unsubscribe": func(rt *rapid.T) { f.unsubscribe(any(), some.Draw(rt, "patterns")...) },
				"pace":        func(rt *rapid.T) { somePace(rt, any()) },
				"time":        func(*rapid.T) { time.Sleep(quarter) },
				"block":       func(*rapid.T) { any().block() },
				"room":        func(*rapid.T) { any().room() },
				"unblock":     func(*rapid.T) { any().unblock() },
				"settle":      func(*rapid.T) { synctest.Wait() },
				"come back": func(rt *rapid.T) {
					old := any()
					tp := topic.Draw(rt, "topic")
					old.client.Leave()
					old.check(rt)
					peers = slices.DeleteFunc(peers, func(q *peer) bool { return q == old })
					p := begin()
					at, ok := old.have[tp]
					if !ok {
						return
					}
					p.since[tp] = at
					p.asked.add(tp, 0)
					p.asked.every[tp] = true
					p.client.Subscribe([]string{tp}, hub.Settings{All: true, Hold: []string{tp}},
						ackMode("subscribe", "all", []string{tp}, 0, nil))
					f.publish(tp, rapid.IntRange(0, 2).Draw(rt, "meanwhile"))
					from := protocol.Position{Epoch: at.epoch, Seq: at.seq}
					missed := f.after(tp, at, rapid.IntRange(0, 3).Draw(rt, "left out"))
					f.publish(tp, rapid.IntRange(0, 2).Draw(rt, "later"))
					if p.client.Resume(tp, from, missed, true) && p.client.Resume(tp, from, f.after(tp, at, 0), true) {
						// Ticks are missing between the held ones: the feed has lost them.
						p.since = map[string]position{}
						f.holes[resetAt{tp, position{"any", 0}}] = true
						p.client.Resume(tp, from, nil, false)
					}
				},
			})
			for _, p := range peers {
				p.unblock()
			}
			time.Sleep(2 * time.Second) // longer than the slowest pace
			synctest.Wait()
			for _, p := range peers {
				f.settled(rt, p)
				for _, r := range p.resets {
					before := position{r.at.epoch, r.at.seq - 1}
					if !f.holes[resetAt{r.topic, before}] && !f.holes[resetAt{r.topic, position{"any", 0}}] {
						rt.Errorf("%s was reset at %v, but nothing was lost before it", r.topic, r.at)
					}
				}
				for topic := range p.since {
					rt.Errorf("%s was not resumed", topic)
				}
				p.client.Leave()
			}
			if clients, dirty := h.Known(); clients != 0 || dirty != 0 || h.Subscriptions() != 0 {
				rt.Errorf("left behind: %d clients, %d to be served, %d subscriptions", clients, dirty, h.Subscriptions())
			}
		})
	})
}

// A client with a wildcard for every tick receives a reset if a topic added later does not begin
// with its first tick.
func TestEveryTickOfWildcardResetsWithoutFirstTick(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, _ *hub.Hub, f *feed) {
		p := newPeer()
		p.first = true
		join(t, f.hub, p)
		f.every(p, "*")
		synctest.Wait()
		f.last["EUR/USD"] = f.newEpoch()
		f.lose("EUR/USD") // its first tick, accepted before this node followed it
		f.publish("GBP/USD", 1)
		synctest.Wait()
		f.publish("EUR/USD", 2)
		f.publish("GBP/USD", 2)
		synctest.Wait()
		snapshots := p.messages("snapshot")
		if len(snapshots) != 1 || !snapshots[0].Reset {
			t.Errorf("%+v, want one with reset", snapshots)
		}
		// Only updates: the second tick was the snapshot.
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{3, 4}) {
			t.Errorf("EUR/USD %v", got)
		}
		if got := p.seqs("GBP/USD"); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("GBP/USD %v", got)
		}
		p.check(t)
	})
}

// A client that is too slow for every tick is closed with 4008; the others go on.
func TestTooSlowForEveryTick(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		slow, quick, latest := join(t, h, newPeer()), join(t, h, newPeer()), join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		for _, p := range []*peer{slow, quick} {
			p.first = true
			f.every(p, "EUR/USD")
		}
		f.subscribe(latest, 0, "EUR/USD")
		synctest.Wait()
		slow.block()
		latest.block()
		for range 8192/64 + 8 {
			f.publish("EUR/USD", 64)
			synctest.Wait()
		}
		if code := slow.closed(); code != 4008 {
			t.Errorf("the slow client was closed with %d, want 4008", code)
		}
		latest.unblock()
		time.Sleep(time.Second)
		synctest.Wait()
		f.settled(t, quick)
		f.settled(t, latest)
		if quick.closed() != 0 || latest.closed() != 0 {
			t.Errorf("closed: %d, %d", quick.closed(), latest.closed())
		}
	})
}

// A shard that falls behind drops the ticks it cannot keep and closes the client with 4008.
func TestEveryTickOverflow(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		p.first = true
		f.every(p, "EUR/USD")
		synctest.Wait()
		release := hold(t, h)
		f.publish("EUR/USD", 8192+1)
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if code := p.closed(); code != 4008 {
			t.Errorf("closed with %d, want 4008", code)
		}
	})
}

// A client that is closed while wildcards begin to match a topic takes no other client's place: all
// others with a wildcard receive the topic.
func TestOverflowWhenWildcardsBeginToMatch(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		f.acceptNow()
		slow, paced, limited := join(t, h, newPeer()), join(t, h, newPeer()), join(t, h, newPeer())
		slow.first = true
		f.every(slow, "EUR/USD")
		f.subscribe(slow, 0, "EUR/*")
		pace(paced, quarter, true)
		f.subscribe(paced, 0, "EUR/*")
		f.subscribe(limited, 100, "EUR/*")
		synctest.Wait()
		release := hold(t, h)
		f.publish("EUR/USD", 8192+1)
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if code := slow.closed(); code != 4008 {
			t.Errorf("the slow client was closed with %d, want 4008", code)
		}
		f.settled(t, paced)
		f.settled(t, limited)
	})
}

// A resumed topic gets no snapshot; one that cannot be resumed gets a reset.
func TestResume(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		f.publish("EUR/USD", 10)
		e := f.last["EUR/USD"].epoch
		p := join(t, h, newPeer())
		p.since["EUR/USD"] = position{e, 4}
		f.publish("GBP/USD", 3)
		p.client.Subscribe([]string{"EUR/USD", "GBP/USD"}, hub.Settings{All: true, Hold: []string{"EUR/USD", "GBP/USD"}},
			ackMode("subscribe", "all", []string{"EUR/USD", "GBP/USD"}, 0, nil))
		f.publish("EUR/USD", 2)
		synctest.Wait()
		if got := p.types(); !slices.Equal(got, []string{"welcome", "ack"}) {
			t.Fatalf("before Resume: %v", got)
		}
		from := protocol.Position{Epoch: e, Seq: 4}
		if !p.client.Resume("EUR/USD", from, f.after("EUR/USD", position{e, 4}, 5), true) {
			t.Error("ticks are missing, Resume did not say so")
		}
		if p.client.Resume("EUR/USD", from, f.after("EUR/USD", position{e, 4}, 1), true) {
			t.Error("all ticks are there, Resume asks for more")
		}
		p.client.Resume("GBP/USD", protocol.Position{Epoch: "old", Seq: 7}, nil, false)
		f.publish("EUR/USD", 1)
		synctest.Wait()
		if got, want := p.seqs("EUR/USD"), []uint64{5, 6, 7, 8, 9, 10, 11, 12, 13}; !slices.Equal(got, want) {
			t.Errorf("updates %v, want %v", got, want)
		}
		if len(p.resets) != 1 || p.resets[0].topic != "GBP/USD" || p.resets[0].at.seq != 3 {
			t.Errorf("resets %v, want one of GBP/USD at 3", p.resets)
		}
		p.check(t)
	})
}

// follower is a feed that follows exactly the wanted topics.
type follower struct {
	*feed
	mu       sync.Mutex
	changed  map[string]bool
	followed map[string]bool
}

func (f *follower) interest(topic string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed[topic] = true
}

// accept publishes a tick that reaches the hub only if its topic is followed.
func (f *follower) accept(topic string) {
	if f.followed[topic] {
		f.publish(topic, 1)
		return
	}
	at, ok := f.last[topic]
	if !ok {
		at = f.newEpoch()
		f.setStatus(topic, "live")
		f.hub.List(topic, true)
	}
	at.seq++
	f.history[topic] = append(f.history[topic], at)
	f.last[topic] = at
}

// attend follows the topics that became wanted and stops following those that are not.
func (f *follower) attend() {
	f.mu.Lock()
	changed := f.changed
	f.changed = map[string]bool{}
	f.mu.Unlock()
	for topic := range changed {
		switch wanted := f.hub.Wanted(topic); {
		case wanted && !f.followed[topic]:
			if at, ok := f.last[topic]; ok {
				f.deliver(topic, at)
			}
			f.hub.Follow(topic, true)
			f.followed[topic] = true
		case !wanted && f.followed[topic]:
			f.hub.Follow(topic, false)
			f.followed[topic] = false
		}
	}
}

// With a feed that follows only wanted topics, no client receives an old value. Every subscriber
// receives a snapshot and then the ticks that follow it.
func TestInterestInAnyInterleaving(t *testing.T) {
	topics := []string{"EUR/USD", "EUR/JPY", "USD/JPY"}
	patterns := append(slices.Clone(topics), "*", "EUR/*")
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			f := &follower{changed: map[string]bool{}, followed: map[string]bool{}}
			h := start(rt, hub.Config{Shards: rapid.IntRange(1, 2).Draw(rt, "shards"), Interest: f.interest})
			f.feed = newFeed(h)
			var peers []*peer
			any := func() *peer {
				if len(peers) == 0 {
					p := newPeer()
					p.first = true
					peers = append(peers, join(rt, h, p))
				}
				return peers[rapid.IntRange(0, len(peers)-1).Draw(rt, "peer")]
			}
			topic := rapid.SampledFrom(topics)
			some := rapid.SliceOfN(rapid.SampledFrom(patterns), 1, 2)
			rt.Repeat(map[string]func(*rapid.T){
				"accept": func(rt *rapid.T) { f.accept(topic.Draw(rt, "topic")) },
				"attend": func(*rapid.T) { f.attend() },
				"settle": func(*rapid.T) { synctest.Wait() },
				"join": func(*rapid.T) {
					if len(peers) < 4 {
						p := newPeer()
						p.first = true
						peers = append(peers, join(rt, h, p))
					}
				},
				"latest": func(rt *rapid.T) {
					p, ps := any(), some.Draw(rt, "patterns")
					for _, pattern := range ps {
						p.asked.add(pattern, 0)
					}
					p.client.Subscribe(ps, hub.Settings{}, ack("subscribe", ps, 0, nil))
				},
				"every":       func(rt *rapid.T) { f.every(any(), some.Draw(rt, "patterns")...) },
				"unsubscribe": func(rt *rapid.T) { f.unsubscribe(any(), some.Draw(rt, "patterns")...) },
				"leave": func(*rapid.T) {
					p := any()
					p.client.Leave()
					p.check(rt)
					peers = slices.DeleteFunc(peers, func(q *peer) bool { return p == q })
				},
				"await": func(rt *rapid.T) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
					defer cancel()
					tp := topic.Draw(rt, "topic")
					if err := any().client.Await(ctx, tp); err == nil && !f.followed[tp] {
						rt.Errorf("Await returned for %s, which is not followed", tp)
					} else if err != nil && !errors.Is(err, context.DeadlineExceeded) {
						rt.Error(err)
					}
				},
			})
			synctest.Wait()
			f.attend()
			time.Sleep(2 * time.Second) // longer than the slowest pace
			synctest.Wait()
			for _, p := range peers {
				f.settled(rt, p)
				p.client.Leave()
			}
			synctest.Wait()
			for _, tp := range topics {
				if h.Wanted(tp) {
					rt.Errorf("%s is wanted without a subscriber", tp)
				}
			}
		})
	})
}
