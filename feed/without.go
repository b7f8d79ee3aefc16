package feed

import "time"

// These read with the table without settings, until every caller has one.

// ParseSymbol is Instruments.ParseSymbol without settings.
func ParseSymbol(s string) (Symbol, error) { return builtIn.ParseSymbol(s) }

// ParsePattern is Instruments.ParsePattern without settings.
func ParsePattern(s string) (string, error) { return builtIn.ParsePattern(s) }

// Digits is Instruments.Digits without settings.
func (s Symbol) Digits() int { return builtIn.Digits(s) }

// Pip is Instruments.Pip without settings.
func (s Symbol) Pip() string { return builtIn.Pip(s) }

// Check is Instruments.Check without settings.
func (q Quote) Check() error { return builtIn.Check(q) }

func (q Quote) check() *Rejection { return builtIn.check(q) }

// StatusAt is Instruments.StatusAt without settings.
func StatusAt(lastArrival, now time.Time, staleAfter time.Duration, hasValue bool) Status {
	return builtIn.StatusAt("", lastArrival, now, staleAfter, hasValue)
}
