package feed

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Interval is the length of a candle: one of Minute to Day. Each begins where a shorter one begins,
// so candles of a longer interval are folded from those of a shorter one. Only days need not begin
// at a multiple of an hour; with all hours that exist they begin at a whole minute.
type Interval uint8

// The intervals, the shortest first.
const (
	Minute Interval = iota + 1
	FiveMinutes
	QuarterHour
	Hour
	FourHours
	Day
)

// Intervals lists all intervals, the shortest first.
var Intervals = []Interval{Minute, FiveMinutes, QuarterHour, Hour, FourHours, Day}

var intervals = [...]struct {
	name   string
	length time.Duration // of a usual day; some have an hour more or less
}{
	Minute: {"1m", time.Minute}, FiveMinutes: {"5m", 5 * time.Minute}, QuarterHour: {"15m", 15 * time.Minute},
	Hour: {"1h", time.Hour}, FourHours: {"4h", 4 * time.Hour}, Day: {"1d", 24 * time.Hour},
}

// ParseInterval reads the name of an interval, such as 15m.
func ParseInterval(name string) (Interval, bool) {
	for _, i := range Intervals {
		if intervals[i].name == name {
			return i, true
		}
	}
	return 0, false
}

// String returns the name of the interval.
func (i Interval) String() string { return intervals[i].name }

// Length returns how long the interval is. A day may be an hour longer or shorter.
func (i Interval) Length() time.Duration { return intervals[i].length }

// Around returns when the interval begins that contains t, and when the next one begins, in UTC.
// Intervals shorter than a day begin at multiples of their length since 1970. Days begin at 17:00
// in New York; with hours always at 00:00 UTC, with an instrument's own hours at their open.
func (i Interval) Around(h *Hours, t time.Time) (start, end time.Time) {
	if i == Day && h.kind != hoursAlways {
		return h.dayAround(t)
	}
	length := int64(intervals[i].length / time.Second)
	seconds := t.Unix()
	begun := seconds % length
	if begun < 0 {
		begun += length
	}
	start = time.Unix(seconds-begun, 0).UTC()
	return start, start.Add(intervals[i].length)
}

// dayAround returns the bounds of the trading day around t. A time of day that the clocks skip or
// show twice is one instant, so each instant belongs to one day.
func (h *Hours) dayAround(t time.Time) (start, end time.Time) {
	year, month, day := t.In(h.zone).Date()
	start = h.dayStart(year, month, day)
	for start.After(t) {
		day--
		start = h.dayStart(year, month, day)
	}
	for end = h.dayStart(year, month, day+1); !end.After(t); end = h.dayStart(year, month, day+1) {
		start = end
		day++
	}
	return start, end
}

func (h *Hours) dayStart(year int, month time.Month, day int) time.Time {
	opens := int(h.open) % dayMinutes
	return time.Date(year, month, day, opens/60, opens%60, 0, 0, h.zone).UTC()
}

// Kept is an interval whose candles are stored, and for how long.
type Kept struct {
	Interval Interval
	For      time.Duration
}

// KeptCandles is the setting CANDLES: the intervals whose candles are stored, the shortest first.
// Candles of the others are folded from these. It begins with Minute, or is empty: then there are
// no candles.
type KeptCandles []Kept

// Bounds of what KeptCandles may keep of one interval. A stored candle takes about 30 bytes of Redis's
// memory.
const (
	maxKept      = 20 * 365 * 24 * time.Hour
	maxKeptCount = 50_000
)

const candlesOff = "off"

var errCandles = errors.New("want intervals with retentions such as 1m:72h,1h:60d,1d:5y, with 1m among them, or off")

// ParseKeptCandles reads CANDLES: a list of an interval and its retention, such as
// 1m:72h,1h:60d,1d:5y, or off. Retentions are whole numbers of m, h, d or y, which is 365 days.
func ParseKeptCandles(text string) (KeptCandles, error) {
	if strings.TrimSpace(text) == candlesOff {
		return nil, nil
	}
	var kept KeptCandles
	for entry := range strings.SplitSeq(text, ",") {
		name, retention, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok {
			return nil, errCandles
		}
		interval, ok := ParseInterval(name)
		if !ok {
			return nil, fmt.Errorf("unknown interval %s: want 1m, 5m, 15m, 1h, 4h or 1d", quoted(name))
		}
		if slices.ContainsFunc(kept, func(k Kept) bool { return k.Interval == interval }) {
			return nil, fmt.Errorf("%s is given twice", interval)
		}
		length, ok := parseRetention(retention)
		if !ok {
			return nil, fmt.Errorf("retention of %s: want a whole number of m, h, d or y, such as 72h, got %s", interval, quoted(retention))
		}
		most := min(maxKept, maxKeptCount*interval.Length())
		if length < interval.Length() || length > most {
			return nil, fmt.Errorf("retention of %s: want at least %s and at most %s", interval, retentionText(interval.Length()), retentionText(most))
		}
		kept = append(kept, Kept{interval, length})
	}
	slices.SortFunc(kept, func(a, b Kept) int { return int(a.Interval) - int(b.Interval) })
	if kept[0].Interval != Minute {
		return nil, errCandles
	}
	return kept, nil
}

var retentionUnits = []struct {
	name   string
	length time.Duration
}{{"y", 365 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}}

func parseRetention(text string) (time.Duration, bool) {
	for _, unit := range retentionUnits {
		if number, ok := strings.CutSuffix(text, unit.name); ok {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil || time.Duration(n) > maxKept/unit.length {
				return maxKept + 1, err == nil
			}
			return time.Duration(n) * unit.length, true
		}
	}
	return 0, false
}

func retentionText(d time.Duration) string {
	for _, unit := range retentionUnits {
		if d%unit.length == 0 && d > 0 {
			return strconv.FormatInt(int64(d/unit.length), 10) + unit.name
		}
	}
	return d.String()
}

// String returns the list in the form that ParseKeptCandles reads.
func (k KeptCandles) String() string {
	if len(k) == 0 {
		return candlesOff
	}
	entries := make([]string, len(k))
	for i, one := range k {
		entries[i] = one.Interval.String() + ":" + retentionText(one.For)
	}
	return strings.Join(entries, ",")
}

// Source returns the kept interval from which candles of i are folded: i itself, or the longest
// one whose candles lie within those of i. ok is false if nothing is kept.
func (k KeptCandles) Source(i Interval, h *Hours) (source Kept, ok bool) {
	for _, one := range slices.Backward(k) {
		if one.Interval == i || one.Interval < i && (i != Day || h.beginsWith(one.Interval)) {
			return one, true
		}
	}
	return Kept{}, false
}

// beginsWith reports whether each day begins where an interval shorter than a day begins, in summer
// and in winter. That does not hold for an open such as 09:15, or a zone such as Asia/Kolkata.
func (h *Hours) beginsWith(i Interval) bool {
	if h.kind == hoursAlways {
		return true
	}
	for month := time.January; month <= time.December; month++ {
		day := h.dayStart(2026, month, 1)
		if start, _ := i.Around(h, day); start != day {
			return false
		}
	}
	return true
}
