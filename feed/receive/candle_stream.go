package receive

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// CandleSink receives running and closed candles, and day figures. One goroutine calls it. Its
// methods must not block and must not call back into the CandleStream, except InterestChanged.
type CandleSink interface {
	// Candle receives a candle. One that is not open any more is final: for one symbol and interval
	// it comes once, before the next one.
	Candle(symbol, interval string, c protocol.Candle)
	// Day receives the figures of a symbol's day.
	Day(symbol string, d protocol.Day)
	// DropCandles reports that the running candles and day figures of a symbol are not known any more.
	DropCandles(symbol string)
	// WantsCandles reports whether any client of this node wants candles of an interval.
	WantsCandles(symbol, interval string) bool
	// WantsDay reports whether any client of this node wants figures of the day.
	WantsDay(symbol string) bool
}

// CandleStreamConfig configures NewCandleStream. Candles and Sink are required.
type CandleStreamConfig struct {
	Candles    *Candles
	Sink       CandleSink
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// CandleStream keeps the running candles and day figures that clients of this node want, and passes
// them to the Sink: a running candle at most four times a second, day figures once a second, and a
// closed candle within a second of its end, even if no tick follows.
//
// A running candle is read from Redis when it is first wanted. Then the ticks that the Board passes
// on are folded into it, if each follows the one before. After a jump, a new epoch or a clock that
// went back it is read again, with what was closed meanwhile: only the accept script knows what
// belongs to it. So is a candle that has ended without a later tick, since a tick may be on its way.
//
// A running candle is kept for half a minute after the last client has left it. Otherwise clients
// that come and go would have all candles read each time.
//
// While no client wants candles a tick costs one atomic load.
type CandleStream struct {
	cfg     CandleStreamConfig
	log     *slog.Logger
	metrics *candleMetrics
	started atomic.Bool
	linger  time.Duration
	wake    chan struct{}                                  // holds a token after a symbol was added to changed
	asks    chan []candleAsk                               // reads that are due; at most one batch waits
	symbols atomic.Pointer[map[feed.Symbol]*symbolCandles] // never changed, but replaced by Run; nil if empty

	mu      sync.Mutex // guards changed
	changed map[feed.Symbol]bool
}

// NewCandleStream returns a CandleStream that works while Run is running.
func NewCandleStream(cfg CandleStreamConfig) *CandleStream {
	return &CandleStream{
		cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), metrics: newCandleMetrics(cfg.Registerer),
		linger: candleLinger, wake: make(chan struct{}, 1), asks: make(chan []candleAsk, 1), changed: map[feed.Symbol]bool{},
	}
}

const (
	candleBeat     = 50 * time.Millisecond  // how often the running candles are looked at
	candleEvery    = 250 * time.Millisecond // between two running candles of a symbol and interval
	dayEvery       = time.Second
	candleWait     = 400 * time.Millisecond // from the end of a candle until it is read, if no tick follows
	candleDeadline = 2 * time.Second        // of a read
	candleLinger   = 30 * time.Second       // of candles that nobody wants any more
)

// InterestChanged reports that the Sink's answer to WantsCandles or WantsDay may have changed. It
// does not block.
func (c *CandleStream) InterestChanged(symbol string) {
	c.mu.Lock()
	c.changed[feed.Symbol(symbol)] = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run keeps the candles until ctx ends, waits for its goroutine and returns nil. It must be called
// only once.
//
//	Run       passes candles to the Sink, and finds those to read
//	* read    reads candles from Redis                            (1 goroutine)
func (c *CandleStream) Run(ctx context.Context) error {
	if c.started.Swap(true) {
		return errors.New("feed: CandleStream.Run called twice")
	}
	var parts sync.WaitGroup
	parts.Go(func() { c.read(ctx) })
	defer parts.Wait()
	beat := time.NewTicker(candleBeat)
	defer beat.Stop()
	for {
		due := beat.C
		if c.symbols.Load() == nil {
			due = nil
			beat.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
			now := time.Now()
			c.follow(now)
			beat.Reset(candleBeat)
			c.beat(now)
		case <-due:
			c.beat(time.Now())
		}
	}
}

// add folds a tick into the running candles of its symbol. Ticks of a symbol come one at a time and
// in order.
func (c *CandleStream) add(t *feed.Tick) {
	if c == nil {
		return
	}
	symbols := c.symbols.Load()
	if symbols == nil {
		return
	}
	if f := (*symbols)[t.Symbol]; f != nil {
		f.mu.Lock()
		f.add(t)
		f.mu.Unlock()
	}
}

// forget forgets the running candles of a symbol whose keys an operator has removed. Those that are
// wanted are read again.
func (c *CandleStream) forget(s feed.Symbol) {
	if c == nil {
		return
	}
	symbols := c.symbols.Load()
	if symbols == nil {
		return
	}
	if f := (*symbols)[s]; f != nil {
		f.mu.Lock()
		f.forget()
		f.mu.Unlock()
		c.InterestChanged(string(s)) // so that Run looks at once
	}
}

// follow begins candles by what the Sink now wants, and notes which it does not want any more.
func (c *CandleStream) follow(now time.Time) {
	c.mu.Lock()
	changed := c.changed
	c.changed = map[feed.Symbol]bool{}
	c.mu.Unlock()
	symbols := map[feed.Symbol]*symbolCandles{}
	if old := c.symbols.Load(); old != nil {
		maps.Copy(symbols, *old)
	}
	for s := range changed {
		f := symbols[s]
		if f == nil {
			f = &symbolCandles{symbol: s, hours: c.cfg.Candles.instruments.Hours(s)}
		}
		var wants [feed.Day + 1]bool
		for i := range wants {
			wants[i] = len(c.cfg.Candles.kept) > 0 && c.wants(s, feed.Interval(i))
		}
		f.mu.Lock()
		f.follow(wants, now)
		empty := f.end(now, c.linger)
		f.mu.Unlock()
		if symbols[s] = f; empty {
			delete(symbols, s)
		}
	}
	c.keep(symbols)
}

// keep replaces the symbols.
func (c *CandleStream) keep(symbols map[feed.Symbol]*symbolCandles) {
	c.metrics.followed.Set(float64(len(symbols)))
	if len(symbols) == 0 {
		c.symbols.Store(nil)
		return
	}
	c.symbols.Store(&symbols)
}

// wants asks the Sink; dayFigures stands for the figures of the day.
func (c *CandleStream) wants(s feed.Symbol, i feed.Interval) bool {
	if i == dayFigures {
		return c.cfg.Sink.WantsDay(string(s))
	}
	return c.cfg.Sink.WantsCandles(string(s), i.String())
}

// beat passes on what is due, and asks for the candles that must be read.
func (c *CandleStream) beat(now time.Time) {
	symbols := c.symbols.Load()
	if symbols == nil {
		return
	}
	var out []candleOut
	var asks []candleAsk
	var ended []feed.Symbol
	mayAsk := len(c.asks) == 0 // only Run sends
	for s, f := range *symbols {
		f.mu.Lock()
		if f.end(now, c.linger) {
			ended = append(ended, s)
		}
		out = f.due(out, now)
		if mayAsk {
			asks = f.asks(asks, now)
		}
		f.mu.Unlock()
	}
	if len(asks) > 0 {
		c.asks <- asks
	}
	if len(ended) > 0 {
		left := maps.Clone(*symbols)
		for _, s := range ended {
			delete(left, s)
		}
		c.keep(left)
	}
	for _, o := range out {
		o.deliver(c.cfg.Sink)
	}
}

// read answers the asks of Run.
func (c *CandleStream) read(ctx context.Context) {
	for {
		var asks []candleAsk
		select {
		case <-ctx.Done():
			return
		case asks = <-c.asks:
		}
		queries := make([]candleQuery, len(asks))
		for i, a := range asks {
			queries[i] = a.query
		}
		within, cancel := context.WithTimeout(ctx, candleDeadline)
		sent := time.Now()
		answers := c.cfg.Candles.read(within, queries)
		cancel()
		c.metrics.reads.Add(float64(len(asks)))
		failed := slices.IndexFunc(answers, func(a candleAnswer) bool { return a.err != nil })
		if failed >= 0 && ctx.Err() == nil {
			c.log.Debug("running candles cannot be read", "symbol", asks[failed].query.symbol, "err", answers[failed].err)
		}
		for i, a := range asks {
			if answers[i].err != nil {
				c.metrics.failed.Inc()
			}
			a.of.mu.Lock()
			a.of.take(a.line, answers[i], a.query.limit, sent)
			a.of.mu.Unlock()
		}
	}
}
