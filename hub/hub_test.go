package hub_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

func TestHeartbeatWhenIdle(t *testing.T) {
	for _, beat := range []time.Duration{time.Millisecond, time.Second} {
		bubble(t, hub.Config{Shards: 2, Heartbeat: beat}, func(t *testing.T, h *hub.Hub, f *feed) {
			idle, busy, stuck := join(t, h, newPeer()), join(t, h, newPeer()), newPeer()
			stuck.block()
			join(t, h, stuck)
			f.subscribe(busy, 0, "EUR/USD")
			for range 1000 {
				f.publish("EUR/USD", 1)
				time.Sleep(beat / 2)
			}
			// The sweep runs every eighth of the period, but at most every 10 ms.
			late := max(beat/8, 10*time.Millisecond)
			n, most := len(idle.messages("heartbeat")), int(500*beat/max(beat, 10*time.Millisecond))
			least := int(500*beat/(beat+late)) - 1
			if n < least || n > most {
				t.Errorf("%d heartbeats in 500 periods of %v, want %d to %d", n, beat, least, most)
			}
			if n := len(busy.messages("heartbeat")); n > 0 && beat == time.Second {
				t.Errorf("%d heartbeats among quotes", n)
			}
			if got := len(stuck.types()); got != 1 {
				t.Errorf("%d messages to a client that takes nothing, want the welcome", got)
			}
			stuck.unblock()
			time.Sleep(max(2*beat, 40*time.Millisecond))
			for _, m := range append(idle.messages("heartbeat"), stuck.messages("heartbeat")...) {
				if _, err := time.Parse("2006-01-02T15:04:05.000000Z", m.TS); err != nil {
					t.Fatal(err)
				}
			}
			if len(stuck.messages("heartbeat")) == 0 {
				t.Error("no heartbeat after the client could take again")
			}
			f.settled(t, busy)
			idle.check(t)
			stuck.check(t)
		})
	}
}

func TestAwaitRest(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, f *feed) {
		await := func(limit time.Duration) time.Duration {
			began := time.Now()
			h.AwaitRest(limit)
			return time.Since(began)
		}
		p := join(t, h, newPeer())
		f.subscribe(p, 0, "EUR/USD")
		synctest.Wait()
		if took := await(time.Minute); took != 0 {
			t.Errorf("a hub without work was awaited for %v", took)
		}
		const write = 100 * time.Millisecond
		p.onWrite = func() error { time.Sleep(write); return nil }
		for _, limit := range []time.Duration{time.Minute, 10 * time.Millisecond} {
			f.publish("EUR/USD", 1)
			synctest.Wait() // within the write
			// A status may follow the quote.
			if took := await(limit); took < min(limit, write) || took > min(limit, 2*write)+time.Millisecond {
				t.Errorf("a write of %v was awaited for %v, at most %v", write, took, limit)
			}
			time.Sleep(2 * write)
		}
	})
}

func TestPingAndSilentPeers(t *testing.T) {
	bubble(t, hub.Config{Ping: 20 * time.Second}, func(t *testing.T, h *hub.Hub, _ *feed) {
		answers, silent := newPeer(), join(t, h, newPeer())
		answers.onWrite = func() error { answers.client.Alive(); return nil }
		join(t, h, answers)
		time.Sleep(59 * time.Second)
		if silent.pinged() < 2 || silent.pinged() > 3 || silent.closed() != 0 {
			t.Errorf("%d pings in a minute, closed with %d", silent.pinged(), silent.closed())
		}
		time.Sleep(2 * time.Second)
		if silent.closed() != 1001 {
			t.Errorf("after 61 s of silence: closed with %d, want 1001", silent.closed())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if answers.closed() != 0 || answers.pinged() < 175 || answers.pinged() > 184 {
			t.Errorf("the peer that answers: %d pings in an hour, closed with %d", answers.pinged(), answers.closed())
		}
		if _, _, n, _ := h.Disconnects(); n != 1 {
			t.Errorf("%d counted as silent", n)
		}
		answers.check(t)
		silent.check(t)
	})
}

// However rare heartbeats are, pings, stalls and silence are not late.
func TestSweepsWithRareHeartbeats(t *testing.T) {
	cfg := hub.Config{Heartbeat: time.Hour, Ping: 20 * time.Second, WriteTimeout: 10 * time.Second}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub, f *feed) {
		silent, stuck := join(t, h, newPeer()), newPeer()
		stuck.onWrite = func() error { stuck.client.Alive(); return nil }
		join(t, h, stuck)
		f.subscribe(stuck, 0, "EUR/USD")
		time.Sleep(22 * time.Second)
		if silent.pinged() != 1 || stuck.pinged() != 1 {
			t.Errorf("%d and %d pings in 22 s, want 1", silent.pinged(), stuck.pinged())
		}
		stuck.block()
		f.publish("EUR/USD", 1) // fills its connection
		time.Sleep(9 * time.Second)
		if stuck.closed() != 0 || silent.closed() != 0 {
			t.Errorf("closed with %d after 9 s without room, and with %d after 31 s of silence", stuck.closed(), silent.closed())
		}
		time.Sleep(2 * time.Second)
		if stuck.closed() != 1013 {
			t.Errorf("closed with %d after 11 s without room, want 1013", stuck.closed())
		}
		time.Sleep(29 * time.Second)
		if silent.closed() != 1001 {
			t.Errorf("closed with %d after 62 s of silence, want 1001", silent.closed())
		}
		stuck.check(t)
		silent.check(t)
	})
}

func TestStalledPeers(t *testing.T) {
	bubble(t, hub.Config{Heartbeat: time.Second, WriteTimeout: 10 * time.Second}, func(t *testing.T, h *hub.Hub, f *feed) {
		stuck, slow := newPeer(), join(t, h, newPeer())
		stuck.block()
		join(t, h, stuck)
		f.subscribe(slow, 0, "EUR/USD")
		slow.block()
		for range 9 {
			f.publish("EUR/USD", 1)
			time.Sleep(time.Second)
			slow.room()
		}
		if stuck.closed() != 0 {
			t.Errorf("closed with %d after 9 s", stuck.closed())
		}
		for range 50 {
			f.publish("EUR/USD", 1)
			time.Sleep(9 * time.Second)
			slow.room()
		}
		if stuck.closed() != 1013 || slow.closed() != 0 {
			t.Errorf("closed with %d and %d, want 1013 and not", stuck.closed(), slow.closed())
		}
		if _, n, _, _ := h.Disconnects(); n != 1 {
			t.Errorf("%d counted as stalled", n)
		}
		slow.check(t)
		stuck.check(t)
	})
}

func TestRelay(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, _ *feed) {
		slow, other, stranger := join(t, h, newPeer()), join(t, h, newPeer()), join(t, h, newPeer())
		for _, p := range []*peer{slow, other} {
			p.client.SubscribeChannels([]string{"news", "news", `a"b`}, ack("subscribe", channels("news", `a"b`), 0, nil))
		}
		synctest.Wait()
		slow.block()
		h.Relay("news", []byte(`0`))
		synctest.Wait()
		data := []byte(`[1]`)
		for i := range 100 {
			data[1] = byte('0' + i%10)
			h.Relay("news", data) // copies
			synctest.Wait()
		}
		h.Relay(`a"b`, []byte(`"last"`))
		synctest.Wait()
		slow.unblock()
		synctest.Wait()
		if got := len(other.messages("message")); got != 102 {
			t.Errorf("%d of 102 messages arrived", got)
		}
		got := slow.messages("message")
		if len(got) != 65 {
			t.Fatalf("%d messages at the slow client, want 1 and then 64", len(got))
		}
		for i, m := range got {
			want := map[int]int{1: 37}[i] // 101 came, 64 wait
			if m.Dropped != want {
				t.Errorf("message %d: dropped %d, want %d", i, m.Dropped, want)
			}
		}
		if first := string(got[1].Data); first != "[7]" {
			t.Errorf("the oldest that was kept is %s, want [7]", first)
		}
		if last := got[64]; last.Channel != `a"b` || string(last.Data) != `"last"` {
			t.Errorf("the last is %+v", last)
		}
		slow.forget()
		h.Relay("news", []byte(`null`))
		synctest.Wait()
		if got := slow.messages("message"); len(got) != 1 || got[0].Dropped != 0 {
			t.Errorf("then %+v, want one without dropped", got)
		}
		for _, p := range []*peer{slow, other, stranger} {
			p.check(t)
		}
	})
}

func TestDegradedOncePerChange(t *testing.T) {
	bubble(t, hub.Config{Shards: 2}, func(t *testing.T, h *hub.Hub, _ *feed) {
		early := join(t, h, newPeer())
		links := func(p *peer) (got []string) {
			for _, m := range p.messages("status") {
				if m.Symbol == "" {
					got = append(got, m.Status)
				}
			}
			return got
		}
		for _, lost := range []bool{false, true, true, false, false, true} {
			h.Degraded(lost)
			synctest.Wait()
		}
		late := join(t, h, newPeer())
		synctest.Wait()
		h.Degraded(true)
		h.Degraded(false)
		synctest.Wait()
		after := join(t, h, newPeer())
		synctest.Wait()
		if got, want := fmt.Sprint(links(early), links(late), links(after)), "[degraded ok degraded ok] [degraded ok] []"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := late.types(); got[0] != "welcome" {
			t.Errorf("a late client's first message is %s", got[0])
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	bubble(t, hub.Config{Shards: 2, Heartbeat: time.Second, Registerer: reg}, func(t *testing.T, h *hub.Hub, f *feed) {
		p, slow := join(t, h, newPeer()), join(t, h, newPeer())
		f.subscribe(p, 0, "*")
		f.subscribe(slow, 0, "*")
		synctest.Wait()
		slow.block()
		for range 10 {
			f.publish("EUR/USD", 1)
			synctest.Wait()
		}
		time.Sleep(time.Second) // counts are published once per sweep
		slow.unblock()
		p.client.Close(protocol.CloseKicked)
		p.client.Leave()
		time.Sleep(time.Second)
		for name, want := range map[string]string{
			"fx_hub_published_total": "10",
			"fx_hub_clients":         "1",
			"fx_hub_subscriptions":   "1",
			"fx_hub_delivered_total": "12",
			"fx_hub_conflated_total": "8",
			"fx_hub_joined_total":    "2",
			"fx_hub_panics_total":    "0",
		} {
			if err := testutil.GatherAndCompare(reg, strings.NewReader(expect(t, reg, name, want)), name); err != nil {
				t.Error(err)
			}
		}
	})
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// expect returns a metric in the text format, with its registered help.
func expect(t *testing.T, reg *prometheus.Registry, name, value string) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, f.GetHelp(), name, strings.ToLower(f.GetType().String()), name, value)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

// The bounds of a native histogram's buckets follow the Prometheus data model: bucket i of schema 2
// holds the values in (2^((i-1)/4), 2^(i/4)].
func TestDistributionBuckets(t *testing.T) {
	for v := 1e-6; v < 1e6; v *= 1.013 {
		i := float64(hub.Bucket(v))
		if low, high := math.Exp2((i-1)/4), math.Exp2(i/4); v > high*(1+1e-12) && i < 80 || v <= low*(1-1e-12) && i > -80 {
			t.Fatalf("%g is in bucket %g of (%g, %g]", v, i, low, high)
		}
	}
}

// Clients that accept compressed messages receive the same quotes as the others: single ones,
// joined ones, and messages too short to compress.
func TestCompressedClients(t *testing.T) {
	bubble(t, oneShard, func(t *testing.T, h *hub.Hub, f *feed) {
		var peers []*peer
		for i := range 4 {
			p := newPeer()
			p.packed = i%2 == 0
			peers = append(peers, join(t, h, p))
			f.subscribe(p, 0, "*")
		}
		for round := range 20 {
			for _, symbol := range []string{"EUR/USD", "GBP/USD", "USD/JPY"}[:1+round%3] {
				f.publish(symbol, 1)
			}
			synctest.Wait()
		}
		for _, p := range peers {
			f.settled(t, p)
			p.mu.Lock()
			if (p.inflated >= 10) != p.packed {
				t.Errorf("packed %v: %d compressed messages", p.packed, p.inflated)
			}
			p.mu.Unlock()
		}
	})
}
