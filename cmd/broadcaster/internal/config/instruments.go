package config

import (
	"slices"
	"strings"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

// Dates are those of holidays.
type Dates feed.Dates

func (d *Dates) read(name, text string, k *checker) {
	dates, err := feed.ParseDates(strings.Split(text, ","))
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*d = Dates(dates)
}

// Limits are those of pairs of two G10 currencies and of all other symbols.
type Limits feed.LimitPair

func (l *Limits) read(name, text string, k *checker) {
	limits, err := feed.ParseLimitPair(text)
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*l = Limits(limits)
}

// Limit is one for all symbols.
type Limit feed.Limit

func (l *Limit) read(name, text string, k *checker) {
	limit, err := feed.ParseLimit(text)
	if err != nil {
		k.fault(name, text, err.Error())
	}
	*l = Limit(limit)
}

// Gate returns the settings of the gate that do not depend on the symbol.
func (f *Feed) Gate() accept.Gate {
	return accept.Gate{Confirm: f.GateConfirm, MaxGap: feed.Limit(f.MaxGap), StaleAfter: f.StaleAfter, MaxLag: f.MaxLag, LastKnown: f.LastKnown}
}

// makeInstruments makes the table of what is quoted. It is nil, the table without
// settings, if INSTRUMENTS is wrong.
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
