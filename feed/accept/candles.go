package accept

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// candles makes the arguments of the publish script about candles. The script knows no time zones,
// so it gets the bounds of days with each call. A nil *candles keeps none. It is safe for concurrent
// use.
type candles struct {
	kept        string // argument of the kept intervals
	instruments *feed.Instruments

	mu     sync.Mutex // guards the following field
	bounds map[*feed.Hours]dayBounds
}

// dayBounds is the text of the days around a moment, which holds until the day ends.
type dayBounds struct {
	text       string
	start, end time.Time
}

func newCandles(kept feed.KeptCandles, t *feed.Instruments) *candles {
	if len(kept) == 0 {
		return nil
	}
	var b strings.Builder
	for _, k := range append(kept[:len(kept):len(kept)], feed.Kept{Interval: feed.Day}) {
		minutes := int64(k.Interval.Length() / time.Minute)
		if k.Interval == feed.Day {
			if strings.Contains(b.String(), " 1d:") {
				break
			}
			minutes = 0 // a day may have 23 or 25 hours
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(k.Interval.String())
		for _, n := range []int64{minutes, int64(k.For / k.Interval.Length()), k.For.Milliseconds()} {
			b.WriteString(":" + strconv.FormatInt(n, 10))
		}
	}
	return &candles{kept: b.String(), instruments: t, bounds: map[*feed.Hours]dayBounds{}}
}

// keptArgument returns the kept intervals in the form that the publish script reads.
func (c *candles) keptArgument() string {
	if c == nil {
		return ""
	}
	return c.kept
}

// days returns the days around now in the form that the publish script reads. Those of the first
// symbol are those of all symbols that are not named.
func (c *candles) days(symbols []symbolQuotes, now time.Time) string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.instruments.Hours(symbols[0].quotes[0].Symbol)
	days := c.around(first, now)
	for _, one := range symbols[1:] {
		s := one.quotes[0].Symbol
		if h := c.instruments.Hours(s); h != first {
			days += " " + string(s) + c.around(h, now)[1:]
		}
	}
	return days
}

// around returns, after a star, the bounds of the day before now, of that of now and of the day
// after it. The caller must hold mu.
func (c *candles) around(h *feed.Hours, now time.Time) string {
	d, ok := c.bounds[h]
	if !ok || now.Before(d.start) || !now.Before(d.end) {
		d.start, d.end = feed.Day.Around(h, now)
		before, _ := feed.Day.Around(h, d.start.Add(-1))
		_, after := feed.Day.Around(h, d.end)
		d.text = "*"
		for _, t := range []time.Time{before, d.start, d.end, after} {
			d.text += " " + strconv.FormatInt(t.Unix()/60, 10)
		}
		c.bounds[h] = d
	}
	return d.text
}
