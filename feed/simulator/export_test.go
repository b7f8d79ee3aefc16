package simulator

// UsualSpread returns the usual spread of a symbol in ticks.
func UsualSpread(symbol string) int64 {
	for _, t := range allTerms {
		if string(t.symbol) == symbol {
			return t.spread
		}
	}
	return 0
}
