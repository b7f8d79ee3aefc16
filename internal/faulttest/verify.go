package faulttest

import (
	"fmt"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// Record is everything that one client received.
type Record struct {
	Client, Mode string
	Symbols      []string
	Events       []Event
	Deliveries   []Delivery // of a client of package client

	// Revoked is the time at which its session was ended, zero if it was not. Its connection must
	// then be closed with 4001 within this time.
	Revoked time.Time
	Within  time.Duration
}

// The kinds of Violation.
const (
	Order         = "order"      // an older tick after a newer one, or an epoch that was over
	Double        = "double"     // a tick twice
	Gap           = "gap"        // ticks are missing and nothing announced it
	Skipped       = "skipped"    // skipped does not match seq
	Epoch         = "epoch"      // the first quote of a connection without epoch
	Content       = "content"    // prices other than those published under this number
	Phantom       = "phantom"    // a tick that no publisher sent, or that was rejected
	Lost          = "lost"       // an accepted tick that a client of mode all did not get
	NeedlessReset = "reset"      // a reset although history reaches back to the client's position
	Final         = "final"      // the last value is not the last accepted one
	Revocation    = "revocation" // the session was ended and the connection was not
	Protocol      = "protocol"   // a message that breaks the protocol
	Delivered     = "delivered"  // package client delivered other quotes than it received
	Unkept        = "unkept"     // a tick that a replica had, by the answer, and Redis has no more
)

// Violation is one broken promise.
type Violation struct {
	Kind, Client, Symbol string
	Detail               string
	At                   time.Time // of the message; zero if it is not about one message
}

func (v Violation) String() string {
	at := ""
	if !v.At.IsZero() {
		at = v.At.Format("15:04:05.000 ")
	}
	return fmt.Sprintf("%s%s: %s %s: %s", at, v.Kind, v.Client, v.Symbol, v.Detail)
}

// number is the place of a tick in the order of its symbol.
type number struct {
	symbol, epoch string
	seq           uint64
}

// verifier is one run of Verify.
type verifier struct {
	ticks   map[string]map[string]*Tick // by symbol and bid
	final   map[string]*Tick            // the last accepted of each symbol
	prices  map[number]string           // bid of each number, from answers and clients
	numbers map[string]map[string]number
	kept    map[number]bool
	found   []Violation
}

// Entry is one tick that Redis keeps in the history of its symbol.
type Entry struct {
	Symbol, Bid, Epoch string
	Seq                uint64
}

// Verify compares the published ticks with those that clients received. The last tick of each
// symbol must have been accepted (Publisher.Finish), and clients must have had time to receive it.
//
// For each client and symbol: within an epoch seq grows, by one more than skipped; an epoch that is
// over does not come back; the same number is the same tick everywhere; every tick was sent, and
// not rejected. In mode all no number is missing between two that came, unless a reset or a new
// epoch is between them. No accepted tick is missing either. Every client ends on the last accepted
// tick. A session that was ended has its connection closed.
//
// kept is the history at the end, which must have been long enough for all accepted ticks. If it
// has the tick of a client's position, a reset was needless.
//
// The quotes that package client delivered are compared with those that it received. In mode all
// they are the same, each once, with a report of every gap; in mode latest they are a part of them.
//
// On a new connection of mode latest the snapshot may be older than the last quote of the previous
// connection: another node may be a moment behind.
func Verify(published []Tick, kept []Entry, records []Record) []Violation {
	v := &verifier{ticks: map[string]map[string]*Tick{}, final: map[string]*Tick{}, prices: map[number]string{},
		numbers: map[string]map[string]number{}, kept: map[number]bool{}}
	for _, e := range kept {
		v.kept[number{e.Symbol, e.Epoch, e.Seq}] = true
	}
	for i := range published {
		v.sent(&published[i])
	}
	for _, r := range records {
		v.record(r)
	}
	return v.found
}

func (v *verifier) say(kind string, r Record, e Event, format string, args ...any) {
	v.found = append(v.found, Violation{kind, r.Client, e.Symbol, fmt.Sprintf(format, args...), e.At})
}

func (v *verifier) sent(t *Tick) {
	if v.ticks[t.Symbol] == nil {
		v.ticks[t.Symbol], v.numbers[t.Symbol] = map[string]*Tick{}, map[string]number{}
	}
	v.ticks[t.Symbol][t.Bid] = t
	if t.State != Accepted {
		return
	}
	if last := v.final[t.Symbol]; last == nil || !t.Answered.Before(last.Answered) { // the later of those answered at once
		v.final[t.Symbol] = t
	}
	if t.Epoch == "" {
		return
	}
	n := number{t.Symbol, t.Epoch, t.Seq}
	if other, taken := v.prices[n]; taken {
		v.found = append(v.found, Violation{Kind: Content, Symbol: t.Symbol, Detail: fmt.Sprintf("both %s and %s were accepted as %s %d", other, t.Bid, t.Epoch, t.Seq)})
	}
	v.prices[n] = t.Bid
	v.numbers[t.Symbol][t.Bid] = n
}

// position is the position of a client in one symbol.
type position struct {
	epoch string
	seq   uint64
	fresh bool            // nothing has come on this connection
	over  map[string]bool // epochs that have ended
	has   map[number]bool // mode all
	runs  []run           // mode all
}

// A run is a stretch of one epoch without an announced gap.
type run struct {
	epoch       string
	first, last uint64
}

func (v *verifier) record(r Record) {
	at := map[string]*position{}
	ended := false // by 4001
	for _, e := range r.Events {
		switch e.Kind {
		case Connected:
			for _, p := range at {
				p.fresh = true
			}
			if ended {
				v.say(Revocation, r, e, "connected again after 4001")
			}
		case Closed:
			switch {
			case e.Code == unreadable:
				v.say(Protocol, r, e, "%s", e.Detail)
			case e.Code == protocol.CodeSession && r.Revoked.IsZero():
				v.say(Revocation, r, e, "closed with 4001 and the session was not ended")
			case e.Code == protocol.CodeSession:
				ended = true
				if took := e.At.Sub(r.Revoked); took > r.Within {
					v.say(Revocation, r, e, "closed %v after the session was ended, want %v", took.Round(time.Millisecond), r.Within)
				}
			}
		case Snapshot, Reset, Update:
			p := at[e.Symbol]
			if p == nil {
				p = &position{fresh: true, over: map[string]bool{}, has: map[number]bool{}}
				at[e.Symbol] = p
			}
			v.step(r, p, e)
		}
	}
	v.deliveries(r)
	if !r.Revoked.IsZero() {
		if !ended {
			v.say(Revocation, r, Event{}, "the session was ended at %s and the connection never", r.Revoked.Format("15:04:05.000"))
		}
		return
	}
	for _, s := range r.Symbols {
		v.end(r, s, at[s])
	}
}

// step is one quote.
func (v *verifier) step(r Record, p *position, e Event) {
	epoch := e.Epoch
	if epoch == "" {
		if p.fresh {
			v.say(Epoch, r, e, "the first quote on the connection, seq %d, names no epoch", e.Seq)
		}
		epoch = p.epoch
	}
	v.content(r, e, number{e.Symbol, epoch, e.Seq})
	if e.Kind == Reset && v.kept[number{e.Symbol, p.epoch, p.seq}] {
		v.say(NeedlessReset, r, e, "a reset to %s %d, and history still has %s %d", epoch, e.Seq, p.epoch, p.seq)
	}
	switch {
	case p.epoch == "": // the very first
	case epoch != p.epoch:
		p.over[p.epoch] = true
		if p.over[epoch] && !(r.Mode == Latest && p.fresh) {
			v.say(Order, r, e, "epoch %s came back after %s", epoch, p.epoch)
		}
	case e.Kind == Reset:
	case e.Kind == Snapshot:
		v.snapshot(r, p, e)
	case p.fresh && r.Mode == Latest:
	default:
		v.update(r, p, e)
	}
	if p.runs == nil || e.Kind == Reset || epoch != p.epoch {
		p.runs = append(p.runs, run{epoch: epoch, first: e.Seq})
	}
	p.runs[len(p.runs)-1].last = e.Seq
	p.epoch, p.seq, p.fresh = epoch, e.Seq, false
	p.has[number{e.Symbol, epoch, e.Seq}] = true
}

func (v *verifier) snapshot(r Record, p *position, e Event) {
	switch {
	case e.Skipped != 0:
		v.say(Skipped, r, e, "a snapshot says skipped %d", e.Skipped)
	case e.Seq < p.seq && !(r.Mode == Latest && p.fresh):
		v.say(Order, r, e, "a snapshot with seq %d after %d", e.Seq, p.seq)
	case e.Seq > p.seq && r.Mode == All:
		v.say(Gap, r, e, "a snapshot with seq %d after %d, and no reset", e.Seq, p.seq)
	}
}

func (v *verifier) update(r Record, p *position, e Event) {
	want := p.seq + 1 + e.Skipped
	switch {
	case e.Seq == p.seq:
		v.say(Double, r, e, "seq %d again", e.Seq)
	case e.Seq < p.seq:
		v.say(Order, r, e, "seq %d after %d", e.Seq, p.seq)
	case e.Seq > want:
		v.say(Gap, r, e, "seq %d after %d with skipped %d", e.Seq, p.seq, e.Skipped)
	case e.Seq < want:
		v.say(Skipped, r, e, "skipped %d between seq %d and %d", e.Skipped, p.seq, e.Seq)
	case r.Mode == All && e.Skipped > 0:
		v.say(Skipped, r, e, "skipped %d in mode all", e.Skipped)
	}
}

// content checks that a number is the same tick for every client, and that a publisher sent it.
func (v *verifier) content(r Record, e Event, n number) {
	t := v.ticks[e.Symbol][e.Bid]
	switch {
	case t == nil:
		v.say(Phantom, r, e, "nobody sent %s", e.Bid)
		return
	case t.State == Rejected:
		v.say(Phantom, r, e, "%s was rejected", e.Bid)
	}
	if n.epoch == "" {
		return
	}
	if bid, known := v.prices[n]; known && bid != e.Bid {
		v.say(Content, r, e, "%s %d is %s, elsewhere it is %s", n.epoch, n.seq, e.Bid, bid)
	}
	if other, known := v.numbers[e.Symbol][e.Bid]; known && other != n {
		v.say(Double, r, e, "%s is both %s %d and %s %d", e.Bid, other.epoch, other.seq, n.epoch, n.seq)
	}
	if _, known := v.prices[n]; !known {
		v.prices[n] = e.Bid
	}
	if _, known := v.numbers[e.Symbol][e.Bid]; !known {
		v.numbers[e.Symbol][e.Bid] = n
	}
}

// end checks the last value of a client, and the ticks that it never got.
func (v *verifier) end(r Record, symbol string, p *position) {
	last := v.final[symbol]
	if last == nil {
		return
	}
	if p == nil {
		v.say(Final, r, Event{Symbol: symbol}, "no value at all, the last accepted is %s", last.Bid)
		return
	}
	if got := v.prices[number{symbol, p.epoch, p.seq}]; got != last.Bid {
		v.say(Final, r, Event{Symbol: symbol}, "the last value is %s (%s %d), the last accepted is %s", got, p.epoch, p.seq, last.Bid)
	}
	if r.Mode != All {
		return
	}
	missing := 0
	for bid, n := range v.numbers[symbol] {
		if t := v.ticks[symbol][bid]; t.State == Accepted && !p.has[n] && p.owed(n) {
			missing++
		}
	}
	if missing > 0 {
		v.say(Lost, r, Event{Symbol: symbol}, "%d accepted ticks did not come, and no reset or new epoch told it", missing)
	}
}

// owed reports whether a tick lies within a run, or after the last one.
func (p *position) owed(n number) bool {
	for i, run := range p.runs {
		if run.epoch == n.epoch && n.seq >= run.first && (n.seq <= run.last || i == len(p.runs)-1) {
			return true
		}
	}
	return false
}
