package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fxcast/fxcast/client"
)

// A program that must not miss a quote subscribes with All. Gaps are errors of the iterator, so that
// they cannot be overlooked; the subscription goes on after them.
func Example() {
	server, token, done := exampleServer("gap-planted")
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	fx, err := client.Dial(ctx, client.Options{URL: server, Token: token})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fx.Close()
	sub, err := fx.Subscribe([]string{"EUR/USD"}, client.All)
	if err != nil {
		fmt.Println(err)
		return
	}
	for q, err := range sub.Quotes(ctx) {
		if gap, ok := errors.AsType[*client.GapError](err); ok {
			fmt.Println("missing:", gap.Missing)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(q.Symbol, q.Bid, q.Ask, q.Seq)
		if q.Seq == 5 {
			break
		}
	}
	// Output:
	// EUR/USD 1.00001 1.00011 1
	// EUR/USD 1.00002 1.00012 2
	// missing: 2
	// EUR/USD 1.00005 1.00015 5
}

// A program that shows prices subscribes with Latest or MaxRate, and shows the state and the
// statuses too: a price is only as good as they are.
func ExampleClient_Subscribe() {
	server, token, done := exampleServer("first-connect")
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	fx, err := client.Dial(ctx, client.Options{URL: server, Token: token,
		OnState:  func(s client.State) { fmt.Println(s) },
		OnStatus: func(s client.Status) { fmt.Println(s.Symbol, s.Status) }, // such as stale
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, err := fx.Subscribe([]string{"EUR/USD"}, client.Latest)
	if err != nil {
		fmt.Println(err)
		return
	}
	for q, err := range sub.Quotes(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if q.Seq == 1846 {
			fmt.Println(q.Symbol, q.Bid, q.Ask)
			break
		}
	}
	fx.Close()
	// Output:
	// connecting
	// live
	// EUR/USD 1.08500 1.085001
	// closed
}

// A chart shows the running candle and keeps those that have closed. Earlier ones come from the
// server's candles endpoint.
func ExampleClient_Candles() {
	server, token, done := exampleServer("candles")
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	fx, err := client.Dial(ctx, client.Options{URL: server, Token: token})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fx.Close()
	if _, err := fx.Subscribe([]string{"EUR/USD"}, client.Latest.WithDay()); err != nil { // the scenario asks for it
		fmt.Println(err)
		return
	}
	sub, err := fx.Candles([]string{"EUR/USD"}, "1m")
	if err != nil {
		fmt.Println(err)
		return
	}
	for c, err := range sub.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if !c.Data.Open {
			fmt.Println(c.Symbol, c.Data.Start.Format("15:04"), c.Data.Bid.Close, c.Data.Ticks)
			break
		}
	}
	// Output:
	// EUR/USD 10:15 1.1 57
}
