// Package simulator makes up quotes of the 28 pairs of EUR, USD, JPY, GBP, CHF,
// AUD, CAD and NZD that behave like a market: they start at the European Central
// Bank's reference rates of 13 April 2026, walk at random, agree with each other
// within their spreads, come in bursts with pauses between, and have the digits
// and spreads of real quotes. It runs at weekends too.
//
// Prices are integers in units of their last digit throughout; floats are used
// only for the time between ticks.
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

// DefaultSource is the source of the quotes where Config names none.
const DefaultSource = "simulator"

// Config configures New. The zero value is good.
type Config struct {
	// Seed selects the sequence: the same Config gives the same quotes and waits.
	Seed uint64
	// Rate is how many ticks per second come on average over all symbols: fewer
	// most of the time, three and a half times as many in bursts. 0 means
	// DefaultRate; other values are brought within MinRate and MaxRate.
	Rate float64
	// Symbols restricts the quotes to these. Empty means all; those that
	// Symbols does not list are ignored.
	Symbols []feed.Symbol
	// Start is where the simulated clock starts: spreads depend on the hour.
	// Zero means 13 April 2026, 14:15 in Frankfurt, so that the quotes depend on
	// Seed alone.
	Start time.Time
	// Source names the quotes' source. Empty means DefaultSource.
	Source string
}

// Symbols returns the symbols that can be simulated, the majors first. The
// slice is the caller's.
func Symbols() []feed.Symbol {
	symbols := make([]feed.Symbol, len(allTerms))
	for i, t := range allTerms {
		symbols[i] = t.symbol
	}
	return symbols
}

// Simulator makes quotes. It is not safe for concurrent use.
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
	left   time.Duration // of the present burst or quiet spell
}

// Ticks come in two states. The mean lengths and intensities make the average
// intensity 1: (0.5·6 s + 3.5·1.2 s) / 7.2 s.
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

// Next returns the next quote and how long after the one before it comes. The
// first quotes, one of each symbol, come at once. Quote.Time is the simulated
// clock, which starts at Config.Start and runs by the waits.
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

// wait draws the time to the next tick, passing through as many bursts and
// quiet spells as that takes.
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

// How Run paces.
const (
	maxBatch   = 512
	minSleep   = time.Millisecond // what is due within it goes together
	mostBehind = time.Second
)

// Run makes quotes in real time until ctx ends, then returns nil, or until
// publish fails, then returns its error. Those due go to publish together, at
// most 512; quotes is used again after publish has returned. Their Time is zero:
// the time of publishing holds. What publish is too slow for, by more than a
// second, is not made up for.
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
