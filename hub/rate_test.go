package hub_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxcast/fxcast/hub"
)

func TestMaxRate(t *testing.T) {
	for _, rate := range []float64{0, 0.2, 0.5, 3, 100, 999} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				p := join(t, h, newPeer())
				f.publish("EUR/USD", 1)
				f.subscribe(p, rate, "EUR/USD")
				const seconds = 6
				for range seconds * 1000 {
					f.publish("EUR/USD", 1)
					time.Sleep(time.Millisecond)
				}
				got := len(p.seqs("EUR/USD"))
				time.Sleep(6 * time.Second)
				synctest.Wait()
				f.settled(t, p)
				most := seconds * 1000
				if rate > 0 {
					most = int(seconds*rate) + 1
				}
				// A slot of the wheel is a millisecond, so an interval is up to that much longer.
				least := int(float64(most)/(1+rate/1000)) - 2
				if got > most || got < least {
					t.Errorf("%d updates in %d s at max_rate %g, want %d to %d", got, seconds, rate, least, most)
				}
			})
		})
	}
}

// The next update may go out at exactly the end of an interval, never before. An interval that is
// not whole nanoseconds is rounded up.
func TestMaxRateInAnySecond(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.publish("EUR/USD", 1)
		f.subscribe(p, 3, "EUR/USD")
		synctest.Wait()
		for range 4 {
			f.publish("EUR/USD", 1)
			synctest.Wait()
			time.Sleep(time.Second / 3)
		}
		time.Sleep(time.Second)
		var at []time.Time
		for _, m := range p.messages("update") {
			at = append(at, m.at)
		}
		for i := 3; i < len(at); i++ {
			if d := at[i].Sub(at[i-3]); d < time.Second {
				t.Errorf("4 updates within %v", d)
			}
		}
		f.settled(t, p)
	})
}

// A status is sent at once, while the waiting tick keeps waiting for its turn.
func TestStatusDoesNotHurryATick(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.subscribe(p, 0.1, "EUR/USD")
		f.publish("EUR/USD", 1)
		synctest.Wait()
		f.publish("EUR/USD", 1)
		time.Sleep(time.Second)
		f.setStatus("EUR/USD", "stale")
		synctest.Wait()
		if got := p.messages("status"); got[len(got)-1].Status != "stale" {
			t.Errorf("statuses %+v, want stale at the end", got)
		}
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{1}) {
			t.Errorf("updates %v after 1 s at one in 10 s", got)
		}
		time.Sleep(8900 * time.Millisecond)
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{1}) {
			t.Errorf("updates %v after 9.9 s at one in 10 s", got)
		}
		time.Sleep(200 * time.Millisecond)
		if got := p.seqs("EUR/USD"); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("updates %v after 10.1 s, want both", got)
		}
		f.settled(t, p)
	})
}

// When the rate changes, a tick that waits follows the new rate.
func TestRateChangesWhileWaiting(t *testing.T) {
	for _, test := range []struct {
		from, to float64
		due      time.Duration // of the second update after the first
	}{
		{1, 20, 50 * time.Millisecond},
		{0.1, 2, 500 * time.Millisecond},
		{0.1, 0, 20 * time.Millisecond}, // at once
		{20, 1, time.Second},
		{2, 0.25, 4 * time.Second},
	} {
		t.Run(fmt.Sprint(test.from, " to ", test.to), func(t *testing.T) {
			bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
				p := join(t, h, newPeer())
				f.subscribe(p, test.to, "*")
				f.subscribe(p, test.from, "EUR/USD")
				f.publish("EUR/USD", 1)
				synctest.Wait()
				f.publish("EUR/USD", 1)
				time.Sleep(20 * time.Millisecond)
				f.unsubscribe(p, "EUR/USD") // the rate of the wildcard applies from now on
				time.Sleep(10 * time.Second)
				m := p.messages("update")
				if len(m) != 2 {
					t.Fatalf("%d updates, want 2", len(m))
				}
				if d := m[1].at.Sub(m[0].at); d < test.due || d > test.due+2*time.Millisecond {
					t.Errorf("the second update after %v, want %v", d, test.due)
				}
				f.settled(t, p)
			})
		})
	}
}

// Subscribing again with a higher rate holds from the snapshot on.
func TestRateChangesBySubscribing(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		f.subscribe(p, 1, "EUR/USD")
		f.publish("EUR/USD", 1)
		synctest.Wait()
		f.publish("EUR/USD", 1) // waits for a second
		synctest.Wait()
		f.subscribe(p, 20, "EUR/USD")
		synctest.Wait()
		p.forget()
		for range 500 {
			f.publish("EUR/USD", 1)
			time.Sleep(time.Millisecond)
		}
		got := len(p.seqs("EUR/USD"))
		time.Sleep(time.Second)
		if got < 9 || got > 11 {
			t.Errorf("%d updates in half a second at max_rate 20", got)
		}
		f.settled(t, p)
	})
}

// A slow client with many topics receives them in turn, and a busy topic does not keep the others
// away.
func TestTopicsTakeTurns(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		p := join(t, h, newPeer())
		many := names(1000)
		f.subscribe(p, 0, many...)
		synctest.Wait()
		p.block()
		p.forget()
		f.publish(many[0], 1)
		synctest.Wait() // this tick is written; from now on the connection is not ready
		for i, topic := range many {
			f.publish(topic, 1)
			if i%10 == 0 {
				f.publish(many[0], 1)
			}
		}
		synctest.Wait()
		writes := 0
		seen := map[string]int{}
		for len(seen) < len(many) && writes < 20 {
			p.forget()
			f.publish(many[0], 1)
			p.room()
			synctest.Wait()
			writes++
			for _, m := range p.messages("update") {
				for _, q := range m.quotes {
					seen[q.Symbol]++
				}
			}
		}
		if writes > 6 {
			t.Errorf("%d writes for 1000 topics, want 200 in each", writes)
		}
		for _, topic := range many[1:] {
			if seen[topic] != 1 {
				t.Fatalf("%s came %d times, want once", topic, seen[topic])
			}
		}
		p.unblock()
		synctest.Wait()
		f.settled(t, p)
	})
}

func TestSlowClientGetsTheNewest(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, f *feed) {
		slow, quick := join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(slow, 0, "EUR/USD")
		f.subscribe(quick, 0, "EUR/USD")
		f.publish("EUR/USD", 1)
		synctest.Wait() // ack, status and first tick are out
		slow.block()
		for range 1000 {
			f.publish("EUR/USD", 1)
			synctest.Wait()
		}
		if got := len(quick.seqs("EUR/USD")); got != 1001 {
			t.Errorf("the quick client received %d of 1001", got)
		}
		slow.unblock()
		synctest.Wait()
		if got := slow.seqs("EUR/USD"); !slices.Equal(got, []uint64{1, 2, 1001}) {
			t.Errorf("the slow client received %v, want the first two and the last", got)
		}
		f.settled(t, slow)
		f.settled(t, quick)
	})
}
