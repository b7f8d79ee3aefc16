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
// Leave leads to idle from every state. Open changes nothing once the symbol is followed: its
// connection failed, and it was subscribed to again.
type state uint8

const (
	idle      state = iota // ticks still in flight when the symbol was left are ignored
	opening                // subscribed; only the newest tick is held until the last value is read
	following              // every tick is passed on as it arrives, and none is held
	refilling              // a number is missing: later ticks, at least one, are held until history is read
	beginning              // like refilling, from the symbol's very first tick on; Refill then sets follow
)

const (
	// maxHeld and maxHeldTotal bound the ticks that wait for missing ones, per symbol and in total.
	// Beyond them only the newest tick is kept. The dropped ticks then form another gap, which is
	// read from history in its turn.
	maxHeld      = 1024
	maxHeldTotal = 1 << 15

	// newFor is how long after its first tick a symbol that is opened still begins with that tick.
	// A client that subscribed to every tick of every symbol receives those ticks too.
	newFor = 2 * time.Second

	// goesBack is how long an epoch that was left cannot come back. A master that was replaced
	// without noticing continues to count for a moment, and the quotes it accepts then are lost.
	// After that time Redis itself has gone back, to a master that does not know the epoch which
	// followed. Then an epoch that is known to be older is ended, see Receiver.renew. Any other one,
	// which version 0.1 began, comes back.
	goesBack = 10 * time.Second

	maxSpareTicks = 64
)

// sequence puts the ticks of one symbol in the order of acceptance, without duplicates. When a
// number is missing, it holds later ticks until Refill brings those from history. Ticks that
// history no longer has are counted as missed.
//
// A sequence knows no lock, clock or Redis. Its zero value is idle. Each method returns the change
// it made.
type sequence struct {
	state  state
	last   tickID // the tick passed on last; no epoch: none yet; no number: before the first tick of epoch
	newest tickID // the newest tick ever received; survives Leave

	held  []arrival // in the order of arrival; see state
	since time.Time // when the current gap was found

	past  [4]pastEpoch // epochs before the epoch of last, newest first
	alive bool         // a tick came since Open; a last value read after it is not newer
	began time.Time    // roughly when the first tick was accepted; zero if this node did not see it

	passed []arrival // reused from call to call
}

// tickID identifies a tick.
type tickID struct {
	protocol.Position
	at int64 // acceptance by Redis's clock, Unix microseconds
}

func idOf(t feed.Tick) tickID {
	return tickID{protocol.Position{Epoch: t.Epoch, Seq: t.Seq}, t.At}
}

// pastEpoch is an epoch that another one has followed.
type pastEpoch struct {
	epoch string
	left  int64 // acceptance of the first tick received of the next epoch, Unix microseconds by Redis's clock
}

// arrival is a tick with the times of its arrival and its expiry.
type arrival struct {
	tick             feed.Tick
	arrived, expires time.Time
}

// change is the effect of a call on a sequence.
type change struct {
	passed   []arrival // ticks to pass on, in order; valid until the next call
	missed   uint64    // skipped numbers whose ticks will not come
	refilled int       // ticks of passed that came from history
	opened   bool      // opening has ended: the last value was read, if there is one
	absent   bool      // Redis no longer has a last value: it was lost or removed
	follow   bool      // from here on every tick is passed on, for the first time since Open
	gap      bool      // Refill is needed, perhaps again
	outdated bool      // the tick is not newer than the last one
	overflow bool      // a held tick was dropped and must be read from history
	back     string    // the older epoch of an outdated tick, if Redis itself has gone back to it
}

// moment holds what a sequence must know about the moment of a call.
type moment struct {
	now    time.Time
	refill bool // missing ticks are read from history; otherwise they are counted and skipped
	hold   bool // the limit on ticks held by all sequences is not reached
}

// Open notes that a subscription was just confirmed: ticks offered from now on were published after
// it.
func (s *sequence) Open(now time.Time) {
	s.alive = false
	if s.state != idle && s.state != opening {
		return
	}
	*s = sequence{state: opening, newest: s.newest, began: s.began} // all else belongs to a subscription that failed
	if s.newest.Epoch != "" || now.Sub(s.began) > newFor {
		s.began = time.Time{}
	}
}

// Leave stops following the symbol. It reports whether the symbol was followed.
func (s *sequence) Leave() (followed bool) {
	followed = s.followed()
	*s = sequence{newest: s.newest, began: s.began}
	return followed
}

// Offer handles a tick that just arrived: it passes the tick on, holds it or ignores it.
func (s *sequence) Offer(a arrival, m moment) (c change) {
	s.alive = true
	s.begin(&c)
	switch {
	case s.state == idle:
	case s.outdated(a.tick):
		c.outdated = true
		if s.older(a.tick) && a.tick.At-s.last.at >= goesBack.Microseconds() {
			c.back = a.tick.Epoch
		}
	case s.state == opening:
		s.see(a.tick)
		s.advance(a.tick) // ticks before the first value are not missing
		s.held = append(s.held[:0], a)
	default:
		s.take(a, m, &c)
	}
	return c
}

// Snapshot handles the last value read from Redis after Open; last is nil if there is none. Every
// tick accepted before that read must already be offered. So a tick offered since Open is at least
// as new as last.
func (s *sequence) Snapshot(last *arrival, m moment) (c change) {
	s.begin(&c)
	switch {
	case s.state == opening:
		s.follow(last, m, &c)
	case s.state == following && last == nil && !s.alive:
		c.absent = true
	case s.state == idle || last == nil || s.alive || s.outdated(last.tick):
	default: // the message of this tick was lost, perhaps with earlier ones
		s.take(*last, m, &c)
	}
	return c
}

// follow ends the state opening. Earlier ticks than the newest value are neither passed on nor
// missed. Only if the symbol has just begun are they read from history.
func (s *sequence) follow(last *arrival, m moment, c *change) {
	if len(s.held) > 0 {
		last = &s.held[0]
	} else if last != nil && s.outdated(last.tick) { // removed since it was read
		last = nil
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

// Remove forgets the ticks up to a moment by Redis's clock. An operator removed the symbol then,
// and with it the counter of this epoch; "" means that there was none. Later ticks of that epoch
// are outdated. Remove reports whether the last tick is forgotten.
func (s *sequence) Remove(epoch string, at int64) bool {
	removed := func(id tickID) bool { return id.Epoch == epoch || id.at <= at }
	if epoch != "" {
		copy(s.past[1:], s.past[:])
		s.past[0] = pastEpoch{epoch, at}
	}
	if removed(s.newest) {
		s.newest = tickID{}
	}
	if s.state == opening && len(s.held) > 0 && removed(idOf(s.held[0].tick)) {
		s.held = nil
	}
	if !removed(s.last) {
		return false
	}
	s.last = tickID{}
	return true
}

// take passes a tick on, or holds it if an earlier one is missing.
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

// pass appends a, which must not be outdated, to the passed ticks and counts the ticks missing
// before it. Ticks before the first one are not missing.
func (s *sequence) pass(a arrival, c *change) {
	c.missed += s.advance(a.tick)
	c.passed = append(c.passed, a)
	s.passed = c.passed
}

// advance makes t the last tick and returns how many numbers it skips.
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

// seqIn returns the number that precedes the next tick of epoch: that of p, or 0 if p has another
// epoch.
func seqIn(epoch string, p protocol.Position) uint64 {
	if epoch == p.Epoch {
		return p.Seq
	}
	return 0
}

// see updates newest if t is newer.
func (s *sequence) see(t feed.Tick) {
	if t.Epoch != s.newest.Epoch || t.Seq > s.newest.Seq {
		s.newest = idOf(t)
	}
}

// outdated reports whether t is not newer than the last tick. An epoch that was left does not come
// back, nor does an older one that other nodes have left. An older one that begins does, since the
// publisher's clock may be behind.
func (s *sequence) outdated(t feed.Tick) bool {
	if t.Epoch == s.last.Epoch {
		return t.Seq <= s.last.Seq
	}
	for _, p := range s.past {
		if p.epoch == t.Epoch {
			return s.older(t) || t.At <= s.last.at || t.At-p.left < goesBack.Microseconds()
		}
	}
	return t.Seq > 1 && s.older(t)
}

// older reports whether the epoch of t is known to be older than that of the last tick.
func (s *sequence) older(t feed.Tick) bool {
	if t.Epoch == s.last.Epoch {
		return false
	}
	began := feed.EpochBegan(t.Epoch)
	return began > 0 && began < feed.EpochBegan(s.last.Epoch)
}

// follows reports whether certainly no tick is missing between the last one and t. When a new epoch
// begins, it is unknown where the previous one ended.
func (s *sequence) follows(t feed.Tick) bool {
	return s.last.Epoch == "" || t.Epoch == s.last.Epoch && t.Seq == s.last.Seq+1
}

// followed reports whether ticks are passed on, at once or after a refill.
func (s *sequence) followed() bool { return s.state >= following }

// begin prepares c for a new call and releases the ticks of the previous change.
func (s *sequence) begin(c *change) {
	if cap(s.passed) > maxSpareTicks { // grown by a refill
		s.passed = nil
	}
	clear(s.passed)
	c.passed = s.passed[:0]
}
