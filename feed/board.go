package feed

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sink takes what the feed has to tell. Its methods must not block, and must
// not call back into the Board or Receiver. For one symbol they are called one
// at a time and in order; for different symbols perhaps at once.
type Sink interface {
	// Publish hands on a quote. body is its JSON for clients without the
	// closing brace, as Accepted.Body; it is immutable and may be kept. at is
	// the acceptance in Unix microseconds.
	Publish(symbol, epoch string, seq uint64, body []byte, at int64)
	// SetStatus tells that a symbol is StatusLive, StatusStale, StatusClosed or
	// StatusUnknown and since when. A change to live comes before the quote
	// that caused it.
	SetStatus(symbol, status, source string, since time.Time)
	// Drop tells that the last value has expired.
	Drop(symbol string)
	// Relay hands on a message of one of the further channels. data is valid
	// JSON, and may be kept.
	Relay(channel string, data []byte)
	// Degraded tells that quotes no longer arrive from Redis (true), or do
	// again and all last values are up to date (false).
	Degraded(bool)
}

// BoardConfig configures NewBoard. Sink is required.
type BoardConfig struct {
	Sink       Sink
	QuoteTTL   time.Duration // a last value without a new quote is forgotten after it; 0 = 60 s
	StaleAfter time.Duration // a symbol without a quote for so long is stale; 0 = 10 s
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Board keeps the last value and the status of every symbol on this node and
// tells the Sink what changes. It is safe for concurrent use. Run must be
// running for statuses to age.
type Board struct {
	cfg     BoardConfig
	log     *slog.Logger
	metrics *boardMetrics

	mu      sync.Mutex // guards what follows and every entry; the Sink is never called under it
	entries map[Symbol]*entry
	round   uint64 // subscription the live quotes come from; see merge
}

// entry is one symbol.
type entry struct {
	last    Accepted // kept after it expired, to tell newer from older
	has     bool     // last has not expired
	arrived time.Time
	expires time.Time
	round   uint64 // of the last live quote

	status Status
	since  time.Time

	// Whoever changes an entry appends events under mu; one goroutine at a
	// time, the one that set emitting, hands them to the Sink outside mu. So
	// they reach it in the order of the changes. More than the events of one
	// call gather only while the Sink is being called.
	events, spare []event
	emitting      bool
}

type event struct {
	kind   eventKind
	quote  Accepted
	status Status
	since  time.Time
}

type eventKind int

const (
	eventQuote eventKind = iota
	eventStatus
	eventDrop
)

// NewBoard returns an empty Board.
func NewBoard(cfg BoardConfig) *Board {
	if cfg.QuoteTTL <= 0 {
		cfg.QuoteTTL = time.Minute
	}
	if cfg.StaleAfter <= 0 {
		cfg.StaleAfter = 10 * time.Second
	}
	return &Board{
		cfg: cfg, log: logger(cfg.Logger), metrics: newBoardMetrics(cfg.Registerer),
		entries: map[Symbol]*entry{},
	}
}

// Apply takes a quote that just arrived. It is ignored if it is not newer than
// the last one of the same epoch. A quote of another epoch is always newer:
// Redis publishes in the order of acceptance. Quotes of one symbol must be
// applied by one goroutine.
func (b *Board) Apply(a Accepted) {
	now := time.Now()
	b.mu.Lock()
	e := b.entry(a.Symbol)
	e.round = b.round
	if e.last.Epoch == a.Epoch && a.Seq <= e.last.Seq {
		b.mu.Unlock()
		b.metrics.outdated.Inc()
		return
	}
	missed := b.set(e, a, now, now, now.Add(b.cfg.QuoteTTL))
	b.emit(a.Symbol, e) // unlocks
	b.countMissed(missed)
}

// set makes a the last value and returns how many before it were missed.
// b.mu is held.
func (b *Board) set(e *entry, a Accepted, now, arrived, expires time.Time) (missed uint64) {
	switch {
	case e.last.Epoch == a.Epoch:
		missed = a.Seq - e.last.Seq - 1
	case e.last.Epoch != "":
		missed = a.Seq - 1
	}
	e.last, e.has, e.arrived, e.expires = a, true, arrived, expires
	b.age(e, now)
	e.events = append(e.events, event{kind: eventQuote, quote: a})
	return missed
}

// age brings the status of e up to now and reports whether it changed. b.mu is held.
func (b *Board) age(e *entry, now time.Time) bool {
	if e.has && !now.Before(e.expires) {
		e.has = false
		b.metrics.dropped.Inc()
		e.events = append(e.events, event{kind: eventDrop})
	}
	status := StatusAt(e.arrived, now, b.cfg.StaleAfter, e.has)
	if status == e.status {
		return false
	}
	e.status, e.since = status, now
	if became := e.arrived.Add(b.cfg.StaleAfter); status == StatusStale && became.Before(now) {
		e.since = became
	}
	e.events = append(e.events, event{kind: eventStatus, status: e.status, since: e.since})
	return true
}

// emit hands the events of e to the Sink, unless another goroutine does so
// already. b.mu is held and released.
func (b *Board) emit(s Symbol, e *entry) {
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
				b.cfg.Sink.SetStatus(string(s), string(ev.status), "", ev.since)
			case eventDrop:
				b.cfg.Sink.Drop(string(s))
			}
		}
		clear(events) // the quotes may be freed
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

// entry returns that of s, new if there is none. b.mu is held.
func (b *Board) entry(s Symbol) *entry {
	e := b.entries[s]
	if e == nil {
		e = &entry{status: StatusUnknown, since: time.Now()}
		b.entries[s] = e
	}
	return e
}

// storedQuote is a last value read from Redis.
type storedQuote struct {
	quote Accepted
	life  time.Duration // until Redis forgets it
}

// beginRound marks the start of a new subscription.
func (b *Board) beginRound() {
	b.mu.Lock()
	b.round++
	b.mu.Unlock()
}

// merge takes last values that were read from Redis after the current
// subscription was confirmed; every quote published before they were read has
// been applied. Hence a symbol with a live quote of this round is at least as
// new as the value read, and any other symbol at most as new.
func (b *Board) merge(symbols []Symbol, stored []storedQuote) {
	b.mu.Lock()
	for _, s := range symbols {
		b.entry(s)
	}
	b.mu.Unlock()
	for _, v := range stored {
		now := time.Now()
		b.mu.Lock()
		e := b.entry(v.quote.Symbol)
		if b.round > 0 && e.round == b.round || v.quote.Epoch == e.last.Epoch && v.quote.Seq <= e.last.Seq {
			b.mu.Unlock()
			continue
		}
		expires := now.Add(v.life)
		arrived := expires.Add(-b.cfg.QuoteTTL)
		if arrived.After(now) {
			arrived = now // another node keeps values for longer
		}
		missed := b.set(e, v.quote, now, arrived, expires)
		b.emit(v.quote.Symbol, e) // unlocks
		b.countMissed(missed)
	}
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
	changed := map[Symbol]*entry{}
	counts := map[Status]int{}
	b.mu.Lock()
	for s, e := range b.entries {
		if b.age(e, now) {
			changed[s] = e
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
}

// Last returns the newest number received of s and its acceptance in Unix
// microseconds, or "" if none was. It fits PublisherConfig.Known.
func (b *Board) Last(s Symbol) (epoch string, seq uint64, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[s]; e != nil {
		return e.last.Epoch, e.last.Seq, e.last.At
	}
	return "", 0, 0
}

// LastQuote is the last value of a symbol.
type LastQuote struct {
	Accepted
	Status Status
	Since  time.Time // of the status
}

// Quotes returns the last values of the symbols that any of the canonical
// patterns names, sorted by symbol. Symbols without one are left out.
func (b *Board) Quotes(patterns []string) []LastQuote {
	var quotes []LastQuote
	b.mu.Lock()
	for s, e := range b.entries {
		if e.has && slices.ContainsFunc(patterns, func(p string) bool { return MatchPattern(p, s) }) {
			quotes = append(quotes, LastQuote{e.last, e.status, e.since})
		}
	}
	b.mu.Unlock()
	slices.SortFunc(quotes, func(a, b LastQuote) int { return strings.Compare(string(a.Symbol), string(b.Symbol)) })
	return quotes
}

// SymbolInfo describes a symbol that has been published at some time.
type SymbolInfo struct {
	Symbol Symbol
	Digits int
	Pip    string
	Status Status
	Last   time.Time // time of the last value; zero if there is none
}

// Symbols returns all known symbols, sorted.
func (b *Board) Symbols() []SymbolInfo {
	b.mu.Lock()
	infos := make([]SymbolInfo, 0, len(b.entries))
	for s, e := range b.entries {
		info := SymbolInfo{Symbol: s, Status: e.status}
		if e.has {
			info.Last = e.last.Time
		}
		infos = append(infos, info)
	}
	b.mu.Unlock()
	for i := range infos {
		infos[i].Digits, infos[i].Pip = infos[i].Symbol.Digits(), infos[i].Symbol.Pip()
	}
	slices.SortFunc(infos, func(a, b SymbolInfo) int { return strings.Compare(string(a.Symbol), string(b.Symbol)) })
	return infos
}
