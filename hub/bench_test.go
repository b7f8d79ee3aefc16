package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// sink counts writes and keeps nothing.
type sink struct{ writes *atomic.Int64 }

func (s sink) Write(hub.Batch) (bool, error) { s.writes.Add(1); return true, nil }
func (sink) Backlog() (int, time.Duration)   { return 0, 0 }
func (sink) Close(protocol.Close, []byte)    {}

// crowd returns a hub in real time with n clients that subscribe to the given patterns.
func crowd(tb testing.TB, n int, patterns ...string) (h *hub.Hub, writes *atomic.Int64) {
	tb.Helper()
	return crowdOf(tb, lengths{}, n, patterns...)
}

func crowdOf(tb testing.TB, framing hub.Framing, n int, patterns ...string) (h *hub.Hub, writes *atomic.Int64) {
	tb.Helper()
	h = hub.New(hub.Config{Framings: []hub.Framing{lengths{}, framing}, Heartbeat: never, Ping: never, WriteTimeout: never})
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = h.Run(ctx) })
	tb.Cleanup(func() { cancel(); run.Wait() })
	writes = new(atomic.Int64)
	for range n {
		c, err := h.Join(sink{writes}, hub.JoinOptions{Framing: 1})
		if err != nil {
			tb.Fatal(err)
		}
		if len(patterns) > 0 {
			c.Subscribe(patterns, hub.Settings{}, nil)
		}
	}
	return h, writes
}

// publisher returns a function that publishes one tick and waits until every client has been
// written to.
func publisher(h *hub.Hub, writes *atomic.Int64, n int) func() {
	h.SetStatus("EUR/USD", "live", "", time.Time{})
	quote := protocol.Quote{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: protocol.At(time.Unix(1_700_000_000, 0))}
	var body []byte
	done := int64(-1)
	return func() {
		if done < 0 {
			done = writes.Load()
		}
		quote.Seq++
		body = quote.AppendBody(body[:0])
		h.Publish("EUR/USD", "e", quote.Seq, body, 0)
		for done += int64(n); writes.Load() < done; {
			runtime.Gosched()
		}
	}
}

// Publish to clients that are up to date allocates for the tick, not for the clients.
func TestPublishAllocations(t *testing.T) {
	const clients = 1000
	for _, c := range []struct {
		framing hub.Framing
		tick    float64 // allocations for one tick
	}{{lengths{}, 8}, {binaryLengths{}, 9}} {
		h, writes := crowdOf(t, c.framing, clients, "EUR/USD")
		publish := publisher(h, writes, clients)
		for range 50 {
			publish()
		}
		// A sweep may run in between.
		if n := testing.AllocsPerRun(200, publish); n > c.tick+3 {
			t.Errorf("%T: %g allocations to publish to %d clients, want %g and a few", c.framing, n, clients, c.tick)
		}
	}
}

// A batch that many clients share, and one that each client gets on its own, allocate nothing for a
// client either.
func TestBurstAllocations(t *testing.T) {
	const clients = 300
	for _, c := range []struct {
		framing hub.Framing
		tick    float64 // allocations for one tick
	}{{lengths{}, 3}, {binaryLengths{}, 5}} {
		h, writes := crowdOf(t, c.framing, 0)
		topics := names(10)
		for i := range clients {
			c, err := h.Join(sink{writes}, hub.JoinOptions{Framing: 1})
			if err != nil {
				t.Fatal(err)
			}
			c.Subscribe(topics[i%7:], hub.Settings{}, nil) // 7 different sets
		}
		quote := protocol.Quote{Bid: "1.08501", Ask: "1.08513", Time: protocol.At(time.Unix(1_700_000_000, 0))}
		var body []byte
		for _, topic := range topics {
			h.SetStatus(topic, "live", "", time.Time{})
		}
		publish := func() {
			quote.Seq++
			before := writes.Load()
			for _, topic := range topics {
				quote.Symbol = topic
				body = quote.AppendBody(body[:0])
				h.Publish(topic, "e", quote.Seq, body, 0)
			}
			for writes.Load() < before+clients {
				runtime.Gosched()
			}
		}
		for range 50 {
			publish()
		}
		if n := testing.AllocsPerRun(100, publish); n > 10*c.tick+10 {
			t.Errorf("%T: %g allocations for a burst of 10 to %d clients", c.framing, n, clients)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, framing := range []hub.Framing{lengths{}, binaryLengths{}} {
		for _, n := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%T/clients=%d", framing, n), func(b *testing.B) {
				h, writes := crowdOf(b, framing, n, "EUR/USD")
				publish := publisher(h, writes, n)
				publish()
				b.ReportAllocs()
				for b.Loop() {
					publish()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
			})
		}
	}
}

// A topic without subscribers, next to 10,000 clients of another topic.
func BenchmarkPublishUnwanted(b *testing.B) {
	h, _ := crowd(b, 10_000, "EUR/USD")
	quote := body("GBP/USD", 1_000_000)
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		h.Publish("GBP/USD", "e", seq, quote, 0)
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			h, writes := crowd(b, others, "*")
			b.ReportAllocs()
			for b.Loop() {
				c, err := h.Join(sink{writes}, hub.JoinOptions{Welcome: []byte(`{"type":"welcome"}`)})
				if err != nil {
					b.Fatal(err)
				}
				c.Subscribe([]string{"*"}, hub.Settings{}, nil)
				c.Leave()
			}
		})
	}
}

func BenchmarkSubscribeWildcard(b *testing.B) {
	h, writes := crowd(b, 0)
	for _, topic := range names(1000) {
		h.Publish(topic, "e", 1, body(topic, 1), 0)
	}
	c, err := h.Join(sink{writes}, hub.JoinOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Leave() })
	all := []string{"*"}
	b.ReportAllocs()
	for b.Loop() {
		c.Subscribe(all, hub.Settings{}, nil)
		c.Unsubscribe(all, nil)
	}
}

// There is a mark for each client and topic, and nothing else.
func TestMarkSize(t *testing.T) {
	if hub.MarkSize > 24 {
		t.Errorf("a mark has %d bytes, want at most 24", hub.MarkSize)
	}
}

// A burst of ten symbols to clients that want all ten, per delivered quote.
func BenchmarkBurst(b *testing.B) {
	const clients, burst = 1000, 10
	h, _ := crowd(b, 0)
	var delivered atomic.Int64
	names := make([]string, burst)
	bodies := make([][]byte, burst)
	for i := range names {
		names[i] = fmt.Sprintf("EUR/X%02d", i)
		bodies[i] = body(names[i], 1_000_000)
		h.SetStatus(names[i], "live", "", time.Time{})
	}
	writes := new(atomic.Int64)
	for range clients {
		c, err := h.Join(sink{writes}, hub.JoinOptions{})
		if err != nil {
			b.Fatal(err)
		}
		c.Subscribe(names, hub.Settings{}, nil)
	}
	seq := uint64(0)
	for b.Loop() {
		seq++
		before := writes.Load()
		for i, name := range names {
			h.Publish(name, "e", seq, bodies[i], 0)
		}
		for writes.Load() < before+clients {
			runtime.Gosched()
		}
		delivered.Add(clients * burst)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(delivered.Load()), "ns/quote")
}
