// Package simulator generates quotes of the 28 pairs of EUR, USD, JPY, GBP, CHF, AUD, CAD and NZD
// that behave like a market. They start at the European Central Bank's reference rates of 13 April
// 2026, walk at random and agree with each other within their spreads. They come in bursts with
// pauses in between, and have the digits and spreads of real quotes. The simulator also runs at
// weekends.
//
// Prices are integers in units of their last digit throughout. Floats are used only for the time
// between ticks.
package simulator

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// Bounds of Config.Rate.
const (
	DefaultRate = 100
	MinRate     = 0.001
	MaxRate     = 1_000_000
)

// DefaultSource is the source of the quotes if Config does not name one.
const DefaultSource = "simulator"

// Config configures New. The zero value is valid.
type Config struct {
	// Seed selects the sequence: equal Configs give equal quotes and waits.
	Seed uint64
	// Rate is the average number of ticks per second over all symbols: half of it most of the time,
	// three and a half times as much in bursts. 0 means DefaultRate; other values are limited to
	// the range from MinRate to MaxRate.
	Rate float64
	// Symbols restricts the quotes to these symbols. Empty means all. Symbols that cannot be
	// simulated are ignored.
	Symbols []feed.Symbol
	// Start is the initial time of the simulated clock; spreads depend on the hour. Zero means 13
	// April 2026, 14:15 in Frankfurt, so that the quotes depend on Seed alone.
	Start time.Time
	// Source is the source of the quotes. Empty means DefaultSource.
	Source string
}

// Symbols returns the symbols that can be simulated, majors first. The caller owns the slice.
func Symbols() []feed.Symbol {
	symbols := make([]feed.Symbol, len(allTerms))
	for i, t := range allTerms {
		symbols[i] = t.symbol
	}
	return symbols
}

// Simulator generates quotes. It is not safe for concurrent use.
type Simulator struct {
	// Static after construction.
	rate   float64
	start  time.Time
	source string

	rng    *rand.Rand
	market *market
	clock  time.Duration // simulated time since start
	opened int           // pairs that have had their first quote
	burst  bool
	left   time.Duration // of the current burst or quiet spell
}

// Ticks come in bursts and quiet spells. The mean lengths and intensities give an average intensity
// of 1: (0.5·6 s + 3.5·1.2 s) / 7.2 s.
const (
	quietLength    = 6 * time.Second
	quietIntensity = 0.5
	burstLength    = 1200 * time.Millisecond
	burstIntensity = 3.5
)

// New returns a Simulator. It panics if none of cfg.Symbols can be simulated.
func New(cfg Config) *Simulator {
	var chosen []terms
	for _, t := range allTerms {
		if len(cfg.Symbols) == 0 || slices.Contains(cfg.Symbols, t.symbol) {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		panic("simulator: none of Config.Symbols can be simulated")
	}
	if cfg.Rate == 0 || math.IsNaN(cfg.Rate) {
		cfg.Rate = DefaultRate
	}
	if cfg.Start.IsZero() {
		cfg.Start = time.Date(2026, 4, 13, 12, 15, 0, 0, time.UTC)
	}
	if cfg.Source == "" {
		cfg.Source = DefaultSource
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	s := &Simulator{
		rate:   min(max(cfg.Rate, MinRate), MaxRate),
		start:  cfg.Start.UTC(),
		source: cfg.Source,
		rng:    rng,
		market: newMarket(rng, chosen),
	}
	s.left = s.spell(quietLength)
	return s
}

// Next returns the next quote and how long to wait for it after the previous one. The first quotes,
// one per symbol, come without a wait. Quote.Time is the simulated clock, which starts at
// Config.Start and advances by the waits.
func (s *Simulator) Next() (q feed.Quote, wait time.Duration) {
	var p *pair
	if s.opened < len(s.market.pairs) {
		p = s.market.pairs[s.opened]
		s.opened++
	} else {
		wait = s.wait()
		s.clock += wait
	}
	now := s.start.Add(s.clock)
	micros := s.clock.Microseconds()
	volatility, width := int64(100), int64(100)
	if s.burst {
		volatility, width = 200, 150
	}
	if p == nil {
		p = s.market.pick(micros)
		s.market.tick(p, micros, now.Hour(), volatility, width)
	} else {
		s.market.requote(p, micros, hourSpread[now.Hour()])
	}
	var b [32]byte
	text := appendPrice(b[:0], p.bid, p.scale, p.digits)
	n := len(text)
	both := string(appendPrice(text, p.ask, p.scale, p.digits))
	return feed.Quote{
		Symbol: p.symbol, Bid: both[:n], Ask: both[n:], Time: now.Truncate(time.Microsecond), Source: s.source,
	}, wait
}

// wait draws the time to the next tick at random, through as many bursts and quiet spells as it
// spans.
func (s *Simulator) wait() (total time.Duration) {
	for {
		intensity := quietIntensity
		if s.burst {
			intensity = burstIntensity
		}
		gap := time.Duration(s.rng.ExpFloat64() / (s.rate * intensity) * float64(time.Second))
		if gap < s.left {
			s.left -= gap
			return total + gap
		}
		total += s.left
		s.burst = !s.burst
		if s.burst {
			s.left = s.spell(burstLength)
		} else {
			s.left = s.spell(quietLength)
		}
	}
}

func (s *Simulator) spell(mean time.Duration) time.Duration {
	return time.Duration(s.rng.ExpFloat64() * float64(mean))
}

// The pace of Run.
const (
	maxBatch   = 512
	minSleep   = time.Millisecond // quotes due within it are published together
	mostBehind = time.Second
)

// Run generates quotes in real time and passes those that are due to publish together, at most 512
// at once. It returns nil when ctx ends, and otherwise the first error of publish. The quotes slice
// is reused after publish has returned. Quote.Time is zero, so the time of acceptance is used. If
// publish falls behind by more than a second, Run skips the missed time.
func (s *Simulator) Run(ctx context.Context, publish func(ctx context.Context, quotes []feed.Quote) error) error {
	next, wait := s.Next()
	due := time.Now().Add(wait)
	sleep := time.NewTimer(0)
	defer sleep.Stop()
	batch := make([]feed.Quote, 0, maxBatch)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sleep.C:
		}
		now := time.Now()
		if now.Sub(due) > mostBehind {
			due = now
		}
		batch = batch[:0]
		for !due.After(now) && len(batch) < maxBatch {
			next.Time = time.Time{}
			batch = append(batch, next)
			next, wait = s.Next()
			due = due.Add(wait)
		}
		if len(batch) > 0 {
			if err := publish(ctx, batch); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
		if len(batch) == maxBatch {
			sleep.Reset(0)
		} else {
			sleep.Reset(max(time.Until(due), minSleep))
		}
	}
}
