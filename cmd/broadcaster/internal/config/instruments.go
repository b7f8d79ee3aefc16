package config

import (
	"slices"
	"strings"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// Dates are the dates of HOLIDAYS.
type Dates feed.Dates

func (d *Dates) read(name, text string, k *checker) {
	dates, err := feed.ParseDates(strings.Split(text, ","))
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*d = Dates(dates)
}

// Limits holds a limit for pairs of two G10 currencies, and one for all other symbols.
type Limits feed.LimitPair

func (l *Limits) read(name, text string, k *checker) {
	limits, err := feed.ParseLimitPair(text)
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*l = Limits(limits)
}

// Limit is a limit for all symbols.
type Limit feed.Limit

func (l *Limit) read(name, text string, k *checker) {
	limit, err := feed.ParseLimit(text)
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*l = Limit(limit)
}

// Candles are the intervals of CANDLES.
type Candles feed.KeptCandles

func (l *Candles) read(name, text string, k *checker) {
	kept, err := feed.ParseKeptCandles(text)
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*l = Candles(kept)
}

// Gate returns the settings of the gate that do not depend on the symbol.
func (f *Feed) Gate() accept.Gate {
	return accept.Gate{Confirm: f.GateConfirm, MaxGap: feed.Limit(f.MaxGap), StaleAfter: f.StaleAfter, MaxLag: f.MaxLag, LastKnown: f.LastKnown}
}

// makeInstruments makes the table of instruments. If INSTRUMENTS is wrong the table is nil, which
// means the built-in instruments.
func (f *Feed) makeInstruments(k *checker) {
	var err error
	f.Instruments, err = feed.NewInstruments(feed.InstrumentsConfig{
		Listing:  f.Listing,
		Suffixes: slices.DeleteFunc(slices.Clone(f.Suffixes), func(s string) bool { return feed.CheckSuffix(s) != nil }), // reported already
		Holidays: feed.Dates(f.Holidays), MaxJump: feed.LimitPair(f.MaxJump), MaxSpread: feed.LimitPair(f.MaxSpread),
	})
	if err != nil {
		k.say("INSTRUMENTS", strings.TrimPrefix(err.Error(), "feed: instruments: "))
	}
}
