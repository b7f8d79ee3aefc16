package feed

import "strings"

// maxSymbolText bounds the length of a symbol's name: an alias, or two codes with a venue and an
// ending.
const maxSymbolText = 100

const separators = "/_-."

// ParseSymbol reads the name of a symbol. It tries these forms in order:
//
//   - an alias of INSTRUMENTS, exactly as written there;
//   - two known, different codes in upper or lower case, with / _ - . or nothing
//     between them; without a separator a listed instrument precedes 3 + 3 letters;
//   - either of these after a venue and a colon, OANDA:EUR_USD;
//   - either of these before an ending of FEED_SUFFIXES in any case, EURUSD.m.
//
// The error wraps ErrUnknownSymbol; its text is bounded, printable and may be shown to a client. A
// canonical s is returned unchanged, without allocation.
func (t *Instruments) ParseSymbol(s string) (Symbol, error) {
	t = t.table()
	if t.Known(Symbol(s)) {
		return Symbol(s), nil
	}
	if symbol, ok := t.find(s); ok {
		return symbol, nil
	}
	return "", t.refuse(s)
}

// find tries the forms of ParseSymbol one after another.
func (t *Instruments) find(s string) (Symbol, bool) {
	if len(s) > maxSymbolText {
		return "", false
	}
	if symbol, ok := t.name(s); ok {
		return symbol, true
	}
	if venue, rest, ok := strings.Cut(s, ":"); ok && venue != "" {
		s = rest
		if symbol, ok := t.name(s); ok {
			return symbol, true
		}
	}
	for _, ending := range t.endings {
		if n := len(s) - len(ending); n > 0 && strings.EqualFold(s[n:], ending) {
			if symbol, ok := t.name(s[:n]); ok {
				return symbol, true
			}
		}
	}
	return "", false
}

// name reads an alias or a pair of codes.
func (t *Instruments) name(s string) (Symbol, bool) {
	if symbol, ok := t.aliases[s]; ok {
		return symbol, true
	}
	return t.pair(s)
}

func (t *Instruments) pair(s string) (Symbol, bool) {
	base, quote, ok := split(s)
	if !ok {
		if symbol, ok := t.joined[upper(s)]; ok {
			return symbol, true
		}
		if base, quote, ok = threeAndThree(s); !ok {
			return "", false
		}
	}
	base, quote = t.codes[upper(base)], t.codes[upper(quote)]
	if base == "" || quote == "" || base == quote {
		return "", false
	}
	return Symbol(base + "/" + quote), true
}

// refuse returns an error that explains why s does not name a symbol.
func (t *Instruments) refuse(s string) error {
	const form = "give two currency codes, as in EUR/USD"
	if len(s) > maxSymbolText {
		return unknownSymbol(s, form)
	}
	text := s
	if venue, rest, ok := strings.Cut(s, ":"); ok && venue != "" {
		text = rest
	}
	base, quote, ok := split(text)
	if !ok {
		base, quote, ok = threeAndThree(text)
	}
	b, q := upper(base), upper(quote)
	switch {
	case !ok || !isCode(b) || !isCode(q):
		return unknownSymbol(s, form)
	case t.codes[b] == "":
		return unknownCode(s, base)
	case t.codes[q] == "":
		return unknownCode(s, quote)
	}
	return unknownSymbol(s, "the two currencies must differ")
}

func unknownCode(s, code string) error {
	return unknownSymbol(s, quoted(code)+
		" is not a current ISO 4217 currency or one of XAU, XAG, XPT, XPD, CNH, nor listed in INSTRUMENTS")
}

// ParsePattern reads a pattern of a subscription: a symbol in any form of ParseSymbol, * for every
// symbol, EUR/* for a base currency or */JPY for a quote currency. The codes must be known. It
// returns the canonical form; the error is as for ParseSymbol.
func (t *Instruments) ParsePattern(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	symbol, err := t.ParseSymbol(s)
	if err == nil || !strings.Contains(s, "*") || len(s) > maxSymbolText {
		return string(symbol), err
	}
	text := s
	if venue, rest, ok := strings.Cut(s, ":"); ok && venue != "" {
		text = rest
	}
	base, quote, ok := splitWildcard(text)
	t = t.table()
	switch {
	case !ok:
	case base == "*" && quote == "*":
		return "*", nil
	case base == "*":
		if code := t.codes[upper(quote)]; code != "" {
			return "*/" + code, nil
		}
		return "", unknownCode(s, quote)
	case quote == "*":
		if code := t.codes[upper(base)]; code != "" {
			return code + "/*", nil
		}
		return "", unknownCode(s, base)
	}
	return "", unknownSymbol(s, "give a symbol such as EUR/USD, or *, EUR/* or */JPY")
}

// splitWildcard cuts a text that contains a star: at its separator, or else before or after the
// star.
func splitWildcard(s string) (base, quote string, ok bool) {
	base, quote, ok = split(s)
	if !ok {
		if base, ok = strings.CutSuffix(s, "*"); ok {
			quote = "*"
		} else if quote, ok = strings.CutPrefix(s, "*"); ok {
			base = "*"
		}
		ok = ok && !strings.Contains(base+quote, "**") && len(s) > 2
	}
	half := func(h string) bool { return h == "*" || isCode(upper(h)) }
	return base, quote, ok && half(base) && half(quote)
}

// split cuts s at its first separator.
func split(s string) (base, quote string, ok bool) {
	i := strings.IndexAny(s, separators)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func threeAndThree(s string) (base, quote string, ok bool) {
	if len(s) != 6 {
		return "", "", false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return "", "", false
		}
	}
	return s[:3], s[3:], true
}

// upper converts ASCII letters only: Unicode case mapping would turn other letters into codes. A
// text too long for a symbol without separator is returned unchanged.
func upper(s string) string {
	var b [2 * maxCode]byte
	if len(s) > len(b) {
		return s
	}
	changed := false
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
			changed = true
		}
		b[i] = c
	}
	if !changed {
		return s
	}
	return string(b[:len(s)])
}
