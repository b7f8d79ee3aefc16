package feed

import (
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Candle is a candle with its place in the sequence of the symbol. The methods fold: the result has
// the digits of the ticks, compares prices exactly, and keeps the earlier one of equal prices.
//
// Folding candles in their order gives the same as folding their ticks, in whatever parts they are
// folded.
type Candle struct {
	protocol.Candle
	First, Last protocol.Position // of its ticks; zero if not known, as of most stored candles
}

// CandleOf returns the open candle, which began at start, with t as its first tick. It is complete:
// the caller knows whether ticks before t are missing.
func CandleOf(start time.Time, t Tick) Candle {
	at := protocol.Position{Epoch: t.Epoch, Seq: t.Seq}
	return Candle{
		protocol.Candle{Start: start, Bid: priceOnce(t.Bid), Ask: priceOnce(t.Ask), Ticks: 1, Complete: true, Open: true},
		at, at,
	}
}

func priceOnce(p string) protocol.OHLC { return protocol.OHLC{Open: p, High: p, Low: p, Close: p} }

// Fold adds the candle that follows c, of the same interval or of a part of it. The result begins as c
// does. It is complete if both are, and if no tick between them is missing as far as their
// positions show.
func (c *Candle) Fold(next Candle) {
	foldPrices(&c.Bid, next.Bid)
	foldPrices(&c.Ask, next.Ask)
	c.Ticks += next.Ticks
	c.Complete = c.Complete && next.Complete && follows(c.Last, next.First)
	c.Open = next.Open
	c.Last = next.Last
}

// Add folds a tick of the interval.
func (c *Candle) Add(t Tick) { c.Fold(CandleOf(c.Start, t)) }

func foldPrices(p *protocol.OHLC, next protocol.OHLC) {
	if priceLess(p.High, next.High) {
		p.High = next.High
	}
	if priceLess(next.Low, p.Low) {
		p.Low = next.Low
	}
	p.Close = next.Close
}

// follows reports whether no tick is missing between two positions as far as both are known.
func follows(last, first protocol.Position) bool {
	return last.Seq == 0 || first.Seq == 0 || last.Epoch == first.Epoch && last.Seq+1 == first.Seq
}

// FoldCandles folds candles, which must be in their order, into those of interval i of a symbol
// with hours h. The last one is open if its interval has not ended at now. The first one is whole only
// if all its parts are among candles.
func FoldCandles(candles []Candle, i Interval, h *Hours, now time.Time) []Candle {
	folded := make([]Candle, 0, len(candles))
	var end time.Time
	for _, c := range candles {
		if n := len(folded); n > 0 && c.Start.Before(end) {
			folded[n-1].Fold(c)
			continue
		}
		c.Start, end = i.Around(h, c.Start)
		folded = append(folded, c)
	}
	if n := len(folded); n > 0 {
		folded[n-1].Open = end.After(now)
	}
	return folded
}

// DayOf returns the figures of the bid on the day of a candle. previousClose is the last bid of the
// trading day before, "" if it is not known.
func DayOf(today Candle, previousClose string) protocol.Day {
	return protocol.Day{
		Since: today.Start, Open: today.Bid.Open, High: today.Bid.High, Low: today.Bid.Low, PreviousClose: previousClose,
	}
}
