package hub_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

const quarter = 250 * time.Millisecond

// acceptNow stamps the ticks of a feed with the time at which they are published.
func (f *feed) acceptNow() { f.at = func() int64 { return time.Now().UnixMicro() } }

// pace sets the pace of a client.
func pace(p *peer, every time.Duration, align bool) {
	p.client.Pace(every, align, fmt.Appendf(nil, `{"type":"pong","text":"pace %v"}`, every))
}

// numbers returns the number of each quote in a message by topic.
func (m message) numbers() map[string]uint64 {
	found := map[string]uint64{}
	for _, q := range m.quotes {
		found[q.Symbol] = q.Seq
	}
	return found
}

// All that changed in an interval comes in one message at its end, and nothing comes between.
func TestPace(t *testing.T) {
	for _, align := range []bool{false, true} {
		t.Run(fmt.Sprint("align=", align), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				f.publish("EUR/USD", 1)
				f.publish("GBP/USD", 1)
				pace(p, quarter, align)
				f.subscribe(p, 0, "*")
				synctest.Wait()
				time.Sleep(time.Millisecond)
				for range 40 { // 2 s
					time.Sleep(50 * time.Millisecond)
					f.publish("EUR/USD", 3)
				}
				f.publish("GBP/USD", 1)
				time.Sleep(2 * quarter)
				synctest.Wait()
				f.settled(t, p)
				got := p.messages("update")
				if len(got) != 9 { // eight intervals, and the last ticks
					t.Fatalf("%d messages in 2 s and a rest, want 9", len(got))
				}
				for i, m := range got[1:] {
					if d := m.at.Sub(got[i].at); d != quarter {
						t.Errorf("message %d came %v after the one before it, want %v", i+1, d, quarter)
					}
				}
				if last := got[len(got)-1].numbers(); last["EUR/USD"] != 121 || last["GBP/USD"] != 2 {
					t.Errorf("the last message has %v, want both symbols", last)
				}
			})
		})
	}
}

// Every tick of an interval comes at its end in mode all, in one message, however many there are.
func TestPaceOfEveryTick(t *testing.T) {
	for _, align := range []bool{false, true} {
		t.Run(fmt.Sprint("align=", align), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				p.first = true
				f.publish("EUR/USD", 1)
				pace(p, quarter, align)
				f.every(p, "EUR/USD")
				synctest.Wait()
				f.publish("EUR/USD", 1000)
				time.Sleep(2 * quarter)
				synctest.Wait()
				if got := p.messages("update"); len(got) != 1 || len(got[0].quotes) != 1000 {
					t.Errorf("%d messages, want one with 1000 quotes", len(got))
				}
				f.settled(t, p)
			})
		})
	}
}

// Mode all sends its ticks before the end of the interval when they fill half of its queue.
func TestPaceAndHalfAQueue(t *testing.T) {
	for _, align := range []bool{false, true} {
		t.Run(fmt.Sprint("align=", align), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				latest := join(t, h, newPeer())
				p.first = true
				f.publish("EUR/USD", 1)
				for _, c := range []*peer{p, latest} {
					pace(c, time.Minute, align)
				}
				f.every(p, "EUR/USD")
				f.subscribe(latest, 0, "EUR/USD")
				for want := range 3 { // 12,288 ticks: more than the queue holds
					synctest.Wait()
					for range 8 {
						f.publish("EUR/USD", 4095/8)
						synctest.Wait()
					}
					if got := len(p.seqs("EUR/USD")); got != want*4096 {
						t.Fatalf("%d ticks before half of the queue was full, want %d", got, want*4096)
					}
					f.publish("EUR/USD", 8)
					synctest.Wait()
					if got := len(p.seqs("EUR/USD")); got != (want+1)*4096 {
						t.Fatalf("%d ticks when half of the queue was full, want %d", got, (want+1)*4096)
					}
				}
				if got := latest.seqs("EUR/USD"); len(got) != 0 {
					t.Errorf("the client in mode latest received %v early", got)
				}
				f.publish("EUR/USD", 1)
				time.Sleep(time.Minute + time.Second)
				synctest.Wait()
				f.settled(t, p)
				f.settled(t, latest)
			})
		})
	}
}

// Acks, snapshots, statuses, relayed messages and heartbeats are not held back.
func TestPaceHoldsBackNothingElse(t *testing.T) {
	for _, align := range []bool{false, true} {
		t.Run(fmt.Sprint("align=", align), func(t *testing.T) {
			bubble(t, hub.Config{Shards: 1, Heartbeat: time.Second}, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				pace(p, time.Minute, align)
				p.client.SubscribeChannels([]string{"news"}, ack("subscribe", channels("news"), 0, nil))
				f.publish("EUR/USD", 1)
				f.subscribe(p, 0, "EUR/USD", "GBP/USD")
				synctest.Wait() // else the snapshot has the status
				h.Relay("news", []byte(`1`))
				f.setStatus("EUR/USD", "stale")
				f.publish("EUR/USD", 1)
				synctest.Wait()
				if got, want := p.types(), []string{"welcome", "pong", "ack", "ack", "snapshot", "status", "message", "status"}; !sameWords(got, want) {
					t.Errorf("received %v at once, want %v", got, want)
				}
				p.forget()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := p.types(); len(got) < 8 || slices.ContainsFunc(got, func(s string) bool { return s != "heartbeat" }) {
					t.Errorf("received %v in 10 s, want heartbeats", got)
				}
				p.check(t)
			})
		})
	}
}

func sameWords(got, want []string) bool {
	slices.Sort(got)
	slices.Sort(want)
	return slices.Equal(got, want)
}

// A client that waits for the first value of a topic receives it as its snapshot at once.
func TestPaceAndFirstValue(t *testing.T) {
	bubble(t, hub.Config{Shards: 1, Interest: func(string) {}}, func(t *testing.T, h *hub.Hub, f *feed) {
		f.acceptNow()
		p := join(t, h, newPeer())
		p.first = true
		pace(p, time.Minute, true)
		f.subscribe(p, 0, "EUR/USD")
		f.publish("EUR/USD", 1)
		h.Follow("EUR/USD", true)
		synctest.Wait()
		if got := p.messages("snapshot"); len(got) != 1 {
			t.Errorf("received %v, want a snapshot", p.types())
		}
		p.check(t)
	})
}

// The end of a pace sends what waits; another pace keeps it waiting.
func TestPaceChanges(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		f.acceptNow()
		p := join(t, h, newPeer())
		pace(p, time.Minute, false)
		f.publish("EUR/USD", 1)
		f.subscribe(p, 0, "EUR/USD")
		synctest.Wait() // else the snapshot has these ticks
		f.publish("EUR/USD", 2)
		pace(p, 10*time.Second, true)
		synctest.Wait()
		if got := p.seqs("EUR/USD"); len(got) > 0 {
			t.Fatalf("received %v at once", got)
		}
		time.Sleep(10 * time.Second)
		time.Sleep(60 * time.Millisecond)
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{3}) {
			t.Fatalf("received %v after the interval, want 3", got)
		}
		f.publish("EUR/USD", 2)
		synctest.Wait()
		pace(p, 0, false)
		synctest.Wait()
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{3, 5}) {
			t.Fatalf("received %v when the pace ended, want 3 and 5", got)
		}
		f.publish("EUR/USD", 1)
		synctest.Wait()
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{3, 5, 6}) {
			t.Fatalf("received %v without a pace, want 6 at once", got)
		}
		f.settled(t, p)
	})
}

// What was unsubscribed does not come with the next beat, and what stays does.
func TestPaceAndUnsubscribe(t *testing.T) {
	for _, align := range []bool{false, true} {
		t.Run(fmt.Sprint("align=", align), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				for _, topic := range []string{"EUR/USD", "GBP/USD"} {
					f.publish(topic, 1)
				}
				pace(p, quarter, align)
				f.subscribe(p, 0, "EUR/USD", "GBP/USD")
				synctest.Wait() // else the snapshots have these ticks
				f.publish("EUR/USD", 1)
				f.publish("GBP/USD", 1)
				f.unsubscribe(p, "EUR/USD")
				time.Sleep(2 * quarter)
				synctest.Wait()
				if got := p.messages("update"); len(got) != 1 || !maps.Equal(got[0].numbers(), map[string]uint64{"GBP/USD": 2}) {
					t.Errorf("received %+v, want one message with GBP/USD", got)
				}
				f.settled(t, p)
			})
		})
	}
}

// Resumed ticks come with the next beat, after resumed, and those since follow them.
func TestPaceAndResume(t *testing.T) {
	for _, align := range []bool{false, true} {
		t.Run(fmt.Sprint("align=", align), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				f.publish("EUR/USD", 300)
				at := position{f.last["EUR/USD"].epoch, 20}
				p.since["EUR/USD"] = at
				p.asked.add("EUR/USD", 0)
				p.asked.every["EUR/USD"] = true
				pace(p, quarter, align)
				p.client.Subscribe([]string{"EUR/USD"}, hub.Settings{All: true, Hold: []string{"EUR/USD"}},
					ackMode("subscribe", "all", []string{"EUR/USD"}, 0, nil))
				f.publish("EUR/USD", 2)
				if p.client.Resume("EUR/USD", protocol.Position{Epoch: at.epoch, Seq: at.seq}, f.after("EUR/USD", at, 2), true) {
					t.Fatal("asked to read again")
				}
				f.publish("EUR/USD", 1)
				synctest.Wait()
				if got := p.types(); got[len(got)-1] != "resumed" {
					t.Errorf("received %v, want resumed at the end", got)
				}
				time.Sleep(2 * quarter)
				synctest.Wait()
				if got := p.messages("update"); len(got) != 1 || len(got[0].quotes) != 283 {
					t.Errorf("%d messages, want one with 283 quotes", len(got))
				}
				f.settled(t, p)
			})
		})
	}
}

// max_rate holds with a pace. A rate that fits the pace is reached.
func TestPaceAndMaxRate(t *testing.T) {
	for _, test := range []struct {
		rate float64
		want int // updates in 12 s with a pace of 250 ms
	}{{0, 48}, {4, 48}, {3, 24}, {1, 12}, {100, 48}, {0.25, 3}} {
		for _, align := range []bool{false, true} {
			t.Run(fmt.Sprintf("%g,align=%t", test.rate, align), func(t *testing.T) {
				bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
					f.acceptNow()
					p := join(t, h, newPeer())
					slow := join(t, h, newPeer())
					f.publish("EUR/USD", 1)
					for _, c := range []*peer{p, slow} {
						pace(c, quarter, align)
						f.subscribe(c, test.rate, "EUR/USD")
					}
					for i := range 1200 {
						f.publish("EUR/USD", 1)
						switch i % 90 {
						case 30:
							slow.block()
						case 80:
							slow.unblock()
						}
						time.Sleep(10 * time.Millisecond)
					}
					synctest.Wait()
					if got := len(p.seqs("EUR/USD")); got < test.want-1 || got > test.want {
						t.Errorf("%d updates in 12 s, want %d", got, test.want)
					}
					slow.unblock()
					time.Sleep(5 * time.Second)
					synctest.Wait()
					f.settled(t, p)
					f.settled(t, slow)
				})
			})
		}
	}
}

// A slow client receives one message of what is newest when its connection takes data again.
func TestPaceAndSlowClient(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		f.acceptNow()
		p := join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		pace(p, quarter, true)
		f.subscribe(p, 0, "EUR/USD")
		synctest.Wait()
		p.block()
		for range 100 {
			f.publish("EUR/USD", 1)
			time.Sleep(20 * time.Millisecond)
		}
		if got := p.messages("update"); len(got) != 1 {
			t.Fatalf("%d messages to a client that takes one", len(got))
		}
		p.unblock()
		synctest.Wait()
		got := p.messages("update")
		if len(got) != 2 || got[1].quotes[0].Seq != 89 { // accepted before 1.75 s; it is 2 s
			t.Errorf("received %v, want 89: the newest before the last instant", p.seqs("EUR/USD"))
		}
		time.Sleep(2 * quarter)
		synctest.Wait()
		f.settled(t, p)
	})
}

// Clients of two nodes receive the same messages, whatever time each tick takes to each node. They
// are those of the model: of each symbol the newest tick accepted before the instant.
func TestAlignedNodesAgree(t *testing.T) {
	topics := []string{"EUR/USD", "GBP/USD", "USD/JPY"}
	type accepted struct {
		topic string
		seq   uint64
		at    time.Duration // since start
	}
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			every := rapid.SampledFrom([]time.Duration{10, 40, 250, 1000}).Draw(rt, "every") * time.Millisecond
			skew := rapid.SampledFrom([]time.Duration{-time.Hour, 0, 17 * time.Millisecond, 3 * time.Minute}).Draw(rt, "Redis is ahead")
			begin := time.Now()
			var ticks []accepted
			seqs := map[string]uint64{}
			at := time.Duration(0)
			for range rapid.IntRange(5, 60).Draw(rt, "ticks") {
				at += time.Duration(rapid.IntRange(1, 120_000).Draw(rt, "µs")) * time.Microsecond
				topic := rapid.SampledFrom(topics).Draw(rt, "topic")
				seqs[topic]++
				ticks = append(ticks, accepted{topic, seqs[topic], at})
			}
			var nodes []*peer
			for range 2 {
				h := start(rt, hub.Config{Shards: 1, Ordered: rapid.Bool().Draw(rt, "ordered")})
				least := time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "least µs")) * time.Microsecond
				p := anyPeer(rt)
				p.first = true
				nodes = append(nodes, join(rt, h, p))
				pace(p, every, true)
				p.asked.add("*", 0)
				p.client.Subscribe([]string{"*"}, hub.Settings{}, ack("subscribe", []string{"*"}, 0, nil))
				// The fastest tick comes first, so that the node knows the clock.
				h.SetStatus("XAU/USD", "live", "", begin)
				for _, topic := range topics {
					h.SetStatus(topic, "live", "", begin)
					h.List(topic, true) // else its first ticks may meet before anything wants them
				}
				more := rapid.SliceOfN(rapid.IntRange(0, 25_000), len(ticks), len(ticks)).Draw(rt, "more µs")
				go func() {
					time.Sleep(least)
					h.Publish("XAU/USD", "e", 1, body("XAU/USD", 1), begin.Add(skew).UnixMicro())
					for i, tick := range ticks { // in order, as from a connection
						arrives := begin.Add(tick.at + least + time.Duration(more[i])*time.Microsecond)
						time.Sleep(time.Until(arrives))
						h.Publish(tick.topic, "e", tick.seq, body(tick.topic, tick.seq), begin.Add(tick.at+skew).UnixMicro())
					}
				}()
			}
			time.Sleep(at + 2*every + time.Second)
			synctest.Wait()
			var want []map[string]uint64 // by instant
			first := begin.Add(skew).Truncate(every)
			instants := []time.Time{}
			have := map[string]uint64{}
			ticks = append([]accepted{{"XAU/USD", 1, 0}}, ticks...)
			for next, instant := 0, first.Add(every); next < len(ticks); instant = instant.Add(every) {
				frame := map[string]uint64{}
				for ; next < len(ticks) && begin.Add(skew+ticks[next].at).Before(instant); next++ {
					frame[ticks[next].topic] = ticks[next].seq
				}
				if len(frame) > 0 {
					maps.Copy(have, frame)
					want, instants = append(want, frame), append(instants, instant.Add(-skew))
				}
			}
			for n, p := range nodes {
				p.check(rt)
				got := p.messages("update")
				if len(got) != len(want) {
					rt.Fatalf("node %d sent %d messages, want %d", n, len(got), len(want))
				}
				for i, m := range got {
					if !maps.Equal(m.numbers(), want[i]) {
						rt.Fatalf("node %d sent %v as message %d, want %v", n, m.numbers(), i, want[i])
					}
					if late := m.at.Sub(instants[i]); late < 0 || late > 50*time.Millisecond+20*time.Millisecond {
						rt.Errorf("node %d sent message %d %v after its instant", n, i, late)
					}
				}
			}
		})
	})
}

// Where ticks are published in their order, the message of an instant is sent soon after the first
// tick that was accepted later.
func TestAlignedBeatComesEarly(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered=", ordered), func(t *testing.T) {
			bubble(t, hub.Config{Shards: 1, Ordered: ordered}, func(t *testing.T, h *hub.Hub, f *feed) {
				f.acceptNow()
				p := join(t, h, newPeer())
				f.publish("EUR/USD", 1)
				pace(p, quarter, true)
				f.subscribe(p, 0, "*")
				synctest.Wait()
				for range 200 { // a second
					time.Sleep(5 * time.Millisecond)
					f.publish("EUR/USD", 1)
				}
				time.Sleep(2 * quarter)
				synctest.Wait()
				f.settled(t, p)
				got := p.messages("update")
				if len(got) != 5 {
					t.Fatalf("%d messages, want 5", len(got))
				}
				for i, m := range got {
					instant := m.at.Truncate(quarter)
					if seq := m.quotes[0].Seq; i < 4 && seq != uint64(50*(i+1)) {
						t.Errorf("message %d has %d, want %d", i, seq, 50*(i+1))
					}
					early := ordered && i < 4 // nothing shows that the last tick was the last
					if late := m.at.Sub(instant); early != (late <= 3*time.Millisecond) || late > 40*time.Millisecond {
						t.Errorf("message %d came %v after its instant", i, late)
					}
				}
			})
		})
	}
}

// Ticks between two beats allocate for the tick, and a beat allocates nothing per client.
func TestPaceAllocations(t *testing.T) {
	const clients = 1000
	for _, align := range []bool{false, true} {
		h, writes := crowd(t, 0)
		h.SetStatus("EUR/USD", "live", "", time.Time{})
		for range clients {
			c, err := h.Join(sink{writes}, hub.JoinOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.Pace(10*time.Millisecond, align, nil)
			c.Subscribe([]string{"EUR/USD"}, hub.Settings{}, nil)
		}
		quote := body("EUR/USD", 1_000_000)
		seq := uint64(0)
		publish := func() {
			before := writes.Load()
			for range 3 {
				seq++
				h.Publish("EUR/USD", "e", seq, quote, time.Now().UnixMicro())
			}
			for writes.Load() < before+clients {
				time.Sleep(time.Millisecond)
			}
		}
		for range 20 {
			publish()
		}
		// 3 for each tick, and two beats if the ticks lie on both sides of an instant.
		if n := testing.AllocsPerRun(30, publish); n > 3*3+10 {
			t.Errorf("align=%t: %g allocations for 3 ticks to %d clients", align, n, clients)
		}
	}
}
