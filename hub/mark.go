package hub

// A mark is what one client has of one topic: the last quote that was sent to it. It is all that
// the hub keeps for each client and topic, so the memory of a client depends on its size
// (TestMarkSize).
type mark struct {
	epoch     *string // nil: no quote yet, and every quote of the topic is new to the client
	seq       uint64
	stage     stage
	statusDue bool // the topic's status is sent before its next quote
}

// A stage decides how the next quote is sent.
type stage uint8

const (
	first   stage = iota // as the first quote of the connection: an update with its epoch
	live                 // as an update that follows the mark
	fresh                // as a snapshot
	reset                // as a snapshot which reports that ticks were missed
	late                 // a wildcard matched a topic that may already have had ticks: as reset, unless it is the first tick of an epoch
	held                 // not before Resume
	resumed              // from the client's own queue of missed ticks, the first one with its epoch
)

// at moves the mark to a tick.
func (m *mark) at(t *tick) { m.epoch, m.seq = t.epoch, t.seq }

// before moves the mark to just before a tick.
func (m *mark) before(t *tick) { m.epoch, m.seq = t.epoch, t.seq-1 }

// has reports whether the client has t, or has had it.
func (m *mark) has(t *tick) bool { return t.seq <= m.seq && m.isEpoch(t.epoch) }

// precedes reports whether the last quote sent was the one just before t.
func (m *mark) precedes(t *tick) bool { return t.seq == m.seq+1 && m.isEpoch(t.epoch) }

// isEpoch reports whether the last quote sent was of this epoch.
func (m *mark) isEpoch(epoch *string) bool {
	return m.epoch == epoch || m.epoch != nil && *m.epoch == *epoch
}

// snapshot reports whether the next quote is sent as a snapshot, which carries the status too.
func (m *mark) snapshot() bool { return m.stage == fresh || m.stage == reset }
