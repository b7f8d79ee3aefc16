package receive

import (
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// state is how far a symbol is on its way to being followed.
//
//	idle ──Open──> opening ──Snapshot──> following <──Offer, Snapshot, Refill──> refilling
//	                  │                      Λ                                      Λ
//	                  └──Snapshot──> beginning ──────────────Refill─────────────────┘
//
// Leave leads to idle from every state. Open changes nothing from following on: the
// symbol is subscribed to again after its connection failed.
type state uint8

const (
	idle      state = iota // what still comes was on its way when the symbol was left; it is ignored
	opening                // subscribed; until the last value was read the newest tick is held, alone
	following              // every tick is passed on when it comes, and none is held
	refilling              // a number is missing: later ticks are held, one at least, until history was read
	beginning              // as refilling, from the symbol's very first tick on; Refill then sets follow
)

const (
	// maxHeld and maxHeldTotal bound the ticks that wait for missing ones, of
	// one symbol and of all. Beyond them only the newest is kept: what was
	// between is then another gap, which is read from history in its turn.
	maxHeld      = 1024
	maxHeldTotal = 1 << 15

	// newFor is how long after its first tick a symbol that is opened begins with that
	// tick: a client that asked for every tick of everything gets these too.
	newFor = 2 * time.Second

	// goesBack is how long after an epoch was left it cannot come back. A master that
	// was replaced without knowing it goes on counting for a moment; what it accepts
	// then is lost. Later than that Redis itself has gone back, to a master that forgot
	// the epoch which followed.
	goesBack = 10 * time.Second

	maxSpareTicks = 64
)

// sequence puts the ticks of one symbol in the order of acceptance, none twice.
// Where a number is missing it holds what came after, until Refill brings what
// history has; what history no longer has it counts as missed.
//
// It knows neither lock nor clock nor Redis. The zero value is idle. Each method
// returns what it changed.
type sequence struct {
	state  state
	last   tickID // the tick passed on last; without epoch: none, without number: those before the first
	newest tickID // received ever; outlives Leave

	held  []arrival // see state; in the order in which they came
	since time.Time // when the present gap was found

	past  [4]pastEpoch // epochs before that of last, the latest first
	heard bool         // a tick came since Open; a last value read after it is not newer
	began time.Time    // when the first tick was accepted, about; zero if that was before this node looked

	passed []arrival // reused from call to call
}

// tickID names a tick.
type tickID struct {
	protocol.Position
	at int64 // acceptance by Redis's clock, Unix microseconds
}

func idOf(t feed.Tick) tickID {
	return tickID{protocol.Position{Epoch: t.Epoch, Seq: t.Seq}, t.At}
}

// pastEpoch is an epoch and when another followed it: the acceptance of that
// one's first tick here.
type pastEpoch struct {
	epoch string
	left  int64 // Unix microseconds by Redis's clock
}

// arrival is a tick, when it arrived and when it is to be forgotten.
type arrival struct {
	tick             feed.Tick
	arrived, expires time.Time
}

// change is what a call of a sequence did.
type change struct {
	passed   []arrival // to be passed on, in order; valid until the next call
	missed   uint64    // numbers before them that will not come
	refilled int       // how many of them history had
	opened   bool      // the last value was read, if there is one
	follow   bool      // from here on every tick is passed on; so it was not before
	gap      bool      // Refill is needed, or is needed again
	outdated bool      // the tick is not newer than the last one
	overflow bool      // a held tick was dropped; history will have it
}

// moment is what a sequence must know of the moment of a call.
type moment struct {
	now    time.Time
	refill bool // missing ticks are read from history; if not, they are counted and passed over
	hold   bool // all sequences together may hold one more tick
}

// Open notes that a subscription was just confirmed: what is offered from now on
// came after it.
func (s *sequence) Open(now time.Time) {
	s.heard = false
	if s.state != idle && s.state != opening {
		return
	}
	*s = sequence{state: opening, newest: s.newest, began: s.began} // the rest: of a subscription that failed
	if s.newest.Epoch != "" || now.Sub(s.began) > newFor {
		s.began = time.Time{}
	}
}

// Leave ends following the symbol; followed reports whether it was followed.
func (s *sequence) Leave() (followed bool) {
	followed = s.followed()
	*s = sequence{newest: s.newest, began: s.began}
	return followed
}

// Offer takes a tick that just arrived.
func (s *sequence) Offer(a arrival, m moment) (c change) {
	s.heard = true
	s.begin(&c)
	switch {
	case s.state == idle:
	case s.outdated(a.tick):
		c.outdated = true
	case s.state == opening:
		s.see(a.tick)
		s.advance(a.tick) // what is missing before the first value does not count
		s.held = append(s.held[:0], a)
	default:
		s.take(a, m, &c)
	}
	return c
}

// Snapshot takes the last value that Redis keeps, nil if there is none, which was
// read after Open. Every tick accepted before that was offered already: so one that
// was offered since Open is at least as new.
func (s *sequence) Snapshot(last *arrival, m moment) (c change) {
	s.begin(&c)
	switch {
	case s.state == opening:
		s.follow(last, m, &c)
	case s.state == idle || last == nil || s.heard || s.outdated(last.tick):
	default: // the message of this one was lost, and perhaps more before it
		s.take(*last, m, &c)
	}
	return c
}

// follow ends opening. Ticks before the newest value are not passed on and not
// missed, unless the symbol is so new that they were all accepted just now.
func (s *sequence) follow(last *arrival, m moment, c *change) {
	if len(s.held) > 0 {
		last = &s.held[0]
	}
	s.state, s.held, s.last, c.opened = following, nil, tickID{}, true
	switch {
	case last == nil:
		c.follow = true
	case m.refill && last.tick.Seq > 1 && !s.began.IsZero():
		s.last.Epoch = last.tick.Epoch
		s.see(last.tick)
		s.hold(*last, m, c)
		s.state = beginning
	default:
		s.see(last.tick)
		s.pass(*last, c)
		c.follow = true
	}
}

// take passes a tick on, or holds it if something is missing before it.
func (s *sequence) take(a arrival, m moment, c *change) {
	s.see(a.tick)
	if s.state != following || m.refill && !s.follows(a.tick) {
		s.hold(a, m, c)
		return
	}
	s.pass(a, c)
}

func (s *sequence) hold(a arrival, m moment, c *change) {
	if s.state == following {
		s.state, s.since, c.gap = refilling, m.now, true
	}
	if n := len(s.held); n > 0 && (n >= maxHeld || !m.hold) {
		s.held[n-1] = a
		c.overflow = true
		return
	}
	s.held = append(s.held, a)
}

// pass makes a, which is not outdated, the last tick, and counts what is missing
// before it. What was before the first one is not missing.
func (s *sequence) pass(a arrival, c *change) {
	c.missed += s.advance(a.tick)
	c.passed = append(c.passed, a)
	s.passed = c.passed
}

// advance makes t the last tick and returns how many numbers it leaves out.
func (s *sequence) advance(t feed.Tick) (missed uint64) {
	if s.last.Seq > 0 {
		missed = t.Seq - 1 - seqIn(t.Epoch, s.last.Position)
		if t.Epoch != s.last.Epoch {
			copy(s.past[1:], s.past[:])
			s.past[0] = pastEpoch{s.last.Epoch, t.At}
		}
	}
	s.last = idOf(t)
	return missed
}

// seqIn is the number before the next one of epoch: that of p, or 0 if epoch is another.
func seqIn(epoch string, p protocol.Position) uint64 {
	if epoch == p.Epoch {
		return p.Seq
	}
	return 0
}

// see remembers the newest number.
func (s *sequence) see(t feed.Tick) {
	if t.Epoch != s.newest.Epoch || t.Seq > s.newest.Seq {
		s.newest = idOf(t)
	}
}

// outdated reports that t is not newer than the last tick. An epoch that was left
// does not come back, unless Redis went back to it, see goesBack.
func (s *sequence) outdated(t feed.Tick) bool {
	if t.Epoch == s.last.Epoch {
		return t.Seq <= s.last.Seq
	}
	for _, p := range s.past {
		if p.epoch == t.Epoch {
			return t.At <= s.last.at || t.At-p.left < goesBack.Microseconds()
		}
	}
	return false
}

// follows reports that certainly nothing is missing between the last tick and t.
// Of a new epoch it is not known how the one before ended.
func (s *sequence) follows(t feed.Tick) bool {
	return s.last.Epoch == "" || t.Epoch == s.last.Epoch && t.Seq == s.last.Seq+1
}

// followed reports whether ticks are passed on, at once or after a refill.
func (s *sequence) followed() bool { return s.state >= following }

// begin prepares a change. Ticks of the one before may be freed.
func (s *sequence) begin(c *change) {
	if cap(s.passed) > maxSpareTicks { // as after a refill
		s.passed = nil
	}
	clear(s.passed)
	c.passed = s.passed[:0]
}
