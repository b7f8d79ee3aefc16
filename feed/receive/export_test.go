package receive

import (
	"time"

	"github.com/fxcast/fxcast/feed"
)

// Open, Merge, Leave and Heal are what the Receiver does with a Board.
func (b *Board) Open(s feed.Symbol)  { b.open(s) }
func (b *Board) Leave(s feed.Symbol) { b.leave(s) }
func (b *Board) Halt(t feed.Tick)    { b.halt(t) }
func (b *Board) Heal()               { b.setRefills(true) }

// Merge merges a last value of an age; the zero value means that there is none.
func (b *Board) Merge(s feed.Symbol, age time.Duration, q feed.Tick) {
	if q.Seq == 0 {
		b.merge(s, nil)
		return
	}
	b.merge(s, &storedQuote{q, age, b.cfg.LastKnown - age})
}

// List sets the listed symbols.
func (b *Board) List(symbols ...feed.Symbol) { b.list(symbols, false) }

// Names returns the remembered symbols.
func (b *Board) Names() []feed.Symbol { return b.names() }

// StoredAge returns the age of a stored value and how long it is still known.
func StoredAge(quoteTTL, lastKnown, life, current time.Duration) (age, left time.Duration) {
	v := lastValues{quoteTTL: quoteTTL, lastKnown: lastKnown}.stored(feed.Tick{}, life, current)
	return v.age, v.life
}

// Gaps returns the symbols with a gap and the number before each gap.
func (b *Board) Gaps() map[feed.Symbol]uint64 {
	gaps := map[feed.Symbol]uint64{}
	for _, g := range b.openGaps() {
		gaps[g.symbol] = g.Seq
	}
	return gaps
}

// Refill closes the open gap of s.
func (b *Board) Refill(s feed.Symbol, ticks []feed.Tick, complete, giveUp bool) {
	for _, g := range b.openGaps() {
		if g.symbol == s {
			b.refill(g.position, historyAnswer{ticks: ticks, complete: complete}, giveUp)
		}
	}
}

// Position returns the last number that was passed on.
func (b *Board) Position(s feed.Symbol) (epoch string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[s].order.last.Epoch, b.entries[s].order.last.Seq
}

// Held returns how many quotes wait for missing ones.
func (b *Board) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

const (
	MaxHeld      = maxHeld
	MaxHeldTotal = maxHeldTotal
)

// Receive handles one message of a quote channel.
func (r *Receiver) Receive(channel, payload string) { r.receive(channel, payload) }

// Add folds a tick into the running candles, as the Board does.
func (c *CandleStream) Add(t feed.Tick) { c.add(&t) }

// Asked reports whether reads of running candles wait until others have ended.
func (c *CandleStream) Asked() bool { return len(c.asks) > 0 }

// Follows reports whether the candles of an interval are followed.
func (c *CandleStream) Follows(s feed.Symbol, i feed.Interval) bool { return c.line(s, i) != nil }

// Wanted reports whether they are followed because somebody wants them.
func (c *CandleStream) Wanted(s feed.Symbol, i feed.Interval) bool {
	l := c.line(s, i)
	return l != nil && l.left.IsZero()
}

// Sure reports whether the candle of an interval has been read, or that there is none.
func (c *CandleStream) Sure(s feed.Symbol, i feed.Interval) bool {
	l := c.line(s, i)
	return l != nil && l.sure
}

// line returns a copy of the state of a running candle, or nil.
func (c *CandleStream) line(s feed.Symbol, i feed.Interval) *candleLine {
	symbols := c.symbols.Load()
	if symbols == nil || (*symbols)[s] == nil {
		return nil
	}
	f := (*symbols)[s]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lines[i] == nil {
		return nil
	}
	l := *f.lines[i]
	return &l
}

// SetLinger sets how long candles are kept that nobody wants any more.
func (c *CandleStream) SetLinger(d time.Duration) { c.linger = d }
