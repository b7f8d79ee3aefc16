package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// InstrumentsConfig configures NewInstruments. The zero value gives the table without settings, but
// with no limits.
type InstrumentsConfig struct {
	// Listing is INSTRUMENTS: JSON if it begins with {, else the path of a file with such JSON. ""
	// lists nothing.
	//
	//	{"BTC/USD":{"digits":2,"pip":"1","hours":"always"},
	//	 "EUR/USD":{"aliases":["EURUSD.r"],"max_jump":"0.5%","max_spread":"20bp"}}
	//
	// The codes of a listed symbol become known: they may be paired with all other codes, and
	// wildcards may name them.
	Listing   string
	Suffixes  []string  // FEED_SUFFIXES: endings that the name of a symbol may have
	Holidays  Dates     // HOLIDAYS, of the hours fx
	MaxJump   LimitPair // GATE_MAX_JUMP, for symbols without a limit of their own
	MaxSpread LimitPair // GATE_MAX_SPREAD
}

const (
	maxListing   = 4 << 20 // bytes of INSTRUMENTS
	maxAlias     = 64      // characters
	maxSuffix    = 16
	maxShownPath = 200
	maxDigits    = 18
)

// NewInstruments returns the table for c. The error lists up to eight wrong instruments, each with
// the wrong key; its text is bounded and printable.
func NewInstruments(c InstrumentsConfig) (*Instruments, error) {
	t := newInstruments()
	t.week = spotHours(slices.Clone(c.Holidays))
	t.jump, t.spread = c.MaxJump, c.MaxSpread
	for _, ending := range c.Suffixes {
		if err := CheckSuffix(ending); err != nil {
			return nil, fmt.Errorf("feed: %w", err)
		}
		t.endings = append(t.endings, ending)
	}
	text, err := readListing(c.Listing)
	if err != nil {
		return nil, fmt.Errorf("feed: instruments: %w", err)
	}
	if err := t.list(text); err != nil {
		return nil, fmt.Errorf("feed: instruments: %w", err)
	}
	return t, nil
}

// CheckSuffix returns an error if ending cannot be an entry of FEED_SUFFIXES.
func CheckSuffix(ending string) error {
	if ending == "" || len(ending) > maxSuffix || strings.ContainsFunc(ending, notInName) {
		return fmt.Errorf("suffix %s: want 1 to %d printable characters without blanks, commas and *", quoted(ending), maxSuffix)
	}
	return nil
}

// notInName reports whether r may occur in neither an alias nor a suffix.
func notInName(r rune) bool {
	return r == utf8.RuneError || r == ',' || r == '*' || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

func readListing(setting string) ([]byte, error) {
	setting = strings.TrimSpace(setting)
	if setting == "" || setting[0] == '{' {
		return []byte(setting), nil
	}
	f, err := os.Open(setting)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("neither a JSON object nor a readable file: %s: %w", quotedUpTo(setting, maxShownPath), err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxListing+1))
	if err != nil {
		return nil, fmt.Errorf("read the file %s: %w", quotedUpTo(setting, maxShownPath), err)
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, utf8Mark))
	if len(text) == 0 {
		return nil, fmt.Errorf("the file %s is empty", quotedUpTo(setting, maxShownPath))
	}
	return text, nil
}

// list adds INSTRUMENTS to the table. It adds codes and symbols before aliases, since only then it
// is known whether an alias names another symbol.
func (t *Instruments) list(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if len(text) > maxListing {
		return fmt.Errorf("longer than %d bytes", maxListing)
	}
	var order []Symbol
	var faults []error
	err := eachMember(text, func(name string, value json.RawMessage) error {
		symbol, err := t.add(name, value)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", quoted(name), err))
			return nil
		}
		order = append(order, symbol)
		return nil
	})
	if err != nil {
		return err
	}
	for _, symbol := range order {
		for _, alias := range t.listed[symbol].aliases {
			if err := t.alias(symbol, alias); err != nil {
				faults = append(faults, fmt.Errorf("%q: %w", symbol, err))
			}
		}
	}
	const shown = 8
	if more := len(faults) - shown; more > 0 {
		faults = append(faults[:shown], fmt.Errorf("and %d more", more))
	}
	return joinOnOneLine(faults)
}

func joinOnOneLine(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// add adds one instrument without its aliases.
func (t *Instruments) add(name string, value json.RawMessage) (Symbol, error) {
	symbol := Symbol(name)
	if !symbol.Canonical() {
		return "", fmt.Errorf("want two different codes of %d to %d capitals or digits with a slash between them, such as BTC/USD", minCode, maxCode)
	}
	in, err := parseInstrument(symbol, value)
	if err != nil {
		return "", err
	}
	base, quote := symbol.Base(), symbol.Quote()
	if other := t.joined[base+quote]; other != "" {
		return "", fmt.Errorf("without a separator it is written like %s", other)
	}
	t.listed[symbol], t.joined[base+quote] = in, symbol
	t.codes[base], t.codes[quote] = base, quote
	return symbol, nil
}

// alias adds another name of symbol.
func (t *Instruments) alias(symbol Symbol, name string) error {
	if other, ok := t.aliases[name]; ok && other != symbol {
		return fmt.Errorf("the alias %s also belongs to %s", quoted(name), other)
	}
	if other, ok := t.find(name); ok && other != symbol {
		return fmt.Errorf("the alias %s is the symbol %s", quoted(name), other)
	}
	t.aliases[name] = symbol
	return nil
}

func parseInstrument(symbol Symbol, raw json.RawMessage) (*instrument, error) {
	in := &instrument{digits: -1}
	err := eachMember(raw, func(name string, value json.RawMessage) (err error) {
		switch name {
		case "digits":
			in.digits, err = parseDigits(value)
		case "pip":
			in.pip, err = parsePip(value)
		case "aliases":
			in.aliases, err = parseAliases(value)
		case "hours":
			in.hours, err = parseHours(value)
		case "max_jump":
			in.jump, err = parseOwnLimit(name, value)
		case "max_spread":
			in.spread, err = parseOwnLimit(name, value)
		default:
			err = fmt.Errorf("unknown key %s, want digits, pip, aliases, hours, max_jump and max_spread", quoted(name))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	in.completeDigits(symbol)
	return in, nil
}

// completeDigits derives digits and pip from each other, or both from the symbol. Prices have one
// digit more than a pip.
func (in *instrument) completeDigits(symbol Symbol) {
	digits, pip := usualDigits(symbol)
	switch {
	case in.digits < 0 && in.pip == "":
		in.digits, in.pip = digits, pip
	case in.digits < 0:
		_, fraction, _ := strings.Cut(in.pip, ".")
		in.digits = len(fraction) + 1
	case in.pip == "" && in.digits < 2:
		in.pip = "1"
	case in.pip == "":
		in.pip = "0." + strings.Repeat("0", in.digits-2) + "1"
	}
}

func parseDigits(raw json.RawMessage) (int, error) {
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 0 || n > maxDigits || raw[0] == '-' {
		return 0, fmt.Errorf("digits: want a whole number from 0 to %d, got %s", maxDigits, quoted(shown(raw)))
	}
	return n, nil
}

func parsePip(raw json.RawMessage) (string, error) {
	text, ok := stringValue(raw)
	if !ok && isNumber(raw) {
		text, ok = string(raw), true
	}
	if ok {
		if pip, r := readPrice("pip", text); r == nil {
			return pip, nil
		}
	}
	return "", fmt.Errorf(`pip: want a decimal number above zero such as "0.0001", got %s`, quoted(shown(raw)))
}

func parseAliases(raw json.RawMessage) ([]string, error) {
	list, err := stringList(raw)
	if err != nil {
		return nil, fmt.Errorf("aliases: %w", err)
	}
	var aliases []string
	for _, name := range list {
		if name == "" || len(name) > maxAlias || strings.ContainsFunc(name, notInName) {
			return nil, fmt.Errorf("aliases: want names of 1 to %d printable characters without blanks, commas and *, got %s", maxAlias, quoted(name))
		}
		if !slices.Contains(aliases, name) {
			aliases = append(aliases, name)
		}
	}
	return aliases, nil
}

func parseOwnLimit(name string, raw json.RawMessage) (*Limit, error) {
	text, ok := stringValue(raw)
	if !ok && string(raw) == "0" {
		text, ok = "0", true
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errLimit)
	}
	l, err := ParseLimit(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w, got %s", name, err, quoted(text))
	}
	return &l, nil
}

// stringList reads a JSON array of strings.
func stringList(raw json.RawMessage) ([]string, error) {
	var list []*string
	if err := json.Unmarshal(raw, &list); err != nil || slices.Contains(list, nil) || raw[0] != '[' {
		return nil, errors.New("want an array of strings")
	}
	texts := make([]string, len(list))
	for i, text := range list {
		texts[i] = *text
	}
	return texts, nil
}
