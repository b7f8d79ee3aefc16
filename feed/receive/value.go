package receive

import (
	"time"

	"github.com/fxcast/fxcast/feed"
)

// sourceEvery is the shortest time between two reported changes of source. Without it two producers
// that take turns would double the messages to clients.
const sourceEvery = time.Second

// value is the last tick and the status of a symbol, as clients see them. Its methods append an
// event to out for each change that the Sink must receive.
type value struct {
	last    feed.Tick
	has     bool // last is known still
	arrived time.Time
	expires time.Time

	status feed.Status
	since  time.Time

	source string    // as last reported to the Sink
	shown  time.Time // when a change of source was last reported
}

// set makes a the last tick.
func (v *value) set(a arrival, now time.Time, by aging, out *handover) {
	v.last, v.has, v.arrived, v.expires = a.tick, true, a.arrived, a.expires
	if !now.Before(a.expires) { // it expired before it arrived: drop it at once
		out.add(event{kind: eventTick, tick: a.tick})
		v.age(now, by, out)
		return
	}
	v.age(now, by, out) // a change to live precedes the quote
	out.add(event{kind: eventTick, tick: a.tick})
}

// halt makes the last tick as old as one that is not live any more.
func (v *value) halt(now time.Time, by aging, out *handover) {
	if old := now.Add(-by.staleAfter); old.Before(v.arrived) {
		v.arrived = old
	}
	v.age(now, by, out)
}

// age updates status and expiry as of now.
func (v *value) age(now time.Time, by aging, out *handover) {
	if v.has && !now.Before(v.expires) {
		v.drop(now, out)
	}
	status := by.statusAt(v.last.Symbol, v.arrived, now, v.has)
	source := ""
	if status == feed.StatusLive {
		source = v.newSource(now)
	}
	if status != v.status {
		v.status, v.since = status, by.since(status, v.last.Symbol, v.arrived, now)
	} else if source == "" {
		return
	}
	out.add(v.statusEvent(source))
}

// newSource returns the source of last if it has changed and may be reported now, else "". The
// first source is not reported.
func (v *value) newSource(now time.Time) string {
	switch {
	case v.last.Source == v.source:
	case v.source == "":
		v.source = v.last.Source
	case now.Sub(v.shown) >= sourceEvery:
		v.source, v.shown = v.last.Source, now
		return v.source
	}
	return ""
}

// drop forgets the last tick: it is not known any more.
func (v *value) drop(now time.Time, out *handover) {
	v.has = false
	out.add(event{kind: eventDrop})
	if v.status != feed.StatusUnknown {
		v.status, v.since = feed.StatusUnknown, now
		out.add(v.statusEvent(""))
	}
}

func (v *value) statusEvent(source string) event {
	return event{kind: eventStatus, status: v.status, source: source, since: v.since}
}

// clear forgets the value when the symbol is no longer followed.
func (v *value) clear(now time.Time) {
	*v = value{status: feed.StatusUnknown, since: now, shown: v.shown}
}
