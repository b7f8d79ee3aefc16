package receive_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/feed/receive"
)

// handler is a Sink that passes quotes to a function and ignores all other events.
type handler func(symbol string, seq uint64, quote []byte)

func (h handler) Publish(symbol, _ string, seq uint64, body []byte, _ int64) { h(symbol, seq, body) }
func (handler) SetStatus(_, _, _ string, _ time.Time)                        {}
func (handler) Drop(string)                                                  {}
func (handler) Follow(string, bool)                                          {}
func (handler) List(string, bool)                                            {}
func (handler) Relay(string, []byte)                                         {}
func (handler) Degraded(bool)                                                {}

// A Publisher publishes quotes: each receives a number or the reason why it was rejected. A
// Receiver passes accepted quotes to a handler, in order and without a gap.
func Example() {
	server, err := miniredis.Run() // a Redis of the example's own
	if err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true})
	defer rdb.Close()
	keys := feed.Keys{Prefix: "fx:"}

	got := make(chan string, 8)
	board := receive.NewBoard(receive.BoardConfig{Sink: handler(func(symbol string, seq uint64, quote []byte) {
		tick, err := feed.DecodeTick(append(append([]byte(nil), quote...), `,"epoch":"e","at":1}`...))
		got <- fmt.Sprintln(symbol, seq, tick.Bid, tick.Ask, err)
	})})
	receiver := receive.NewReceiver(receive.ReceiverConfig{Redis: rdb, Keys: keys, Node: "example", Board: board, Sink: handler(nil)})
	publisher := accept.NewPublisher(accept.PublisherConfig{Redis: rdb, Keys: keys, Gate: accept.DefaultGate})

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{board.Run, receiver.Run, publisher.Run} {
		running.Go(func() { _ = run(ctx) })
	}
	outcomes, err := publisher.Publish(ctx, []feed.Quote{
		{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513"},
		{Symbol: "EUR/USD", Bid: "10.8502", Ask: "10.8514"}, // a misplaced point
		{Symbol: "EUR/USD", Bid: "1.08502", Ask: "1.08514"},
	})
	for _, o := range outcomes {
		if o.Rejection != nil {
			fmt.Println("rejected:", o.Rejection.Reason)
			continue
		}
		fmt.Println("accepted as number", o.Seq)
	}
	fmt.Println(err)
	last := ""
	for last != "EUR/USD 2 1.08502 1.08514 <nil>\n" { // the receiver may begin with the last value
		last = <-got
	}
	fmt.Print(last)
	stop()
	running.Wait()
	// Output:
	// accepted as number 1
	// rejected: outlier
	// accepted as number 2
	// <nil>
	// EUR/USD 2 1.08502 1.08514 <nil>
}
