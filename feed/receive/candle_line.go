package receive

import (
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// dayFigures is the place of the day figures among the lines of a symbol, beside the intervals.
const dayFigures feed.Interval = 0

const (
	maxHeldTicks     = 256 // of a symbol, while a candle of it is read
	maxClosedCandles = 100 // that are passed on together, after a loss
	maxCandlePause   = 4 * time.Second
	candleSettled    = 5 * time.Second // without a read, until reads need no pause
)

// symbolCandles holds what clients want of one symbol. Its methods are called with mu held.
type symbolCandles struct {
	symbol feed.Symbol
	hours  *feed.Hours

	mu    sync.Mutex // guards the fields below and the lines; nothing is called under it
	lines [feed.Day + 1]*candleLine
	held  []feed.Tick   // the ticks since the oldest read under way was asked for
	ahead time.Duration // of Redis's clock against this machine's, by the newest read
	at    int64         // of the newest tick

	forgotten bool // the Sink must drop what it has
}

// candleLine is the running candle of an interval, and what the Sink has not received yet.
type candleLine struct {
	interval feed.Interval // Day for the day figures
	day      bool

	left time.Time // since when nobody wants it; zero: somebody does

	sure     bool // candle has all ticks up to candle.Last
	begun    bool // candle was read at least once
	candle   feed.Candle
	end      time.Time
	minute   int64  // of the last tick, since 1970
	previous string // the last bid before the candle

	closed  []feed.Candle // not passed on yet, oldest first
	through time.Time     // start of the newest of those that were closed
	changed bool          // the running candle was not passed on yet
	passed  time.Time     // when the last one was
	shown   protocol.Day  // the last figures that were

	asking   bool // a read is under way
	short    bool // the last read did not reach back to through: a clock is wrong
	from     int  // the ticks held from here on came after it was asked for; < 0 = not all are held
	askedAt  time.Time
	askAfter time.Time
	pause    time.Duration
}

func newCandleLine(i feed.Interval) *candleLine {
	if i == dayFigures {
		return &candleLine{interval: feed.Day, day: true}
	}
	return &candleLine{interval: i}
}

// follow begins lines, and notes which nobody wants any more, by the places of those that are wanted.
func (f *symbolCandles) follow(wants [feed.Day + 1]bool, now time.Time) {
	for i, wanted := range wants {
		l := f.lines[i]
		switch {
		case wanted && l == nil:
			f.lines[i] = newCandleLine(feed.Interval(i))
		case wanted:
			if !l.left.IsZero() {
				l.comeBack(now.Add(f.ahead))
			}
			l.again()
		case l != nil && l.left.IsZero():
			l.left = now
		}
	}
}

// end ends the lines that nobody has wanted for a time, and reports whether none is left.
func (f *symbolCandles) end(now time.Time, linger time.Duration) (empty bool) {
	empty = true
	for i, l := range f.lines {
		if l != nil && !l.left.IsZero() && now.Sub(l.left) >= linger {
			f.lines[i] = nil
		}
		empty = empty && f.lines[i] == nil
	}
	return empty
}

// add folds a tick into each line, and holds it while any line is read: the read may not have it.
func (f *symbolCandles) add(t *feed.Tick) {
	asking := false
	f.at = t.At
	for _, l := range f.lines {
		if l != nil {
			l.add(t, f.hours)
			asking = asking || l.asking
		}
	}
	if !asking {
		return
	}
	if len(f.held) == maxHeldTicks {
		f.held = nil
		for _, l := range f.lines {
			if l != nil {
				l.from = -1
			}
		}
	}
	f.held = append(f.held, *t)
}

// add folds a tick that follows the last one. With any other tick the line is in doubt, and is read.
// A line in doubt ignores ticks: a read that begins later has them.
func (l *candleLine) add(t *feed.Tick, h *feed.Hours) {
	last := l.candle.Last
	if !l.sure || t.Epoch == last.Epoch && t.Seq <= last.Seq {
		return
	}
	at := time.UnixMicro(t.At)
	minute := t.At / time.Minute.Microseconds()
	switch {
	case t.Epoch != last.Epoch || t.Seq != last.Seq+1, minute < l.minute, !l.candle.Open && at.Before(l.end):
		l.sure = false
		return
	case at.Before(l.end):
		l.candle.Add(*t)
	default:
		if l.candle.Open {
			l.close(l.candle)
		}
		l.previous = l.candle.Bid.Close
		var start time.Time
		start, l.end = l.interval.Around(h, at)
		l.candle = feed.CandleOf(start, *t)
	}
	l.minute, l.changed = minute, true
}

// comeBack goes on with a line that nobody has wanted for a while, at a time by Redis's clock. What
// closed meanwhile is no concern of the clients that have come back: a line that is in doubt, or
// whose candle has ended, begins again with what is read.
func (l *candleLine) comeBack(now time.Time) {
	l.left, l.closed = time.Time{}, nil
	if !l.sure || l.candle.Open && !l.day && !now.Before(l.end) {
		l.sure, l.begun, l.short = false, false, false
	}
}

// again passes the running candle on again, to clients that have just subscribed.
func (l *candleLine) again() { l.changed, l.shown = l.candle.Ticks > 0, protocol.Day{} }

// close notes a closed candle for the Sink.
func (l *candleLine) close(c feed.Candle) {
	c.Open = false
	l.through = c.Start
	if l.day {
		return
	}
	if len(l.closed) == maxClosedCandles {
		l.closed = l.closed[1:]
	}
	l.closed = append(l.closed, c)
}

// forget begins all lines again. What was read of the old ones, and a read of them that is under way,
// is of no use.
func (f *symbolCandles) forget() {
	f.forgotten = true
	for i, l := range f.lines {
		if l != nil {
			f.lines[i] = newCandleLine(feed.Interval(i))
			f.lines[i].left = l.left
		}
	}
}

// candleOut is a candle or the figures of a day on the way to the Sink.
type candleOut struct {
	symbol   feed.Symbol
	drop     bool          // neither: what the Sink has is not known any more
	interval feed.Interval // dayFigures for the figures of the day
	candle   protocol.Candle
	day      protocol.Day
}

// due appends what the Sink must receive now.
func (f *symbolCandles) due(out []candleOut, now time.Time) []candleOut {
	if f.forgotten {
		f.forgotten = false
		out = append(out, candleOut{symbol: f.symbol, drop: true})
	}
	for _, l := range f.lines {
		if l == nil {
			continue
		}
		if !l.left.IsZero() {
			l.closed = nil
			continue
		}
		for _, c := range l.closed {
			out = append(out, candleOut{symbol: f.symbol, interval: l.interval, candle: c.Candle})
		}
		l.closed = nil
		every := candleEvery
		if l.day {
			every = dayEvery
		}
		if !l.changed || !l.sure || now.Sub(l.passed) < every {
			continue
		}
		l.changed = false
		figures := feed.DayOf(l.candle, l.previous)
		switch {
		case l.day && figures != l.shown:
			l.shown, l.passed = figures, now
			out = append(out, candleOut{symbol: f.symbol, interval: dayFigures, day: figures})
		case !l.day && l.candle.Open:
			l.passed = now
			out = append(out, candleOut{symbol: f.symbol, interval: l.interval, candle: l.candle.Candle})
		}
	}
	return out
}

func (o candleOut) deliver(sink CandleSink) {
	switch {
	case o.drop:
		sink.DropCandles(string(o.symbol))
	case o.interval == dayFigures:
		sink.Day(string(o.symbol), o.day)
	default:
		sink.Candle(string(o.symbol), o.interval.String(), o.candle)
	}
}
