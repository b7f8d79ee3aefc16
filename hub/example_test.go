package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fxcast/fxcast/hub"
	"github.com/fxcast/fxcast/protocol"
)

// lines frames each message as one line.
type lines struct{}

func (lines) AppendMessage(dst, payload []byte) []byte { return append(append(dst, payload...), '\n') }
func (lines) Ping() []byte                             { return []byte("\n") }

// terminal is a subscriber that takes every batch at once.
type terminal struct{ out chan string }

func (t terminal) Write(b hub.Batch) (ready bool, err error) {
	for line := range bytes.SplitSeq(bytes.TrimRight(b.Frames, "\n"), []byte("\n")) {
		t.out <- string(line)
	}
	return true, nil
}
func (terminal) Backlog() (int, time.Duration) { return 0, 0 }
func (terminal) Close(protocol.Close, []byte)  {}

// A hub fans quotes out to subscribers. It knows nothing about prices, Redis or WebSockets: it
// writes through a Framing to a Conn.
func Example() {
	h := hub.New(hub.Config{Framings: []hub.Framing{lines{}}, Shards: 1, Heartbeat: time.Hour})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })

	screen := terminal{out: make(chan string, 16)}
	client, err := h.Join(screen, hub.JoinOptions{Welcome: []byte(`{"type":"welcome"}`)})
	if err != nil {
		panic(err)
	}
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	publish := func(seq uint64, bid, ask string) {
		quote := protocol.Quote{Symbol: "EUR/USD", Bid: bid, Ask: ask, Time: protocol.At(noon), Seq: seq}
		h.Publish("EUR/USD", "k3f9", seq, quote.AppendBody(nil), noon.UnixMicro())
	}
	h.SetStatus("EUR/USD", protocol.StatusLive, "", noon)
	publish(1, "1.08501", "1.08513")
	client.Subscribe([]string{"EUR/USD"}, hub.Settings{}, []byte(`{"type":"ack"}`))
	for range 3 {
		fmt.Println(<-screen.out)
	}
	publish(2, "1.08502", "1.08514")
	fmt.Println(<-screen.out)
	client.Leave()
	stop()
	running.Wait()
	// Output:
	// {"type":"welcome"}
	// {"type":"ack"}
	// {"type":"snapshot","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-25T12:00:00.000000Z","seq":1,"epoch":"k3f9"}]}
	// {"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08502","ask":"1.08514","ts":"2026-11-25T12:00:00.000000Z","seq":2}]}
}
