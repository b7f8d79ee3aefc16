package receive

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
)

// BoardConfig configures NewBoard. Sink is required.
type BoardConfig struct {
	Sink       Sink
	QuoteTTL   time.Duration // a last value expires this long after its quote; 0 = 60 s
	StaleAfter time.Duration // a symbol without a quote for this long is stale; 0 = 10 s
	// Instruments decides which of the symbols listed in Redis are known, and when the market of a
	// symbol is closed. nil uses the table without settings.
	Instruments *feed.Instruments
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

	mu      sync.Mutex // guards the fields below and every entry; never held while the Sink is called
	entries map[feed.Symbol]*entry
	gaps    map[feed.Symbol]*entry // symbols with a gap; some gaps may have closed since
	refills bool                   // a Receiver reads missing ticks from history
	held    int                    // ticks held by all sequences
}

// entry is everything that a Board knows about one symbol.
type entry struct {
	order  sequence
	value  value
	out    handover
	listed bool // in Redis's set of published symbols
}

// NewBoard returns an empty Board.
func NewBoard(cfg BoardConfig) *Board {
	if cfg.QuoteTTL <= 0 {
		cfg.QuoteTTL = time.Minute
	}
	if cfg.StaleAfter <= 0 {
		cfg.StaleAfter = 10 * time.Second
	}
	return &Board{
		cfg: cfg, metrics: newBoardMetrics(cfg.Registerer), gapped: make(chan struct{}, 1),
		entries: map[feed.Symbol]*entry{}, gaps: map[feed.Symbol]*entry{},
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
	c := e.order.Offer(arrival{t, now, now.Add(b.cfg.QuoteTTL)}, m)
	b.show(t.Symbol, e, c, now)
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
			if events[i].kind == eventDrop {
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

// list adds symbols that have ever been published. justBegan means that their first quote was
// accepted just now. The Sink receives the name of each new symbol, so that wildcards can match it.
func (b *Board) list(symbols []feed.Symbol, justBegan bool) {
	for _, s := range symbols {
		b.mu.Lock()
		e := b.entry(s)
		if justBegan {
			e.order.began = time.Now()
		}
		if !e.listed && e.order.state == idle {
			e.out.add(e.value.statusEvent(""))
		}
		e.listed = true
		b.handOver(s, e) // unlocks
	}
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
	expires := now.Add(v.life)
	arrived := expires.Add(-b.cfg.QuoteTTL)
	if arrived.After(now) {
		arrived = now // another node keeps values for longer than QuoteTTL
	}
	return &arrival{v.quote, arrived, expires}
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

// names returns all known symbols.
func (b *Board) names() []feed.Symbol {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.entries))
}

// Run updates the statuses as time passes. It returns nil when ctx ends.
func (b *Board) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(b.cfg.StaleAfter/8, 10*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.age()
		}
	}
}

func (b *Board) aging() aging { return aging{b.cfg.StaleAfter, b.cfg.Instruments} }

func (b *Board) age() {
	now := time.Now()
	changed := map[feed.Symbol]*entry{}
	counts := map[feed.Status]int{}
	followed := 0
	b.mu.Lock()
	for s, e := range b.entries {
		if e.order.followed() {
			followed++
			e.value.age(now, b.aging(), &e.out)
			if len(e.out.events) > 0 {
				changed[s] = e
			}
		} else if e.forgettable() {
			delete(b.entries, s)
			continue
		}
		counts[e.value.status]++
	}
	b.mu.Unlock()
	for s, e := range changed {
		b.mu.Lock()
		b.handOver(s, e) // unlocks
	}
	for status, g := range b.metrics.symbols {
		g.Set(float64(counts[status]))
	}
	b.metrics.followed.Set(float64(followed))
}

// forgettable reports whether an entry holds no information: a client asked for a symbol that was
// never published.
func (e *entry) forgettable() bool {
	return e.order.state == idle && !e.listed && e.order.newest.Epoch == "" && e.out.idle()
}

// Last returns the newest sequence number received for s and its acceptance in Unix microseconds.
// epoch is "" if none was received. Last remembers symbols that are no longer followed, and fits
// accept.PublisherConfig.Known.
func (b *Board) Last(s feed.Symbol) (epoch string, seq uint64, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[s]; e != nil {
		return e.order.newest.Epoch, e.order.newest.Seq, e.order.newest.at
	}
	return "", 0, 0
}
