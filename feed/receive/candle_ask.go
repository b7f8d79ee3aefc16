package receive

import (
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// candleAsk is a line to read.
type candleAsk struct {
	of    *symbolCandles
	line  *candleLine
	query candleQuery
}

// asks appends the lines that must be read now: those in doubt, and those whose candle has ended a
// while ago.
func (f *symbolCandles) asks(asks []candleAsk, now time.Time) []candleAsk {
	for _, l := range f.lines {
		if l == nil || l.asking || !l.left.IsZero() || now.Before(l.askAfter) {
			continue
		}
		ended := l.candle.Open && !l.day && now.Add(f.ahead).Sub(l.end) >= candleWait
		if l.sure && !ended {
			continue
		}
		l.asking, l.from = true, len(f.held)
		if now.Sub(l.askedAt) < candleSettled {
			l.pause = min(max(2*l.pause, candleBeat), maxCandlePause)
		} else {
			l.pause = 0
		}
		l.askedAt, l.askAfter = now, now.Add(l.pause)
		asks = append(asks, candleAsk{f, l, l.query(f, now)})
	}
	return asks
}

// query asks for the running candle and those that may have closed since the line was sure.
func (l *candleLine) query(f *symbolCandles, now time.Time) candleQuery {
	if l.day {
		return dayQuery(f.symbol)
	}
	q := candleQuery{symbol: f.symbol, interval: l.interval, limit: 1}
	if l.begun {
		since := max(now.Add(f.ahead).Sub(l.through), time.UnixMicro(f.at).Sub(l.through), 0)
		q.limit = int(min(since/l.interval.Length()+2, maxClosedCandles))
	}
	if l.short {
		q.limit = maxClosedCandles
	}
	return q
}

// take takes over what was read of a line, at most limit candles in a read that began at sent, and
// adds the ticks that came meanwhile.
func (f *symbolCandles) take(l *candleLine, a candleAnswer, limit int, sent time.Time) {
	l.asking = false
	if a.err == nil && slices.Contains(f.lines[:], l) { // else nobody wants the line any more
		f.ahead = a.now.Sub(sent)
		if l.takes(a, limit) {
			l.replace(a, f.hours)
			if l.sure = l.from >= 0; l.sure {
				for i := range f.held[l.from:] {
					l.add(&f.held[l.from+i], f.hours)
				}
			}
		}
	}
	for _, other := range f.lines {
		if other != nil && other.asking {
			return
		}
	}
	f.held = nil
}

// takes reports whether the answer may replace the line. One that is older is of no use, even in
// doubt: a server that lost quotes begins another epoch with its next one. Nor is one that may lack
// candles that have closed.
func (l *candleLine) takes(a candleAnswer, limit int) bool {
	n, own := len(a.candles), l.candle.Last
	if n == 0 {
		return true
	}
	if !l.day && l.begun && n == limit && limit < maxClosedCandles && a.candles[0].Start.After(l.through) {
		l.short, l.sure = true, false
		return false
	}
	l.short = false
	return a.candles[n-1].Last.Epoch != own.Epoch || a.candles[n-1].Last.Seq >= own.Seq
}

// replace makes the newest candle of an answer the running one, and closes those before it.
func (l *candleLine) replace(a candleAnswer, h *feed.Hours) {
	before := *l
	l.sure, l.begun = true, true
	l.candle, l.end, l.minute, l.previous = feed.Candle{}, time.Time{}, a.minute.Unix()/60, a.previousClose
	running, _ := l.interval.Around(h, a.now)
	if n := len(a.candles); n > 0 {
		l.candle = a.candles[n-1]
		running, l.end = l.interval.Around(h, l.candle.Start)
	}
	l.changed = l.candle.Ticks > 0
	switch {
	case !before.begun && l.candle.Ticks > 0 && !l.candle.Open:
		l.through = running // closed before anybody wanted it
	case !before.begun, running.Before(l.through): // the latter after a clock went back
		l.through = running.Add(-1)
	}
	for _, c := range a.candles {
		if !c.Open && c.Start.After(l.through) {
			l.close(c)
		}
	}
}
