package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a minimal image has no zone files

	"github.com/fxcast/fxcast/protocol"
)

// Status is the state of a symbol as clients see it.
type Status string

// The states of a symbol.
const (
	StatusLive    Status = protocol.StatusLive    // quotes arrive
	StatusStale   Status = protocol.StatusStale   // none has arrived for a while though the market is open
	StatusClosed  Status = protocol.StatusClosed  // none has arrived for a while and the market is closed
	StatusUnknown Status = protocol.StatusUnknown // no last value
)

// StatusAt returns the state at now of a symbol whose last accepted quote arrived at lastArrival,
// both by the same clock. staleAfter must be positive; from that age on a symbol is no longer live.
// hasValue reports whether its last value still exists. A lastArrival after now, as after a clock
// was set back, counts as just arrived.
func (t *Instruments) StatusAt(s Symbol, lastArrival, now time.Time, staleAfter time.Duration, hasValue bool) Status {
	switch {
	case !hasValue:
		return StatusUnknown
	case now.Sub(lastArrival) < staleAfter:
		return StatusLive
	case t.Hours(s).Open(now):
		return StatusStale
	}
	return StatusClosed
}

// Hours are the hours in which a market trades: always, or a part of each week except holidays.
// Instruments.Hours returns them. They are safe for concurrent use. The daily pause of metals is
// not modeled: in it a symbol without quotes is stale.
type Hours struct {
	kind        string // hoursFX, hoursAlways, or "" for an instrument's own
	open, close weekMinute
	zone        *time.Location
	holidays    Dates
}

// The kinds of hours that have a name.
const (
	hoursFX     = "fx"
	hoursAlways = "always"
)

// weekMinute counts the minutes since Sunday 00:00 by the market's wall clock.
type weekMinute int

const (
	dayMinutes            = 24 * 60
	spotOpen   weekMinute = 17 * 60              // Sunday 17:00
	spotClose  weekMinute = 5*dayMinutes + 17*60 // Friday 17:00
	marketZone            = "America/New_York"
)

// spotHours returns the hours of the spot market, fx: from Sunday 17:00 to Friday 17:00 New York
// time, with daylight saving time, except the holidays.
func spotHours(holidays Dates) *Hours {
	zone, err := time.LoadLocation(marketZone)
	if err != nil { // the embedded zones, which are tried last, have it
		panic("feed: this binary has no time zone data: " + err.Error())
	}
	return &Hours{hoursFX, spotOpen, spotClose, zone, holidays}
}

// Open reports whether the market trades at t.
func (h *Hours) Open(t time.Time) bool {
	if h.kind == hoursAlways {
		return true
	}
	local := t.In(h.zone)
	minute := weekMinute(int(local.Weekday())*dayMinutes + local.Hour()*60 + local.Minute())
	if h.open < h.close {
		if minute < h.open || minute >= h.close {
			return false
		}
	} else if h.close <= minute && minute < h.open { // the hours span the end of the week
		return false
	}
	if len(h.holidays) == 0 {
		return true
	}
	_, holiday := slices.BinarySearch(h.holidays, h.tradingDay(local))
	return !holiday
}

// tradingDay returns the date of the trading day of local. The day begins at the time of day at
// which the market opens. If that is noon or later, most of the trading day falls on the next date,
// which names it: 25 December of fx lasts from 24 December 17:00 to 25 December 17:00.
func (h *Hours) tradingDay(local time.Time) Date {
	opens := int(h.open) % dayMinutes
	year, month, day := local.Date()
	if local.Hour()*60+local.Minute() < opens {
		day--
	}
	if opens >= dayMinutes/2 {
		day++
	}
	return dateOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}

// MarshalJSON returns the hours in the form of INSTRUMENTS.
func (h *Hours) MarshalJSON() ([]byte, error) {
	if h.kind != "" {
		return json.Marshal(h.kind)
	}
	own := ownHours{h.open.String(), h.close.String(), h.zone.String(), nil}
	for _, d := range h.holidays {
		own.Holidays = append(own.Holidays, d.String())
	}
	return json.Marshal(own)
}

type ownHours struct {
	Open     string   `json:"open"`
	Close    string   `json:"close"`
	Zone     string   `json:"zone"`
	Holidays []string `json:"holidays,omitempty"`
}

var errHours = errors.New(`hours: want "fx", "always", or {"open":"Sun 17:00","close":"Fri 17:00","zone":"America/New_York","holidays":["2026-12-25"]}`)

// parseHours reads the hours of an instrument; nil means the hours fx.
func parseHours(raw json.RawMessage) (*Hours, error) {
	if name, ok := stringValue(raw); ok {
		switch name {
		case hoursFX:
			return nil, nil
		case hoursAlways:
			return &Hours{kind: hoursAlways}, nil
		}
		return nil, errHours
	}
	var own ownHours
	texts := map[string]*string{"open": &own.Open, "close": &own.Close, "zone": &own.Zone}
	err := eachMember(raw, func(name string, value json.RawMessage) error {
		if name == "holidays" {
			list, err := stringList(value)
			own.Holidays = list
			return err
		}
		text, known := texts[name]
		if !known {
			return fmt.Errorf("unknown key %s, want open, close, zone and holidays", quoted(name))
		}
		var ok bool
		if *text, ok = stringValue(value); !ok {
			return fmt.Errorf("%s: want a string", name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("hours: %w", err)
	}
	return own.hours()
}

func (own ownHours) hours() (*Hours, error) {
	h := &Hours{}
	var ok bool
	if h.open, ok = parseWeekMinute(own.Open); !ok {
		return nil, fmt.Errorf(`hours: open: want a day and time such as "Sun 17:00", got %s`, quoted(own.Open))
	}
	if h.close, ok = parseWeekMinute(own.Close); !ok {
		return nil, fmt.Errorf(`hours: close: want a day and time such as "Fri 17:00", got %s`, quoted(own.Close))
	}
	if h.open == h.close {
		return nil, errors.New(`hours: open and close are the same time; want "always" for a market that does not close`)
	}
	var err error
	if h.zone, err = time.LoadLocation(own.Zone); err != nil || own.Zone == "" || own.Zone == "Local" {
		return nil, fmt.Errorf("hours: zone: want the name of a time zone such as America/New_York or UTC, got %s", quoted(own.Zone))
	}
	if h.holidays, err = ParseDates(own.Holidays); err != nil {
		return nil, fmt.Errorf("hours: holidays: %w", err)
	}
	return h, nil
}

// parseWeekMinute reads a day and a time such as Sun 17:00.
func parseWeekMinute(text string) (weekMinute, bool) {
	name, clock, ok := strings.Cut(text, " ")
	if !ok || len(clock) != 5 || clock[2] != ':' || scanDigits(clock, 0) != 2 || scanDigits(clock, 3) != 5 {
		return 0, false
	}
	hour, minute := number(clock[:2]), number(clock[3:])
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(name, day.String()[:3]) {
			return weekMinute(int(day)*dayMinutes + hour*60 + minute), hour < 24 && minute < 60
		}
	}
	return 0, false
}

// String returns m in the form that parseWeekMinute reads.
func (m weekMinute) String() string {
	day, minute := time.Weekday(m/dayMinutes), m%dayMinutes
	return fmt.Sprintf("%s %02d:%02d", day.String()[:3], minute/60, minute%60)
}

// Date is a calendar day as the number year·10,000 + month·100 + day.
type Date int32

func dateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date(year*10_000 + int(month)*100 + day)
}

// Dates is a sorted list of days without duplicates.
type Dates []Date

// ParseDates reads dates such as 2026-12-25. It ignores blanks around entries and empty entries.
func ParseDates(list []string) (Dates, error) {
	var dates Dates
	for _, text := range list {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return nil, fmt.Errorf("want dates such as 2026-12-25, got %s", quoted(text))
		}
		dates = append(dates, dateOf(t))
	}
	slices.Sort(dates)
	return slices.Compact(dates), nil
}

// String returns the date as ParseDates reads it.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d/10_000, d/100%100, d%100) }
