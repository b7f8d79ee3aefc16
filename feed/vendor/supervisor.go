package vendor

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
)

// Config configures New. Vendor, Target.Symbols, Publish, Halt and Reject are required.
type Config struct {
	Vendor Vendor
	// Target needs no fields that Traits have, nor Alive.
	Target Target
	// Lease lets one of several processes be connected; nil = this process is the only one.
	Lease Lease

	// Publish receives quotes in order, and copies them. It may wait. Its error is ctx's.
	Publish func(ctx context.Context, quotes []feed.Quote) error
	// Halt makes the last quote of a symbol not current, if it came from this source. It reports
	// whether the quote was current.
	Halt func(ctx context.Context, s feed.Symbol) (halted bool, err error)
	// Reject receives quotes that could not be read.
	Reject func(BadQuote)

	Registerer prometheus.Registerer // may be nil
	Logger     *slog.Logger          // nil = slog.DiscardHandler
}

// Lease calls work while no other process works; see accept.Lease.
type Lease interface {
	Hold(ctx context.Context, work func(ctx context.Context) error) error
}

// Supervisor keeps one connection to a vendor.
//
// It connects again after any failure, with growing pauses and without giving up, except when the
// vendor refuses the target. A vendor that sends nothing for two heartbeats is silent: this is
// logged and counted, the symbols are halted, and the connection is replaced.
type Supervisor struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	halts   *halts
	pace    pace
	alive   chan struct{} // holds a token after a sign of life

	// Owned by the goroutine that works.
	delays    delays
	worked    bool      // the vendor has sent a price
	refusals  int       // in a row
	silent    time.Time // since when the vendor is silent; zero if it is not
	published map[feed.Symbol]bool
	halted    map[feed.Symbol]bool
	unknown   map[feed.Symbol]bool
	last      map[feed.Symbol]feed.Quote // of this connection
}

// New returns a Supervisor that connects when Run is called.
func New(cfg Config) *Supervisor {
	traits := cfg.Vendor.Traits()
	cfg.Target.URL = cmp.Or(cfg.Target.URL, traits.URL)
	cfg.Target.Source = cmp.Or(cfg.Target.Source, traits.Name)
	cfg.Target.Heartbeat = cmp.Or(cfg.Target.Heartbeat, traits.Heartbeat)
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)).With("vendor", traits.Name)
	cfg.Target.Log = log
	s := &Supervisor{
		cfg: cfg, log: log, metrics: newMetrics(cfg.Registerer, traits.Name), alive: make(chan struct{}, 1),
		pace: defaultPace(traits), unknown: map[feed.Symbol]bool{},
	}
	s.halts = newHalts(cfg.Halt)
	s.cfg.Target.Alive = func() {
		select {
		case s.alive <- struct{}{}:
		default:
		}
	}
	return s
}

// Run passes on the quotes of the vendor until ctx ends, then returns nil. Its error is *Refused.
//
//	Run          holds the lease and works                  (the caller's goroutine)
//	* converse   connects and reads                         (1 goroutine per connection)
//	* halts.run  halts symbols, and repeats what failed     (1 goroutine)
func (s *Supervisor) Run(ctx context.Context) error {
	halting, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	parts.Go(func() { s.halts.run(halting) })
	if s.cfg.Lease == nil {
		return s.work(ctx)
	}
	return s.cfg.Lease.Hold(ctx, s.work)
}

// work keeps a connection until ctx ends or the vendor refuses the target.
func (s *Supervisor) work(ctx context.Context) error {
	s.metrics.leader.Set(1)
	defer s.metrics.leader.Set(0)
	s.published, s.halted, s.silent = map[feed.Symbol]bool{}, map[feed.Symbol]bool{}, time.Time{}
	silence := time.NewTimer(s.pace.open + s.limit())
	defer silence.Stop()
	for {
		began := time.Now()
		err := s.connection(ctx, silence)
		if ctx.Err() != nil {
			return nil
		}
		wait, err := s.after(err, began)
		if err != nil || !s.pause(ctx, silence, wait) {
			return err
		}
	}
}

// limit is how long a vendor may send nothing.
func (s *Supervisor) limit() time.Duration { return 2 * s.cfg.Target.Heartbeat }

var (
	errSilent  = errors.New("no message for two heartbeats")
	errTimeout = errors.New("the vendor did not answer in time")
)

// connection connects once and passes on what arrives. It returns why the connection ended. Silence
// counts although the connection may end at the same moment: the timer does not fire again.
func (s *Supervisor) connection(working context.Context, silence *time.Timer) error {
	ctx, end := context.WithCancelCause(working)
	established, updates := make(chan struct{}), make(chan Update)
	var reading sync.WaitGroup
	reading.Go(func() { end(s.converse(ctx, end, established, updates)) })
	defer reading.Wait()
	defer end(nil)
	defer s.metrics.up.Set(0)
	s.last = map[feed.Symbol]feed.Quote{}
	watch := time.NewTimer(s.pace.open + s.limit()) // over this connection, as silence is over all of them
	defer watch.Stop()
	for {
		select {
		case <-established:
			established = nil
			watch.Reset(s.limit())
		case u := <-updates:
			s.heard()
			if err := s.take(ctx, u); err != nil {
				return context.Cause(ctx)
			}
			silence.Reset(s.limit()) // not before take: publishing may have waited
			watch.Reset(s.limit())
		case <-s.alive:
			s.heard()
			silence.Reset(s.limit())
			watch.Reset(s.limit())
		case <-silence.C:
			s.fellSilent(working)
		case <-watch.C:
			s.fellSilent(working)
			return errSilent
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// converse connects and reads until the connection ends. It closes established once it is
// connected.
func (s *Supervisor) converse(ctx context.Context, end context.CancelCauseFunc, established chan<- struct{}, updates chan<- Update) error {
	timeout := time.AfterFunc(s.pace.open, func() { end(errTimeout) })
	stream, err := s.cfg.Vendor.Connect(ctx, s.cfg.Target)
	timeout.Stop()
	if err != nil {
		return err
	}
	defer stream.Close()
	close(established)
	s.log.Info("connected, waiting for quotes", "symbols", len(s.cfg.Target.Symbols))
	for {
		u, err := stream.Read(ctx)
		if err != nil {
			return err
		}
		select {
		case updates <- u:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take passes on an update. Its error is ctx's.
func (s *Supervisor) take(ctx context.Context, u Update) error {
	s.metrics.ignored.Add(float64(u.Ignored))
	for symbol, words := range u.Unknown {
		if !s.unknown[symbol] {
			s.unknown[symbol] = true
			s.log.Warn("the vendor does not send a symbol, going on with the others", "symbol", symbol, "reason", words)
		}
	}
	for _, bad := range u.Bad {
		s.cfg.Reject(bad)
	}
	if len(u.Halted) > 0 {
		s.worked = true
		for _, symbol := range u.Halted {
			s.halted[symbol] = true
		}
		s.halts.add(u.Halted)
	}
	quotes := s.fresh(u.Quotes)
	if len(quotes) > 0 {
		s.worked, s.refusals = true, 0
		s.metrics.quotes.Add(float64(len(quotes)))
		s.halts.end(ctx, quotes)
		for _, q := range quotes {
			delete(s.halted, q.Symbol)
			s.published[q.Symbol] = true
		}
		if err := s.cfg.Publish(ctx, quotes); err != nil {
			return err
		}
	}
	s.metrics.halted.Set(float64(len(s.halted)))
	return ctx.Err()
}

// fresh returns the quotes without those that repeat the one before of their symbol. The first of a
// connection is never a repetition: it shows that the price is current.
func (s *Supervisor) fresh(quotes []feed.Quote) (fresh []feed.Quote) {
	for _, q := range quotes {
		if before, ok := s.last[q.Symbol]; ok && before == q {
			s.metrics.repeated.Inc()
			continue
		}
		s.last[q.Symbol] = q
		fresh = append(fresh, q)
	}
	return fresh
}

// heard notes a sign of life.
func (s *Supervisor) heard() {
	s.metrics.messages.Inc()
	s.metrics.heard.Store(time.Now().UnixNano())
	s.metrics.up.Set(1)
	if !s.silent.IsZero() {
		s.log.Info("the vendor sends again", "silent_for", time.Since(s.silent).Round(time.Millisecond))
		s.silent = time.Time{}
		s.metrics.silent.Set(0)
	}
}

// fellSilent reports that the vendor has sent nothing for too long, and halts its symbols.
func (s *Supervisor) fellSilent(ctx context.Context) {
	s.metrics.up.Set(0)
	if ctx.Err() != nil || !s.silent.IsZero() {
		return
	}
	s.silent = time.Now()
	s.metrics.silent.Set(1)
	s.metrics.silences.Inc()
	s.log.Warn("the vendor is silent, its symbols are not live any more", "limit", s.limit())
	var symbols []feed.Symbol
	for symbol := range s.published {
		symbols = append(symbols, symbol)
	}
	s.halts.add(symbols)
}

// pause waits before the next connect. It returns false when ctx ends.
func (s *Supervisor) pause(ctx context.Context, silence *time.Timer, wait time.Duration) bool {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		select {
		case <-over.C:
			return true
		case <-silence.C:
			s.fellSilent(ctx)
		case <-ctx.Done():
			return false
		}
	}
}
