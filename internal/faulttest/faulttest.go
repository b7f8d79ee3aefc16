// Package faulttest checks that prices are right whatever fails. Publishers number every tick and
// record its outcome. Clients record everything they receive. Meanwhile a schedule, made from a
// seed, injects faults. Afterwards Verify returns the broken promises.
//
// The package uses package client and the protocol, nothing internal to the server.
package faulttest

import (
	"fmt"
	"time"
)

// State is the known outcome of a tick that was sent.
type State int

// A tick is Unknown until its answer, and forever if the connection failed before that.
const (
	Unknown State = iota
	Accepted
	Rejected
)

func (s State) String() string { return [...]string{"unknown", "accepted", "rejected"}[s] }

// Tick is one tick that a Publisher sent. Its price identifies it among those of its symbol.
type Tick struct {
	Symbol, Bid, Ask string
	State            State
	Epoch            string // "" unless the answer had it
	Seq              uint64 // with Epoch
	Unreplicated     bool   // accepted, and by the answer no replica has it
	Sent, Answered   time.Time
}

// Kind is the kind of an Event.
type Kind int

// Kinds of Event.
const (
	Connected Kind = iota
	Closed         // Code; 0 = without a close frame, unreadable = a message broke the protocol
	Closing        // the server advises to reconnect after Advice
	Snapshot
	Reset   // a snapshot before which ticks may be missing
	Resumed // the missed ticks follow
	Update
	Degraded
	OK
	Stale
)

// unreadable is the Code of a message that breaks the protocol.
const unreadable = -1

func (k Kind) String() string {
	return [...]string{"connected", "closed", "closing", "snapshot", "reset", "resumed", "update", "degraded", "ok", "stale"}[k]
}

// Event is one thing that a client received. Events are in the order of their arrival.
type Event struct {
	At           time.Time
	Kind         Kind
	Symbol, Bid  string
	Epoch        string // as it stood in the message, often ""
	Seq, Skipped uint64
	Code         int
	Detail       string        // of unreadable
	Advice       time.Duration // of Closing
}

// Delivery is one quote that package client delivered to its subscriber.
type Delivery struct {
	Symbol, Epoch string
	Seq           uint64
	Gap           bool // a gap was reported before it
}

// price returns the prices that identify the n-th tick of a publisher. The publisher's number, 1 to
// 8, is the third digit after the point, and the tick's number the nine digits after that. All of
// them are therefore near enough to each other to be prices of one symbol.
func price(publisher int, n uint64) (bid, ask string) {
	return fmt.Sprintf("1.00%d%09d", publisher, n), fmt.Sprintf("1.009%09d", n)
}

// tickOf reverses price.
func tickOf(bid string) (publisher int, n uint64, ok bool) {
	if len(bid) != len("1.001123456789") {
		return 0, 0, false
	}
	if c, err := fmt.Sscanf(bid, "1.00%1d%9d", &publisher, &n); c != 2 || err != nil {
		return 0, 0, false
	}
	return publisher, n, true
}
