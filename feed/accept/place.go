package accept

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// place is how far a stream was read.
type place struct {
	generation string // of the stream, which may have been deleted and made again
	id         entryID
	added      int64 // entries ever added up to it, -1 = unknown
}

// streamState is what there is in a stream.
type streamState struct {
	now         time.Time // by the clock of its server
	added       int64     // entries ever, -1 = unknown
	length      int64
	first, last entryID
}

// unread returns how many entries are after id, -1 if that is not known.
func (st *streamState) unread(id entryID) int64 {
	switch {
	case st.length == 0 || !st.last.after(id):
		return 0
	case st.first.after(id):
		return st.length
	}
	return -1
}

var errStreamReply = errors.New("the stream script returned an answer of unknown form")

// readStep decodes the reply of streamScript. state is nil if another place is stored than the
// caller took to be.
func readStep(reply []any) (at place, state *streamState, entries []entry, err error) {
	if len(reply) != 3 && len(reply) != 9 {
		return at, nil, nil, errStreamReply
	}
	id, _ := reply[0].(string)
	at.generation, _ = reply[1].(string)
	at.added, _ = reply[2].(int64)
	var ok bool
	if at.id, ok = parseEntryID(id); !ok || at.generation == "" {
		return at, nil, nil, errStreamReply
	}
	if len(reply) == 3 {
		return at, nil, nil, nil
	}
	state = &streamState{}
	micros, _ := reply[3].(int64)
	state.now = time.UnixMicro(micros).UTC()
	state.added, _ = reply[4].(int64)
	state.length, _ = reply[5].(int64)
	first, _ := reply[6].(string)
	last, _ := reply[7].(string)
	state.first, _ = parseEntryID(first)
	state.last, _ = parseEntryID(last)
	list, _ := reply[8].([]any)
	for _, one := range list {
		e, ok := readEntry(one)
		if !ok {
			return at, nil, nil, errStreamReply
		}
		e.now = state.now
		entries = append(entries, e)
	}
	return at, state, entries, nil
}

// entryID is the id of an entry.
type entryID struct{ ms, seq uint64 }

func parseEntryID(text string) (id entryID, ok bool) {
	ms, seq, _ := strings.Cut(text, "-")
	var err, err2 error
	id.ms, err = strconv.ParseUint(ms, 10, 64)
	id.seq, err2 = strconv.ParseUint(seq, 10, 64)
	return id, err == nil && err2 == nil
}

func (id entryID) String() string {
	return strconv.FormatUint(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id entryID) after(other entryID) bool {
	return id.ms > other.ms || id.ms == other.ms && id.seq > other.seq
}

// time returns when the entry was added, zero if a producer has made up its id.
func (id entryID) time() time.Time {
	if id.ms > 1<<53 {
		return time.Time{}
	}
	if t := time.UnixMilli(int64(id.ms)).UTC(); feed.QuoteTimeInRange(t) {
		return t
	}
	return time.Time{}
}
