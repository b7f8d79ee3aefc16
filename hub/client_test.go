package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

var oneShard = hub.Config{Shards: 1}

// hold stops the only shard in the middle of a write, so that its mailbox fills up, until release
// is called.
func hold(t *testing.T, h *hub.Hub) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	p := newPeer()
	var once sync.Once
	p.onWrite = func() error { once.Do(func() { <-gate }); return nil }
	join(t, h, p)
	synctest.Wait()
	return func() { close(gate) }
}

// names returns n topics.
func names(n int) (topics []string) {
	for i := range n {
		topics = append(topics, fmt.Sprintf("A%02d/B%02d", i/100, i%100))
	}
	return topics
}

func TestAckThenSnapshotThenUpdate(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.publish("EUR/USD", 3)
		f.setStatus("EUR/GBP", "live")
		release := hold(t, h) // the subscription and the next quote are taken together
		go f.subscribe(p, 0, "EUR/USD", "EUR/*", "USD/JPY")
		synctest.Wait()
		f.publish("EUR/GBP", 1)
		release()
		synctest.Wait()
		f.publish("EUR/USD", 1)
		synctest.Wait()
		f.settled(t, p)
		if got, want := fmt.Sprint(p.types()), "[welcome ack status snapshot update update]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if s := p.messages("status")[0]; s.Symbol != "USD/JPY" || s.Status != "unknown" {
			t.Errorf("status of a topic without quotes: %+v", s)
		}
	})
}

func TestNoSnapshotAfterDrop(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p, other := join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(other, 0, "EUR/USD")
		f.publish("EUR/USD", 1)
		synctest.Wait()
		release := hold(t, h)
		f.drop("EUR/USD")
		go f.subscribe(p, 0, "EUR/USD") // on a shard that has not handled the drop yet
		synctest.Wait()
		release()
		synctest.Wait()
		if got := p.messages("snapshot"); len(got) > 0 {
			t.Errorf("a snapshot of a dropped quote: %+v", got)
		}
		f.settled(t, p)
	})
}

func TestSnapshotIsTheNewest(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p, other := join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(other, 0, "EUR/USD")
		f.publish("EUR/USD", 1)
		synctest.Wait()
		release := hold(t, h)
		f.publish("EUR/USD", 1)
		go f.subscribe(p, 0, "EUR/USD")
		synctest.Wait()
		release()
		synctest.Wait()
		if got := p.messages("snapshot"); len(got) != 1 || got[0].quotes[0].Seq != 2 {
			t.Errorf("snapshots %+v, want one of seq 2", got)
		}
		f.settled(t, p)
		f.settled(t, other)
	})
}

// After the ack of an unsubscribe nothing of its topics follows, whatever was waiting.
func TestNothingAfterUnsubscribe(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := newPeer()
		p.block()
		join(t, h, p)
		synctest.Wait()
		f.subscribe(p, 0, "EUR/USD", "*/JPY")
		p.client.SubscribeChannels([]string{"news", "alerts"}, ack("subscribe", channels("news", "alerts"), 0, nil))
		f.publish("EUR/USD", 1)
		f.publish("USD/JPY", 1)
		h.Relay("news", []byte(`1`))
		h.Relay("alerts", []byte(`2`))
		f.setStatus("USD/JPY", "stale")
		synctest.Wait()
		f.unsubscribe(p, "EUR/USD", "*/JPY")
		p.client.UnsubscribeChannels([]string{"news"}, ack("unsubscribe", channels("news"), 0, nil))
		p.unblock()
		synctest.Wait()
		p.check(t)
		if got := p.messages("message"); len(got) != 1 || got[0].Channel != "alerts" {
			t.Errorf("relayed: %+v, want the one of alerts", got)
		}
	})
}

// If more is waiting than one write takes and that write's share is unsubscribed, the rest still
// comes.
func TestRestOfPendingAfterUnsubscribe(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := newPeer()
		p.block()
		join(t, h, p)
		synctest.Wait()
		many := names(300)
		for _, topic := range many {
			f.publish(topic, 1)
			p.wants.add(topic, 0)
			p.awaiting[topic] = true
		}
		p.client.Subscribe(many, hub.Settings{}, nil)
		p.client.Unsubscribe(many[:299], nil)
		for _, topic := range many[:299] {
			delete(p.awaiting, topic)
		}
		p.unblock()
		synctest.Wait()
		p.check(t)
		if got := p.messages("snapshot"); len(got) != 1 || got[0].quotes[0].Symbol != many[299] {
			t.Errorf("got %d snapshots, want one of %s", len(got), many[299])
		}
	})
}

func TestExactBeforeWildcard(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		f.subscribe(p, 1, "*")
		f.subscribe(p, 2, "EUR/*")
		f.subscribe(p, 4, "*/USD")
		f.subscribe(p, 8, "EUR/USD")
		rate := func(want int) {
			t.Helper()
			time.Sleep(5 * time.Second)
			p.forget()
			for range 4000 {
				f.publish("EUR/USD", 1)
				time.Sleep(time.Millisecond)
			}
			if got := len(p.seqs("EUR/USD")); got < 4*want-1 || got > 4*want+1 {
				t.Errorf("%d updates in 4 s, want %d a second", got, want)
			}
		}
		rate(8)
		f.subscribe(p, 16, "*") // does not apply
		rate(8)
		f.unsubscribe(p, "EUR/USD")
		rate(4)
		f.unsubscribe(p, "*/USD")
		rate(2)
		f.subscribe(p, 4, "*/USD")
		f.subscribe(p, 2, "EUR/*") // again, so it is the later one
		rate(2)
		f.unsubscribe(p, "EUR/*", "*/USD")
		rate(16)
		f.unsubscribe(p, "*")
		rate(0)
		f.settled(t, p)
	})
}

// Topics that a client requests and no producer quotes cost only that client.
func TestUnquotedTopicsDoNotReachWildcards(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		watcher, p := join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(watcher, 0, "*", "A00/*")
		many := names(1000)
		f.subscribe(p, 0, many...)
		if n := h.Subscriptions(); n != 1000 {
			t.Errorf("%d subscriptions, want the 1000 that were requested", n)
		}
		f.publish(many[7], 1)
		f.publish("X/Y", 2)
		synctest.Wait()
		f.settled(t, watcher)
		f.settled(t, p)
		if n := h.Subscriptions(); n != 1002 {
			t.Errorf("%d subscriptions, want 1000 and the two quoted for the wildcards", n)
		}
		if got := watcher.seqs(many[7]); !slices.Equal(got, []uint64{1}) {
			t.Errorf("the watcher received %v of %s, want 1 once", got, many[7])
		}
	})
}

// A topic that becomes unknown ends for clients whose only match is a wildcard, after the status that
// reports it, even if they read it late. It comes back with its next tick.
func TestForgottenTopic(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		wide, slow, exact := join(t, h, newPeer()), join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(wide, 0, "EUR/*")
		f.subscribe(slow, 0, "*")
		f.subscribe(exact, 0, "EUR/USD")
		f.publish("EUR/USD", 1)
		synctest.Wait()
		slow.block()
		f.publish("GBP/USD", 1) // the last that it takes
		synctest.Wait()
		f.forget("EUR/USD", slow)
		synctest.Wait()
		if n := h.Subscriptions(); n != 2 {
			t.Errorf("%d subscriptions, want that to the exact name and that to GBP/USD", n)
		}
		late := join(t, h, newPeer())
		f.subscribe(late, 0, "*")
		slow.unblock()
		synctest.Wait()
		for name, p := range map[string]*peer{"wide": wide, "slow": slow, "exact": exact} {
			var told []string
			for _, m := range p.messages("status") {
				told = append(told, m.Symbol+" "+m.Status)
			}
			if n := len(told); n == 0 || told[n-1] != "EUR/USD unknown" {
				t.Errorf("%s: statuses %q, want unknown at the end", name, told)
			}
		}
		f.publish("EUR/USD", 2)
		synctest.Wait()
		for _, p := range []*peer{wide, slow, exact, late} {
			f.settled(t, p)
		}
		if n := h.Subscriptions(); n != 6 {
			t.Errorf("%d subscriptions, want 6", n)
		}
	})
}

// The pending list of a client that takes nothing and keeps changing its subscriptions does not
// grow.
func TestPendingDoesNotGrow(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := newPeer()
		p.block()
		join(t, h, p)
		synctest.Wait()
		many := names(100)
		for _, topic := range many {
			f.publish(topic, 1)
		}
		for range 200 {
			p.client.Subscribe(many, hub.Settings{}, nil)
			p.client.Unsubscribe(many, nil)
		}
		if n := p.client.Pending(); n > 300 {
			t.Errorf("%d pending subscriptions for 100 topics", n)
		}
		p.unblock()
		f.subscribe(p, 0, many...)
		synctest.Wait()
		f.settled(t, p)
	})
}

// A client that sends its next command as soon as the last is answered does not delay the quotes of
// others.
func TestCommandsDoNotStarveQuotes(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		quiet := join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		f.subscribe(quiet, 0, "EUR/USD")
		synctest.Wait()
		busy := newPeer()
		writes, late := 0, 0
		busy.onWrite = func() error {
			if writes++; writes == 1 {
				f.publish("EUR/USD", 1)
			} else if writes > 10_000 {
				return nil
			}
			if len(quiet.seqs("EUR/USD")) == 0 {
				late++
			}
			busy.client.Post([]byte(`{"type":"pong"}`))
			return nil
		}
		join(t, h, busy)
		synctest.Wait()
		f.settled(t, quiet)
		if late > 10 {
			t.Errorf("a quote waited for %d writes to another client", late)
		}
	})
}

// Commands of a client that does not read wait; closing the client releases them.
func TestRepliesPushBack(t *testing.T) {
	for name, end := range map[string]func(*peer, func()){
		"room":   func(p *peer, _ func()) { p.unblock() },
		"close":  func(p *peer, _ func()) { p.client.Close(protocol.CloseKicked) },
		"leave":  func(p *peer, _ func()) { p.client.Leave() },
		"hub":    func(_ *peer, stop func()) { stop() },
		"Closed": func(p *peer, _ func()) { p.client.CloseAfter(protocol.CloseRateLimited, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, stop := startStop(t, oneShard)
				defer stop()
				p := newPeer()
				p.block()
				join(t, h, p)
				synctest.Wait()
				kib := fmt.Appendf(nil, `{"type":"pong","text":"%s"}`, strings.Repeat("x", 1000))
				var sent [3]int
				var senders sync.WaitGroup
				for i := range sent {
					senders.Go(func() {
						for range 100 {
							p.client.Send(kib)
							sent[i]++
						}
					})
				}
				synctest.Wait()
				if n := sent[0] + sent[1] + sent[2]; n < 30 || n > 36 {
					t.Errorf("%d KiB of replies were taken, want 32", n)
				}
				end(p, stop)
				synctest.Wait()
				senders.Wait()
				p.check(t)
				if got := len(p.messages("pong")); name == "room" && got != 300 {
					t.Errorf("%d of 300 replies arrived", got)
				}
			})
		})
	}
}

// One write makes room for all waiting commands.
func TestRoomReleasesAll(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, _ *feed) {
		p := newPeer()
		p.block()
		join(t, h, p)
		synctest.Wait()
		large := fmt.Appendf(nil, `{"type":"pong","text":"%s"}`, strings.Repeat("x", 40<<10))
		var senders sync.WaitGroup
		for range 5 {
			senders.Go(func() { p.client.Send(large) })
		}
		synctest.Wait()
		p.unblock()
		senders.Wait() // nothing more is written: all waiting commands must have been released
		p.check(t)
	})
}

func TestCommandsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := startStop(t, oneShard)
		f, p := newFeed(h), join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		p.client.Close(protocol.Close{Code: 1000})
		p.client.Close(protocol.CloseKicked)
		f.subscribe(p, 0, "EUR/USD")
		p.client.Send([]byte(`{}`))
		p.client.Ready()
		p.client.Leave()
		if p.closed() != 1000 {
			t.Errorf("closed with %d, want the first code", p.closed())
		}
		if h.Subscriptions() != 0 {
			t.Error("a client that was gone could subscribe")
		}
		p = join(t, h, newPeer())
		stop()
		f.subscribe(p, 0, "EUR/USD")
		f.publish("EUR/USD", 1)
		p.client.Leave()
		if h.Clients() != 0 {
			t.Errorf("%d clients counted, want 0", h.Clients())
		}
	})
}

// A wildcard does not keep a topic that only a client has named.
func TestUnsubscribeOfUnquotedTopic(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.subscribe(p, 0, "EUR/JPY", "*")
		f.unsubscribe(p, "EUR/JPY")
		f.unsubscribe(p, "*")
		f.publish("EUR/JPY", 1)
		synctest.Wait()
		f.settled(t, p)
		if n := h.Subscriptions(); n != 0 {
			t.Errorf("%d subscriptions, want 0", n)
		}
	})
}
