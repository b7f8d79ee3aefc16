package hub

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

const (
	// serveSlice bounds the clients that are written to before the shard runs its tasks again. So a
	// join waits for that many writes at most.
	serveSlice = 32

	// yieldAfter is how long a fan-out may keep other goroutines from its processor. A shard that yields
	// waits for all that are ready, and attackers see to it that those are many.
	yieldAfter = 2 * time.Millisecond

	// restLook is how often AwaitRest looks.
	restLook = 200 * time.Microsecond

	// A round is a burst if several topics change within burstTime of waking.
	burstTime    = time.Millisecond
	burstPause   = 200 * time.Microsecond // the timer may round it up to 1 ms
	burstClients = 64

	// batchQuotes bounds the quotes of one write; the rest goes out with the next.
	batchQuotes = 200
	// replyBytes bounds the replies that may wait for a client before its next command is delayed.
	replyBytes = 32 << 10
	// stuckAfter is how long a connection takes nothing before its client counts as stuck.
	stuckAfter = time.Second
	// relayQueue bounds the relayed messages that wait for a client.
	relayQueue = 64
	// allTicks bounds the ticks of a topic that wait for a shard, and those in its log that wait for
	// a client.
	allTicks = 8192
	// relayTasks bounds the relayed messages that wait for a shard.
	relayTasks = 1024
)

// A member is a client in shard.clients. A sweep does not touch the memory of a client before look,
// since it has to be fetched: between two sweeps, writes drive it out of the caches.
type member struct {
	client *Client
	look   time.Duration // inspect has nothing to do before
}

// A shard is one goroutine that owns some of the clients: only it changes their state. Other
// goroutines leave work in its mailbox.
type shard struct {
	hub   *Hub
	index int // in hub.shards
	mail  mailbox
	size  atomic.Int64 // clients that have joined and not left
	rests atomic.Bool  // between rounds

	// Owned by run.
	clients   []member
	topics    map[string]*shardTopic
	families  map[string][]*shardTopic // topics by the wildcard that matches them
	audiences map[audienceKey]*audience
	watchers  map[string][]*audience // audiences by the wildcard they subscribed to
	channels  map[string][]*Client   // clients by relayed channel

	wildWatches map[string][]clientWatch // by wildcard
	dirty       []*Client                // clients with something to write; served in order
	served      int                      // dirty[:served] have been served
	woke        time.Duration            // when the round began that will end with rest
	wrote       int                      // clients served in this round
	yielded     time.Duration            // when other goroutines last had their turn
	burst       bool                     // several topics changed at its beginning
	wheel       wheel
	degraded    bool
	swept       time.Duration
	waiting     int           // bytes pending in connections, as of this sweep
	stuck       int           // clients whose connection takes nothing, as of this sweep
	changed     []*shardTopic // the topics that collect works on
	news        []*tick       // of the topic that take works on
	touched     []*audience   // their clients do not know yet what was offered to them
	rounds      uint64        // calls of expand
	tasks       []func()
	ready       []*Client
	wall        time.Time // roughly now; updated every few clients
	heart       []byte    // heartbeat message of the last sweep
	text        []byte    // of the audience being sought
	paces       map[rhythm]*pace
	upcoming    time.Duration // the next instant of an aligned pace, or an earlier one

	// The client being served; see write.go.
	indexes    []int     // of its pending subscriptions
	payload    []byte    // the message being built
	head       string    // its beginning, "" if there is none
	out        []byte    // the frames being built
	sent       []sent    // updates in the joint being built
	kept       bool      // a tick in it waits for a beat
	positions  []Reached // reached by these frames
	framing    uint8
	binary     BinaryFraming // the framing, if it is binary; else nil
	difference []byte        // the tick being coded
	joints     [maxFramings]joint
	generation uint64 // changes whenever a topic does
	stats      shardStats
}

func newShard(h *Hub, index int) *shard {
	s := &shard{
		hub: h, index: index,
		mail:        mailbox{wake: make(chan struct{}, 1)},
		topics:      make(map[string]*shardTopic),
		families:    make(map[string][]*shardTopic),
		audiences:   make(map[audienceKey]*audience),
		watchers:    make(map[string][]*audience),
		channels:    make(map[string][]*Client),
		wildWatches: make(map[string][]clientWatch),
		paces:       make(map[rhythm]*pace),
		upcoming:    math.MaxInt64,
	}
	s.stats.begin()
	return s
}

func (s *shard) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		s.takeTasks()
		now := s.now()
		s.sweep(now)
		// New ticks join those still to be written. Clients that have been served already are
		// queued again. A beat includes all that has been collected.
		newest := microseconds(s.hub.newest.Load()) // before collect, which then includes all up to it
		s.collect(now)
		if newest >= s.upcoming {
			s.hasten(newest, now)
		}
		s.wheel.fire(now, func(a *alarm) { a.ringer.ring(s, now) })
		s.spread()
		if s.served > len(s.dirty)/2 {
			s.dirty, s.served = slices.Delete(s.dirty, 0, s.served), 0
		}
		for n := 0; n < serveSlice && s.served < len(s.dirty); n++ {
			if n%8 == 0 {
				s.readClock()
			}
			c := s.dirty[s.served]
			s.dirty[s.served] = nil
			s.served++
			s.wrote++
			s.serve(c)
		}
		if s.served < len(s.dirty) {
			if now-s.yielded >= yieldAfter {
				runtime.Gosched() // let readers and the feed run during a long fan-out
				s.yielded = s.now()
			}
			continue
		}
		if s.rest() {
			continue
		}
		timer.Reset(s.nap())
		s.rests.Store(true)
		select {
		case <-s.mail.wake:
			s.rests.Store(false)
			s.wake()
		case <-timer.C:
			s.rests.Store(false)
		case <-ctx.Done():
		}
	}
}

// wake begins a round. The quotes of a burst are published one by one, which takes longer than it
// takes to wake up: without a pause, the clients that are written to first would be written to
// twice. A pause costs latency, so there is none unless the last round was a burst to many clients.
func (s *shard) wake() {
	if s.burst && s.wrote >= burstClients {
		time.Sleep(burstPause)
	}
	s.woke, s.wrote, s.burst = s.now(), 0, false
	s.yielded = s.woke
}

// nap returns how long run may sleep if no mail comes.
func (s *shard) nap() time.Duration {
	now := s.now()
	d := s.swept + s.sweepInterval() - now
	if w, ok := s.wheel.wait(now); ok {
		d = min(d, w)
	}
	return max(d, 0)
}

func (s *shard) now() time.Duration { return time.Since(s.hub.start) }

// collect offers what was published since the last round to the subscriptions; spread follows.
func (s *shard) collect(now time.Duration) {
	s.mail.mu.Lock()
	s.changed, s.mail.changed = s.mail.changed, s.changed[:0]
	for _, p := range s.changed {
		p.queued = false
	}
	s.mail.mu.Unlock()
	s.burst = s.burst || len(s.changed) > 1 || len(s.changed) == 1 && s.wrote > 0 && now-s.woke < burstTime
	for i, p := range s.changed {
		s.changed[i] = nil
		s.take(p, now)
	}
}

// take collects what was published of one topic and offers it to the audiences; spread follows.
func (s *shard) take(p *shardTopic, now time.Duration) {
	first := p.value() == nil
	n := s.update(p)
	s.generation++
	if n.status {
		for _, sub := range p.subs {
			for _, c := range sub.audience.clients {
				if m := &c.marks[sub.index]; m.stage != held && !m.snapshot() {
					s.owe(c, m)
				}
			}
		}
	}
	if n.ticks > 0 {
		clients := 0
		for _, sub := range p.subs {
			clients += sub.size()
			if sub.audience.pace != nil {
				s.gather(sub, n.ticks, first)
			} else {
				s.offer(sub, now)
			}
		}
		for _, v := range p.views {
			s.set(v.pace, v.later[0].at)
		}
		s.stats.fanOut.observe(float64(clients), 1)
	}
	if n.overflowed || len(p.log) > p.trimAt {
		s.trim(p, n.overflowed)
	}
	if n.followed {
		s.settle(p)
	}
}

// refresh takes and spreads one topic.
func (s *shard) refresh(p *shardTopic) {
	s.take(p, s.now())
	s.spread()
}

func (s *shard) wantWrite(c *Client) {
	if !c.dirty && !c.blocked && !c.gone {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

func (s *shard) sweepInterval() time.Duration {
	return min(max(s.hub.cfg.Heartbeat/8, 10*time.Millisecond), 250*time.Millisecond)
}

// sweep looks after every client a few times per heartbeat: for heartbeats, pings and stalls.
func (s *shard) sweep(now time.Duration) {
	if now-s.swept < s.sweepInterval() {
		return
	}
	s.swept = now
	s.stats.publish()
	s.heart = protocol.Heartbeat{Time: protocol.At(time.Now())}.Append(s.heart[:0])
	s.waiting, s.stuck = 0, 0
	for i := len(s.clients) - 1; i >= 0; i-- { // a closed client's slot is taken by the last one, already inspected
		if s.clients[i].look <= now {
			s.inspect(s.clients[i].client, now)
		}
	}
	s.stats.waiting.Store(int64(s.waiting))
	s.stats.stuck.Store(int64(s.stuck))
}

func (s *shard) inspect(c *Client, now time.Duration) {
	defer s.caught(c)
	cfg := &s.hub.cfg
	var waiting int
	var stalled time.Duration
	if c.blocked { // otherwise everything has been written
		waiting, stalled = c.conn.Backlog()
	}
	s.waiting += waiting
	if stalled > stuckAfter {
		s.stuck++
	}
	alive := time.Duration(c.alive.Load())
	switch {
	case stalled > cfg.WriteTimeout:
		s.end(c, protocol.CloseStalled)
	case now-alive > 3*cfg.Ping:
		s.end(c, protocol.CloseSilent)
	default:
		if now-c.pinged >= cfg.Ping {
			c.pinged, c.ping = now, true
			s.wantWrite(c)
		}
		if now-c.written >= cfg.Heartbeat && !c.blocked {
			c.beat = true
			s.wantWrite(c)
		}
		if c.interval > 0 && c.extras != nil && c.hasNotices() {
			s.wantWrite(c)
		}
		if !c.blocked && c.interval == 0 {
			s.clients[c.place].look = min(c.written+cfg.Heartbeat, c.pinged+cfg.Ping, alive+3*cfg.Ping)
		}
	}
}

func (s *shard) setDegraded(degraded bool) {
	if s.degraded == degraded {
		return
	}
	s.degraded = degraded
	for _, m := range s.clients {
		m.client.linkDue = true
		s.wantWrite(m.client)
	}
}

func (s *shard) relay(channel string, data []byte) {
	for _, c := range s.channels[channel] {
		x := c.extra()
		if len(x.relays) == relayQueue {
			x.relays = append(x.relays[:0], x.relays[1:]...)
			x.relayDrops++
			s.stats.relayDropped.Add(1)
		}
		x.relays = append(x.relays, relayed{channel, data})
		s.wantWrite(c)
	}
}
