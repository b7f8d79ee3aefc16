package receive

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/internal/conn"

	"github.com/prometheus/client_golang/prometheus"
)

// BoardConfig configures NewBoard. Sink is required.
type BoardConfig struct {
	Sink       Sink
	QuoteTTL   time.Duration // a last value without a new quote is forgotten after it; 0 = 60 s
	StaleAfter time.Duration // a symbol without a quote for so long is stale; 0 = 10 s
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Board keeps the last value and the status of every symbol that this node
// follows, and the names of the others. It puts what the Receiver brings into
// the one order of acceptance, without gap and without repetition, and tells
// the Sink what changes. It is safe for concurrent use. Run must be running for
// statuses to age.
//
// Where a number is missing, the quotes that came after it are held until the
// Receiver has read the missing ones from history (refill.go).
type Board struct {
	cfg     BoardConfig
	log     *slog.Logger
	metrics *boardMetrics
	gapped  chan struct{} // holds a token when gaps was added to

	mu      sync.Mutex // guards what follows and every entry; the Sink is never called under it
	entries map[feed.Symbol]*entry
	healing bool // somebody reads what is missing
	gaps    map[feed.Symbol]time.Time
	held    int // quotes held by all entries
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
		cfg: cfg, log: conn.Logger(cfg.Logger), metrics: newBoardMetrics(cfg.Registerer),
		gapped:  make(chan struct{}, 1),
		entries: map[feed.Symbol]*entry{}, gaps: map[feed.Symbol]time.Time{},
	}
}

// Apply takes a quote that just arrived. It is ignored if its symbol is not
// followed, or if it is not newer than the last one. Quotes of one symbol must be
// applied by one goroutine, in the order in which Redis sent them. A symbol
// never heard of is followed from its first quote on.
func (b *Board) Apply(a feed.Tick) {
	now := time.Now()
	b.mu.Lock()
	e := b.entries[a.Symbol]
	if e == nil {
		e = b.entry(a.Symbol)
		e.state = following
	}
	e.live = true
	switch h := (arrival{a, now, now.Add(b.cfg.QuoteTTL)}); {
	case e.state == idle: // on its way when it was given up
		b.mu.Unlock()
	case e.outdated(a):
		b.mu.Unlock()
		b.metrics.outdated.Inc()
	case e.state == opening:
		e.saw(a)
		b.holdNewest(e, h)
		b.mu.Unlock()
	case e.filling || b.healing && !e.follows(a):
		e.saw(a)
		b.hold(a.Symbol, e, h)
		b.mu.Unlock()
	default:
		e.saw(a)
		missed := b.set(e, h, now)
		b.emit(a.Symbol, e) // unlocks
		b.countMissed(missed)
	}
}

// emit hands the events of e to the Sink, unless another goroutine does so
// already. b.mu is held and released.
func (b *Board) emit(s feed.Symbol, e *entry) {
	if e.emitting {
		b.mu.Unlock()
		return
	}
	e.emitting = true
	for len(e.events) > 0 {
		events := e.events
		e.events = e.spare[:0]
		b.mu.Unlock()
		for _, ev := range events {
			switch ev.kind {
			case eventQuote:
				b.cfg.Sink.Publish(string(s), ev.quote.Epoch, ev.quote.Seq, ev.quote.Body, ev.quote.At)
			case eventStatus:
				b.cfg.Sink.SetStatus(string(s), string(ev.status), ev.source, ev.since)
			case eventDrop:
				b.cfg.Sink.Drop(string(s))
			case eventFollow, eventLeave:
				b.cfg.Sink.Follow(string(s), ev.kind == eventFollow)
			}
		}
		clear(events) // the quotes may be freed
		if cap(events) > maxSpareEvents {
			events = nil // as after a refill
		}
		b.mu.Lock()
		e.spare = events
	}
	e.emitting = false
	b.mu.Unlock()
}

func (b *Board) countMissed(n uint64) {
	if n > 0 {
		b.metrics.missed.Add(float64(n))
	}
}

// entry returns that of s, new and idle if there is none. b.mu is held.
func (b *Board) entry(s feed.Symbol) *entry {
	e := b.entries[s]
	if e == nil {
		e = &entry{status: feed.StatusUnknown, since: time.Now()}
		b.entries[s] = e
	}
	return e
}

// Run ages the statuses until ctx ends and returns nil.
func (b *Board) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(b.cfg.StaleAfter/8, 10*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.tick()
		}
	}
}

func (b *Board) tick() {
	now := time.Now()
	changed := map[feed.Symbol]*entry{}
	counts := map[feed.Status]int{}
	followed := 0
	b.mu.Lock()
	for s, e := range b.entries {
		if e.state == following {
			followed++
			if b.age(e, now) {
				changed[s] = e
			}
		}
		if e.forgettable() {
			delete(b.entries, s)
			continue
		}
		counts[e.status]++
	}
	b.mu.Unlock()
	for s, e := range changed {
		b.mu.Lock()
		b.emit(s, e) // unlocks
	}
	for status, g := range b.metrics.symbols {
		g.Set(float64(counts[status]))
	}
	b.metrics.followed.Set(float64(followed))
}

// Last returns the newest number received of s and its acceptance in Unix
// microseconds, or "" if none was. It fits PublisherConfig.Known. It remembers
// symbols that are no longer followed.
func (b *Board) Last(s feed.Symbol) (epoch string, seq uint64, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[s]; e != nil {
		return e.newest.epoch, e.newest.seq, e.newest.at
	}
	return "", 0, 0
}
