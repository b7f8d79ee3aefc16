// Package faulttest checks that prices are right after anything that goes
// wrong. Publishers number every tick and keep what became of it, Clients keep
// everything they are told, a schedule made from a seed injects faults
// meanwhile, and Verify says afterwards which promise was broken.
//
// It knows the protocol, and nothing of the server's inside.
package faulttest

import (
	"fmt"
	"time"
)

// State is what is known of a tick that was sent.
type State int

// A tick is Unknown while it is on its way, and for ever if the connection
// failed before its answer.
const (
	Unknown State = iota
	Accepted
	Rejected
)

func (s State) String() string { return [...]string{"unknown", "accepted", "rejected"}[s] }

// Tick is one tick that a Publisher sent. Its price tells it from every other
// of its symbol.
type Tick struct {
	Symbol, Bid, Ask string
	State            State
	Epoch            string // "" unless the answer told it
	Seq              uint64 // with Epoch
	Sent, Answered   time.Time
}

// Kind is what a client was told.
type Kind int

// Kinds of Event.
const (
	Connected Kind = iota
	Closed         // Code; 0 = without a close frame, unreadable = by the checker
	Snapshot
	Reset   // a snapshot after which history does not reach back
	Resumed // the missed ticks follow
	Update
	Degraded
	OK
	Stale
)

// unreadable is the Code of a message that is not the protocol's.
const unreadable = -1

func (k Kind) String() string {
	return [...]string{"connected", "closed", "snapshot", "reset", "resumed", "update", "degraded", "ok", "stale"}[k]
}

// Event is one thing a client was told, in the order it was.
type Event struct {
	At           time.Time
	Kind         Kind
	Symbol, Bid  string
	Epoch        string // as it stood in the message, often ""
	Seq, Skipped uint64
	Code         int
}

// price makes the prices that identify the n-th tick of a publisher. The publisher's
// number, 1 to 8, is the third digit after the point, and the tick's the nine after it:
// so all are near enough to one another to be prices of one symbol.
func price(publisher int, n uint64) (bid, ask string) {
	return fmt.Sprintf("1.00%d%09d", publisher, n), fmt.Sprintf("1.009%09d", n)
}

// tickOf reads what price made.
func tickOf(bid string) (publisher int, n uint64, ok bool) {
	if len(bid) != len("1.001123456789") {
		return 0, 0, false
	}
	if c, err := fmt.Sscanf(bid, "1.00%1d%9d", &publisher, &n); c != 2 || err != nil {
		return 0, 0, false
	}
	return publisher, n, true
}
