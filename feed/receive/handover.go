package receive

import (
	"time"

	"github.com/fxcast/fxcast/feed"
)

// handover delivers the events of one symbol to the Sink in the order of the changes. A goroutine
// that changes the symbol adds events under the Board's lock. The one goroutine that set busy
// delivers them without the lock. Events of several changes gather only during a call of the Sink
// or after a gap.
type handover struct {
	events, spare []event
	busy          bool
}

type event struct {
	kind   eventKind
	tick   feed.Tick
	status feed.Status
	source string
	since  time.Time
}

type eventKind int

const (
	eventTick eventKind = iota
	eventStatus
	eventDrop
	eventFollow
	eventLeave
	eventList
	eventUnlist
)

const maxSpareEvents = 64

func (h *handover) add(e event) { h.events = append(h.events, e) }

func (h *handover) idle() bool { return !h.busy && len(h.events) == 0 }

// next returns the pending events and starts a new list.
func (h *handover) next() []event {
	events := h.events
	h.events = h.spare[:0]
	h.spare = nil
	return events
}

// reuse takes back the slice that next returned.
func (h *handover) reuse(events []event) {
	clear(events)                      // so that the ticks can be freed
	if cap(events) <= maxSpareEvents { // it is larger after a refill
		h.spare = events
	}
}

// deliver calls the method of the Sink that e stands for.
func (e event) deliver(sink Sink, s feed.Symbol) {
	switch e.kind {
	case eventTick:
		sink.Publish(string(s), e.tick.Epoch, e.tick.Seq, e.tick.Body, e.tick.At)
	case eventStatus:
		sink.SetStatus(string(s), string(e.status), e.source, e.since)
	case eventDrop:
		sink.Drop(string(s))
	case eventFollow, eventLeave:
		sink.Follow(string(s), e.kind == eventFollow)
	case eventList, eventUnlist:
		sink.List(string(s), e.kind == eventList)
	}
}
