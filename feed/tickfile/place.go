package tickfile

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// place is the information in the path of a .bi5 file.
type place struct {
	hour   time.Time
	hourly bool // hour is known
}

// hourPath is Dukascopy's own layout, whose months count from 0: …/2012/11/03 is in December.
// hourName is a file name with an ordinary date.
var (
	hourPath = regexp.MustCompile(`(?:^|/)(\d{4})/(\d{2})/(\d{2})/(\d{2})h_ticks\.bi5`)
	hourName = regexp.MustCompile(`(?:^|[^0-9])(\d{4})-(\d{2})-(\d{2})_(\d{2})h`)
)

func parsePlace(names []string) place {
	for i := len(names) - 1; i >= 0; i-- {
		name := filepath.ToSlash(names[i])
		shift := 1
		m := hourPath.FindStringSubmatch(name)
		if m == nil {
			shift = 0
			m = hourName.FindStringSubmatch(name)
		}
		if m == nil {
			continue
		}
		month, _ := strconv.Atoi(m[2]) // the pattern allows only digits
		if t, ok := parseTime(fmt.Sprintf("%s%02d%s %s", m[1], month+shift, m[3], m[4]), "yyyyMMdd HH"); ok {
			return place{hour: t, hourly: true}
		}
	}
	return place{}
}

// findSymbol finds the symbol in the names of a file: in the name of the archive's member, then in
// the file's own, then in those of its folders. The name of a folder must be a symbol and nothing
// else.
func findSymbol(names []string, instruments *feed.Instruments) (feed.Symbol, error) {
	for i := len(names) - 1; i >= 0; i-- {
		dir, base := filepath.Split(filepath.Clean(filepath.FromSlash(names[i])))
		found := symbolsIn(base, instruments)
		if len(found) > 1 {
			return "", fmt.Errorf("%w: the name %s has %s and %s; give the symbol", ErrNoSymbol, quoted(base), found[0], found[1])
		}
		if len(found) == 1 {
			return found[0], nil
		}
		parts := strings.Split(filepath.ToSlash(dir), "/")
		for j := len(parts) - 1; j >= 0; j-- {
			if s, err := instruments.ParseSymbol(parts[j]); err == nil {
				return s, nil
			}
		}
	}
	base := filepath.Base(names[0])
	for _, w := range wordsIn(base) {
		if len(w) == 6 && w == strings.ToUpper(w) && !strings.ContainsAny(w, "0123456789") {
			return "", fmt.Errorf("%w: %s in the name %s is not a known symbol (INSTRUMENTS may list it); give the symbol", ErrNoSymbol, w, quoted(base))
		}
	}
	return "", fmt.Errorf("%w: neither the content nor the name %s contains it; give the symbol", ErrNoSymbol, quoted(base))
}

// symbolsIn returns the symbols in the name of a file: EURUSD, an alias of INSTRUMENTS, or EUR_USD
// between other words; else EURUSD at the beginning of a word, as in a broker's EURUSDm.
func symbolsIn(base string, instruments *feed.Instruments) []feed.Symbol {
	words := wordsIn(base)
	var found []feed.Symbol
	add := func(text string) {
		s, err := instruments.ParseSymbol(text)
		if err != nil {
			return
		}
		for _, f := range found {
			if f == s {
				return
			}
		}
		found = append(found, s)
	}
	for _, w := range words {
		add(w)
	}
	if found == nil {
		for i := range len(words) - 1 {
			if len(words[i]) == 3 && len(words[i+1]) == 3 {
				add(words[i] + words[i+1])
			}
		}
	}
	if found == nil {
		for _, w := range words {
			if len(w) > 6 {
				add(w[:6])
			}
		}
	}
	return found
}

// wordsIn splits a name at every character other than a letter or digit.
func wordsIn(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
