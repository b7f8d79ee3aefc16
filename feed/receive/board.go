package receive

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
)

// BoardConfig configures NewBoard. Sink is required.
type BoardConfig struct {
	Sink       Sink
	QuoteTTL   time.Duration // a symbol without a quote for this long is not live; 0 = 60 s
	StaleAfter time.Duration // a symbol without a quote for this long is stale or closed; 0 = 10 s
	LastKnown  time.Duration // a last value is forgotten this long after its quote; 0 = 168 h
	// Instruments decides which of the symbols listed in Redis are known, and when the market of a
	// symbol is closed. nil uses the table without settings.
	Instruments *feed.Instruments
	Candles     *CandleStream // receives every tick after the Sink; nil = none
	Registerer  prometheus.Registerer
	Logger      *slog.Logger
}

// Board keeps the order, the last value and the status of every symbol that this node follows, and
// the names of all other known symbols. It passes every change to the Sink. Board is safe for
// concurrent use. Statuses age only while Run is running.
//
// Each symbol has a sequence, which decides what to pass on. The Board adds the lock around all of
// them, the clock, and the calls to the Sink.
type Board struct {
	cfg     BoardConfig
	metrics *boardMetrics
	gapped  chan struct{} // holds a token after a gap was found
	older   chan struct{} // holds a token after a symbol was added to back

	mu      sync.Mutex // guards the fields below and every entry; never held while the Sink is called
	entries map[feed.Symbol]*entry
	gaps    map[feed.Symbol]*entry // symbols with a gap; some gaps may have closed since
	refills bool                   // a Receiver reads missing ticks from history
	held    int                    // ticks held by all sequences

	back map[feed.Symbol]goneBack // symbols of which Redis has gone back to an older epoch
}

// goneBack is the epoch that Redis counts in, and the newer one that this node has seen.
type goneBack struct{ epoch, seen string }

// entry is everything that a Board knows about one symbol.
type entry struct {
	order  sequence
	value  value
	out    handover
	listed bool // in Redis's set of symbols with a last known price
}

// NewBoard returns an empty Board.
func NewBoard(cfg BoardConfig) *Board {
	if cfg.QuoteTTL <= 0 {
		cfg.QuoteTTL = time.Minute
	}
	if cfg.StaleAfter <= 0 {
		cfg.StaleAfter = 10 * time.Second
	}
	if cfg.LastKnown <= 0 {
		cfg.LastKnown = 7 * 24 * time.Hour
	}
	cfg.QuoteTTL = min(cfg.QuoteTTL, cfg.LastKnown)
	cfg.StaleAfter = min(cfg.StaleAfter, cfg.QuoteTTL)
	return &Board{
		cfg: cfg, metrics: newBoardMetrics(cfg.Registerer), gapped: make(chan struct{}, 1), older: make(chan struct{}, 1),
		entries: map[feed.Symbol]*entry{}, gaps: map[feed.Symbol]*entry{}, back: map[feed.Symbol]goneBack{},
	}
}

// Apply offers a tick that just arrived to the sequence of its symbol. A tick is ignored if its
// symbol is not followed or if it is not newer than the last one. A symbol that is not known yet is
// followed from its first tick on.
//
// Ticks of one symbol must be applied by one goroutine, in the order in which Redis sent them.
func (b *Board) Apply(t feed.Tick) {
	now := time.Now()
	b.mu.Lock()
	e := b.entries[t.Symbol]
	if e == nil {
		e = b.entry(t.Symbol)
		e.order.state = following
	}
	m := b.take(e, now)
	c := e.order.Offer(arrival{t, now, now.Add(b.cfg.LastKnown)}, m)
	b.show(t.Symbol, e, c, now)
	b.handOver(t.Symbol, e) // unlocks
}

// halt makes a symbol stale or closed if t is its last tick. A tick that arrives later makes it live
// again.
func (b *Board) halt(t feed.Tick) {
	now := time.Now()
	b.mu.Lock()
	e := b.entries[t.Symbol]
	if e == nil || !e.value.has || e.value.last.Epoch != t.Epoch || e.value.last.Seq != t.Seq {
		b.mu.Unlock()
		return
	}
	e.value.halt(now, b.aging(), &e.out)
	b.handOver(t.Symbol, e) // unlocks
}

// take subtracts the ticks that e holds from b.held until show adds them again. It returns the
// moment to call the sequence with. b.mu must be held.
func (b *Board) take(e *entry, now time.Time) moment {
	m := moment{now: now, refill: b.refills, hold: b.held < maxHeldTotal}
	b.held -= len(e.order.held)
	return m
}

// show applies a change in the sequence of s: to its value, its pending events and the metrics.
// b.mu must be held.
func (b *Board) show(s feed.Symbol, e *entry, c change, now time.Time) {
	b.held += len(e.order.held)
	for _, a := range c.passed {
		e.value.set(a, now, b.aging(), &e.out)
	}
	if c.absent && e.value.has {
		e.value.drop(now, &e.out)
		e.settleName()
	}
	if c.opened && e.value.status == feed.StatusUnknown {
		e.out.add(e.value.statusEvent(""))
	}
	if c.follow {
		e.out.add(event{kind: eventFollow})
	}
	if c.gap {
		b.gaps[s] = e
		select {
		case b.gapped <- struct{}{}:
		default:
		}
	}
	if c.back != "" && b.refills {
		b.back[s] = goneBack{c.back, e.order.last.Epoch}
		select {
		case b.older <- struct{}{}:
		default:
		}
	}
	b.metrics.count(c)
}

// handOver delivers the pending events of s to the Sink, unless another goroutine is already doing
// so. The caller holds b.mu, and handOver releases it.
func (b *Board) handOver(s feed.Symbol, e *entry) {
	if e.out.busy {
		b.mu.Unlock()
		return
	}
	e.out.busy = true
	for len(e.out.events) > 0 {
		events := e.out.next()
		b.mu.Unlock()
		for i := range events {
			events[i].deliver(b.cfg.Sink, s)
			switch events[i].kind {
			case eventTick:
				b.cfg.Candles.add(&events[i].tick)
			case eventDrop:
				b.cfg.Candles.forget(s) // also where this node missed the removal
				b.metrics.dropped.Inc()
			}
		}
		b.mu.Lock()
		e.out.reuse(events)
	}
	e.out.busy = false
	b.mu.Unlock()
}

// entry returns the entry of s and creates it if there is none. b.mu must be held.
func (b *Board) entry(s feed.Symbol) *entry {
	e := b.entries[s]
	if e == nil {
		e = &entry{value: value{status: feed.StatusUnknown, since: time.Now()}}
		b.entries[s] = e
	}
	return e
}

// open notes that a subscription to s was just confirmed: ticks applied from now on were published
// after it. It must be called by the goroutine that applies the ticks of s.
func (b *Board) open(s feed.Symbol) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(s)
	b.take(e, now)
	e.order.Open(now)
	b.show(s, e, change{}, now)
}

// merge combines the last value of s, read from Redis after open, with the ticks that arrived
// since. stored is nil if there is no last value. Every tick published before the read must already
// be applied. It must be called by the goroutine that applies the ticks of s.
func (b *Board) merge(s feed.Symbol, stored *storedQuote) {
	now := time.Now()
	var last *arrival
	if stored != nil {
		last = b.arrivalOf(*stored, now)
	}
	b.mu.Lock()
	e := b.entry(s)
	m := b.take(e, now)
	c := e.order.Snapshot(last, m)
	b.show(s, e, c, now)
	b.handOver(s, e) // unlocks
}

func (b *Board) arrivalOf(v storedQuote, now time.Time) *arrival {
	return &arrival{v.quote, now.Add(-v.age), now.Add(v.life)}
}

// leave stops following s. Ticks applied before the next open are ignored.
func (b *Board) leave(s feed.Symbol) {
	now := time.Now()
	b.mu.Lock()
	e := b.entries[s]
	if e == nil || e.order.state == idle {
		b.mu.Unlock()
		return
	}
	b.take(e, now)
	if e.order.Leave() {
		e.out.add(event{kind: eventLeave})
	}
	e.value.clear(now)
	b.show(s, e, change{}, now)
	b.handOver(s, e) // unlocks
}

// Last returns the newest sequence number received for s and its acceptance in Unix microseconds.
// epoch is "" if none was received. Last remembers symbols that are no longer followed while they
// are listed, and fits accept.PublisherConfig.Known.
func (b *Board) Last(s feed.Symbol) (epoch string, seq uint64, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[s]; e != nil {
		return e.order.newest.Epoch, e.order.newest.Seq, e.order.newest.at
	}
	return "", 0, 0
}
