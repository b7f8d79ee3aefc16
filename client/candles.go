package client

import (
	"context"
	"iter"

	"github.com/fxcast/fxcast/protocol"
)

type (
	// A Candle is the running candle of a symbol and interval, whose Data is Open, or one that has
	// closed. Prices are decimal text with the producer's digits.
	Candle = protocol.CandleUpdate

	// A Day has the figures of the bid in a symbol's trading day.
	Day = protocol.DayUpdate
)

// A CandleSubscription receives the candles of some symbols. Its methods are safe for concurrent use,
// but each candle reaches one caller only.
type CandleSubscription struct{ sub *Subscription }

// Candles subscribes to the candles of symbols and wildcards, beside their quotes. interval is 1m,
// 5m, 15m, 1h, 4h or 1d. It returns at once, as Subscribe does.
//
// A newer running candle replaces one that the subscriber has not read. Up to 8,192 closed candles
// wait for the subscriber; then the client stops reading. Candles that close while the client is not
// connected are not delivered: the server's candles endpoint has them.
func (c *Client) Candles(symbols []string, interval string) (*CandleSubscription, error) {
	s, err := c.newSubscription(symbols, interval, Mode{queue: All.queue})
	if err != nil {
		return nil, err
	}
	return &CandleSubscription{s}, nil
}

// Close unsubscribes. Nothing is delivered afterwards, not even what was waiting.
func (s *CandleSubscription) Close() { s.sub.Close() }

// Next returns the next candle. It waits for it until ctx ends. After a *CommandError the
// subscription goes on; any other error is final: ErrClosed, or a *RefusedError.
func (s *CandleSubscription) Next(ctx context.Context) (Candle, error) {
	i, err := s.sub.queue.pop(ctx)
	return i.candle, err
}

// All returns an iterator over the results of Next. It goes on after a *CommandError, and ends with
// any other error.
func (s *CandleSubscription) All(ctx context.Context) iter.Seq2[Candle, error] {
	return results(ctx, s.Next)
}

// candle delivers a candle. It waits while its subscriber has not read enough of its queue.
func (x *connection) candle(m Candle) {
	if s := x.subscriber(m.Symbol, m.Interval); s != nil {
		s.queue.pushCandle(x.client.ctx, m)
	}
}

func (c *Client) reportDay(d Day) {
	if c.opts.OnDay != nil {
		c.opts.OnDay(d)
	}
}
