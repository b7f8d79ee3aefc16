package feed_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed"
)

func TestParseSymbol(t *testing.T) {
	for in, want := range map[string]feed.Symbol{
		"EUR/USD": "EUR/USD", "EURUSD": "EUR/USD", "EUR_USD": "EUR/USD", "EUR-USD": "EUR/USD",
		"eurusd": "EUR/USD", "eur-usd": "EUR/USD", "Eur/uSd": "EUR/USD", "usd_jpy": "USD/JPY",
		"XAUUSD": "XAU/USD", "EUR/XCG": "EUR/XCG", "USD/VED": "USD/VED", "USDSLE": "USD/SLE", "usdzwg": "USD/ZWG",
		"EUR.USD": "EUR/USD", "usd.cnh": "USD/CNH", "USDCNH": "USD/CNH", "C:EURUSD": "EUR/USD", "OANDA:EUR_USD": "EUR/USD", "FX Venue:eur-usd": "EUR/USD",
	} {
		if got, err := bare.ParseSymbol(in); got != want || err != nil {
			t.Errorf("ParseSymbol(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "E", "EUR", "EURUS", "EURUSDX", "EUR//USD", "/EURUSD", "EURUSD/", "EU/RUSD", "EUR/US", "EUR:USD", "EUR USD",
		" EURUSD", "EUR/USD ", "EUR/EUR", "eur/EUR", "FOO/BAR", "EUR/FOO", "FOO/EUR", "EUR/*", "*",
		"EUR/HRK", "EUR/BGN", "EUR/ANG", "EUR/CUC", "USD/ZWL", "EUR/XDR", "EUR/XXX", "EUR/XTS", "USD/CLF", "CNHCNH", "EURUSD.m", "EUR/USD.FXCM", ":EURUSD", "A:B:EURUSD", "EUR.USD.", "BTC/USD", "US30USD",
		"EU\x00/USD", "uſd/EUR", "EUR/USD\x00", "\xff\xfe\xfd\xfc\xfb\xfa", strings.Repeat("EUR/USD", 100_000),
	} {
		got, err := bare.ParseSymbol(in)
		if got != "" || !errors.Is(err, feed.ErrUnknownSymbol) {
			t.Errorf("ParseSymbol(%.40q) = %q, %v; want ErrUnknownSymbol", in, got, err)
			continue
		}
		checkText(t, err.Error())
	}
}

func TestSymbolDigits(t *testing.T) {
	for _, c := range []struct {
		symbol feed.Symbol
		digits int
		pip    string
	}{
		{"EUR/USD", 5, "0.0001"}, {"USD/JPY", 3, "0.01"}, {"GBP/JPY", 3, "0.01"}, {"EUR/HUF", 3, "0.01"},
		{"EUR/CZK", 5, "0.0001"}, {"USD/TRY", 5, "0.0001"}, {"XAU/USD", 3, "0.01"}, {"XAG/EUR", 3, "0.01"},
	} {
		if bare.Digits(c.symbol) != c.digits || bare.Pip(c.symbol) != c.pip {
			t.Errorf("%s: %d digits, pip %s; want %d, %s", c.symbol, bare.Digits(c.symbol), bare.Pip(c.symbol), c.digits, c.pip)
		}
	}
	if s := feed.Symbol("GBP/CHF"); s.Base() != "GBP" || s.Quote() != "CHF" {
		t.Errorf("%s: base %s, quote %s", s, s.Base(), s.Quote())
	}
}

func TestCurrencies(t *testing.T) {
	codes := feed.Currencies()
	// 155 currencies of list one on the stated date, CNH and 4 metals: a code that is missing from
	// the table or listed twice shows here.
	if len(codes) != 155+1+4 || !slices.IsSorted(codes) {
		t.Errorf("%d codes, sorted %v; want 160 sorted", len(codes), slices.IsSorted(codes))
	}
	for code, want := range map[string]int{"EUR": 2, "JPY": 0, "BHD": 3, "MGA": 2, "KRW": 0, "ISK": 0, "XOF": 0} {
		if got, ok := feed.MinorUnits(code); got != want || !ok {
			t.Errorf("MinorUnits(%s) = %d, %v; want %d", code, got, ok, want)
		}
	}
	for _, code := range []string{"XAU", "FOO", "eur", ""} {
		if _, ok := feed.MinorUnits(code); ok {
			t.Errorf("MinorUnits(%q) is known", code)
		}
	}
}

func TestPatterns(t *testing.T) {
	for in, want := range map[string]string{
		"*": "*", "*/*": "*", "EUR/*": "EUR/*", "eur_*": "EUR/*", "EUR*": "EUR/*", "*/jpy": "*/JPY", "*JPY": "*/JPY",
		"eurusd": "EUR/USD", "EUR.*": "EUR/*", "cnh/*": "CNH/*", "C:EUR*": "EUR/*", "OANDA:EUR_USD": "EUR/USD",
	} {
		if got, err := bare.ParsePattern(in); got != want || err != nil {
			t.Errorf("ParsePattern(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "**", "***", "EUR/", "/EUR", "FOO/*", "*/FOO", "E*/USD", "EUR/U*", "EUR/EUR", "*EURUSD", "EUR", "EUR/USD/*"} {
		if got, err := bare.ParsePattern(in); got != "" || !errors.Is(err, feed.ErrUnknownSymbol) {
			t.Errorf("ParsePattern(%q) = %q, %v; want ErrUnknownSymbol", in, got, err)
		} else {
			checkText(t, err.Error())
		}
	}
	for _, c := range []struct {
		pattern string
		symbol  feed.Symbol
		want    bool
	}{
		{"*", "EUR/USD", true}, {"EUR/USD", "EUR/USD", true}, {"EUR/USD", "EUR/JPY", false},
		{"EUR/*", "EUR/USD", true}, {"EUR/*", "USD/EUR", false}, {"*/JPY", "USD/JPY", true}, {"*/JPY", "JPY/USD", false},
		{"", "EUR/USD", false}, {"EUR/*", "", false}, {"EUR", "EUR/USD", false},
	} {
		if got := feed.MatchPattern(c.pattern, c.symbol); got != c.want {
			t.Errorf("MatchPattern(%q, %s) = %v", c.pattern, c.symbol, got)
		}
	}
}

// An accepted pattern must match exactly the symbols with its two halves.
func TestPatternsAgreeWithSymbols(t *testing.T) {
	codes := []string{"EUR", "USD", "JPY", "XAU"}
	for _, base := range append(codes, "*") {
		for _, quote := range append(codes, "*") {
			pattern, err := bare.ParsePattern(base + "/" + quote)
			if base == quote && base != "*" {
				if err == nil {
					t.Errorf("%s/%s is a pattern", base, quote)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range codes {
				for _, q := range codes {
					want := (base == "*" || base == b) && (quote == "*" || quote == q)
					if b != q && feed.MatchPattern(pattern, feed.Symbol(b+"/"+q)) != want {
						t.Errorf("MatchPattern(%s, %s/%s) = %v", pattern, b, q, !want)
					}
				}
			}
		}
	}
}

func TestSymbolAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if s, err := bare.ParseSymbol("EUR/USD"); err != nil || bare.Digits(s) != 5 || !feed.MatchPattern("EUR/*", s) {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a canonical symbol", n)
	}
}

func FuzzParseSymbol(f *testing.F) {
	for _, s := range []string{"EUR/USD", "eurusd", "EUR/*", "*", "*/JPY", "uſd_eur", "XAU-USD", "EUR//USD", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sym, err := bare.ParseSymbol(s)
		if err != nil {
			checkText(t, err.Error())
		} else {
			again, err := bare.ParseSymbol(string(sym))
			_, name, ok := strings.Cut(s, ":")
			if !ok {
				name = s
			}
			letters := strings.Map(func(r rune) rune {
				if strings.ContainsRune("/_-.", r) {
					return -1
				}
				return r
			}, name)
			if again != sym || err != nil || !strings.EqualFold(letters, sym.Base()+sym.Quote()) {
				t.Errorf("ParseSymbol(%q) = %q, then %q, %v", s, sym, again, err)
			}
		}
		pattern, perr := bare.ParsePattern(s)
		if perr != nil {
			checkText(t, perr.Error())
			if err == nil {
				t.Errorf("%q is a symbol and no pattern", s)
			}
			return
		}
		if again, err := bare.ParsePattern(pattern); again != pattern || err != nil {
			t.Errorf("ParsePattern(%q) = %q, then %q, %v", s, pattern, again, err)
		}
		if err == nil && !feed.MatchPattern(pattern, sym) {
			t.Errorf("%q does not match itself", s)
		}
	})
}
