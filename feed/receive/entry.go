package receive

import (
	"time"

	"github.com/fxcast/fxcast/feed"
)

// entry is what a Board knows of one symbol. Board.mu guards it.
type entry struct {
	state  entryState
	listed bool      // one of the symbols that were ever published
	newest lastSeen  // ever received; outlives everything else
	began  time.Time // when its first quote was accepted, about; zero if that was before this node looked

	// While the symbol is followed.
	last    feed.Tick // kept after it expired, to tell newer from older
	has     bool      // last has not expired
	arrived time.Time
	expires time.Time
	retired [4]retiredEpoch // epochs before that of last
	live    bool            // a quote came since the present subscription was confirmed
	source  string          // of last, as far as it was told
	told    time.Time       // when a change of source was last told

	status feed.Status
	since  time.Time

	held    []arrival // quotes after a gap, in order; while opening, the newest one
	filling bool      // what is missing before held is being read
	untold  bool      // that, when it is there, the Sink is told that it follows

	// Whoever changes an entry appends events under mu; one goroutine at a
	// time, the one that set emitting, hands them to the Sink outside mu. So
	// they reach it in the order of the changes. More than the events of one
	// call gather only while the Sink is being called, or after a gap.
	events, spare []event
	emitting      bool
}

// beginning is how long after its first quote a symbol that is opened is told from
// that quote on: who wants every tick of everything gets these too.
const beginning = 2 * time.Second

// lastSeen is the newest number known of a symbol.
type lastSeen struct {
	epoch string
	seq   uint64
	at    int64 // Unix microseconds by Redis's clock
}

type entryState int

const (
	idle      entryState = iota // known by name
	opening                     // subscribed; its last value is being read
	following                   // the Sink has it
)

// arrival is a quote, when it arrived and when it is to be forgotten.
type arrival struct {
	quote            feed.Tick
	arrived, expires time.Time
}

// retiredEpoch is an epoch and when another followed it: the acceptance of that
// one's first quote here.
type retiredEpoch struct {
	epoch string
	left  int64 // Unix µs by Redis's clock
}

// goesBack is how long after an epoch was left it may come back. A master that was
// replaced without knowing it goes on counting for a moment; what it accepts then is
// lost. Later than that Redis itself has gone back, to a master that forgot the epoch
// which followed.
const goesBack = 10 * time.Second

type event struct {
	kind   eventKind
	quote  feed.Tick
	status feed.Status
	source string
	since  time.Time
}

type eventKind int

const (
	eventQuote eventKind = iota
	eventStatus
	eventDrop
	eventFollow
	eventLeave
)

const (
	// sourceEvery bounds how often a change of source is told: two producers
	// that take turns would otherwise double the messages to clients.
	sourceEvery = time.Second

	maxSpareEvents = 64
)

// outdated reports that a is not newer than the last one. An epoch that was
// left does not come back, unless Redis went back to it, see goesBack.
func (e *entry) outdated(a feed.Tick) bool {
	if a.Epoch == e.last.Epoch {
		return a.Seq <= e.last.Seq
	}
	for _, r := range e.retired {
		if r.epoch == a.Epoch {
			return a.At <= e.last.At || a.At-r.left < goesBack.Microseconds()
		}
	}
	return false
}

// follows reports that certainly none is missing between the last one and a. A
// new epoch tells nothing of how the old one ended.
func (e *entry) follows(a feed.Tick) bool {
	return e.last.Epoch == "" || a.Epoch == e.last.Epoch && a.Seq == e.last.Seq+1
}

// saw remembers the newest number.
func (e *entry) saw(a feed.Tick) {
	if a.Epoch != e.newest.epoch || a.Seq > e.newest.seq {
		e.newest = lastSeen{a.Epoch, a.Seq, a.At}
	}
}

func (e *entry) retire(epoch string, left int64) {
	copy(e.retired[1:], e.retired[:])
	e.retired[0] = retiredEpoch{epoch, left}
}

// forgettable reports an entry that says nothing: somebody asked for a symbol
// that nobody ever published.
func (e *entry) forgettable() bool {
	return e.state == idle && !e.listed && e.newest.epoch == "" && !e.emitting && len(e.events) == 0
}

// set makes h, which is not outdated, the last value and returns how many
// before it were missed; what was before the first one was not. b.mu is held.
func (b *Board) set(e *entry, h arrival, now time.Time) (missed uint64) {
	a := h.quote
	if e.last.Seq > 0 {
		missed = a.Seq - 1 - seqIn(a.Epoch, e.last.Epoch, e.last.Seq)
		if a.Epoch != e.last.Epoch {
			e.retire(e.last.Epoch, a.At)
		}
	}
	e.last, e.has, e.arrived, e.expires = a, true, h.arrived, h.expires
	if now.Before(h.expires) {
		b.age(e, now) // a change to live comes first
		e.events = append(e.events, event{kind: eventQuote, quote: a})
		return missed
	}
	e.events = append(e.events, event{kind: eventQuote, quote: a})
	b.age(e, now) // it expired before it came: at once dropped
	return missed
}

// age brings the status of e up to now and reports whether there is something
// to tell. b.mu is held.
func (b *Board) age(e *entry, now time.Time) bool {
	before := len(e.events)
	if e.has && !now.Before(e.expires) {
		e.has = false
		b.metrics.dropped.Inc()
		e.events = append(e.events, event{kind: eventDrop})
	}
	status := feed.StatusAt(e.arrived, now, b.cfg.StaleAfter, e.has)
	source := ""
	if status == feed.StatusLive && e.last.Source != e.source {
		switch {
		case e.source == "":
			e.source = e.last.Source // the first need not be told
		case now.Sub(e.told) >= sourceEvery:
			source = e.last.Source
			e.source, e.told = source, now
		}
	}
	if status != e.status {
		e.status, e.since = status, now
		if became := e.arrived.Add(b.cfg.StaleAfter); status == feed.StatusStale && became.Before(now) {
			e.since = became
		}
	} else if source == "" {
		return len(e.events) > before
	}
	e.events = append(e.events, event{kind: eventStatus, status: e.status, source: source, since: e.since})
	return true
}
