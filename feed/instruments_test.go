package feed_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed"
)

const listing = `{
	"BTC/USD":{"digits":2,"pip":"1","hours":"always"}, "EUR/HRK":{}, "XAU/USD":{"aliases":["GOLD","CFD:Gold spot"]},
	"EUR/USD":{"aliases":["EURUSD.r"],"max_jump":"0.5%","max_spread":"20bp"}, "US30/USD":{"pip":"0.1"}, "BTC/USDT":{"digits":0,"max_jump":0,"max_spread":"0"},
	"USD/CNH":{"hours":{"open":"Mon 09:00","close":"Fri 17:30","zone":"Asia/Shanghai","holidays":["2026-10-01"]}}
}`

var listed = newTable(feed.InstrumentsConfig{Listing: strings.Replace(listing, "CFD:Gold spot", "CFD:Gold", 1), Suffixes: []string{".m", "#", ".FXCM", "T"}})

func newTable(c feed.InstrumentsConfig) *feed.Instruments {
	t, err := feed.NewInstruments(c)
	if err != nil {
		panic(err)
	}
	return t
}

func TestListedSymbols(t *testing.T) {
	for in, want := range map[string]feed.Symbol{
		"EUR/USD": "EUR/USD", "BTC/USD": "BTC/USD", "btcusd": "BTC/USD", "BTC_USD": "BTC/USD", "btc.usd": "BTC/USD", "BTC-USD": "BTC/USD",
		"US30/USD": "US30/USD", "us30usd": "US30/USD", "US30_USD": "US30/USD", "EURHRK": "EUR/HRK", "eur/hrk": "EUR/HRK",
		"GOLD": "XAU/USD", "CFD:Gold": "XAU/USD", "OANDA:GOLD": "XAU/USD", "GOLD.m": "XAU/USD", "EURUSD.r": "EUR/USD",
		"EURUSD.m": "EUR/USD", "eurusd.M": "EUR/USD", "EURUSD#": "EUR/USD", "EUR/USD.FXCM": "EUR/USD", "C:EURUSD.m": "EUR/USD", "eur_usd#": "EUR/USD",
		// A code that is listed is known with every other, and what is a symbol as it
		// stands loses no ending.
		"BTC/EUR": "BTC/EUR", "BTCEUR": "BTC/EUR", "HRK/JPY": "HRK/JPY", "BTC/USDT": "BTC/USDT", "BTCUSDT": "BTC/USDT", "EURUSDT": "EUR/USD", "EUR/USDT": "EUR/USDT",
	} {
		if got, err := listed.ParseSymbol(in); got != want || err != nil {
			t.Errorf("ParseSymbol(%q) = %q, %v; want %q", in, got, err, want)
		}
		if pattern, err := listed.ParsePattern(in); pattern != string(want) || err != nil {
			t.Errorf("ParsePattern(%q) = %q, %v; want %q", in, pattern, err, want)
		}
	}
	for _, in := range []string{"", "gold", "GOLD.r", "EURUSD.R", "EUR/USD.m#", "US30", "US30EUR", "BTC", "ETH/USD", "BTC/BTC", ".m", "#", "T", "BTC:USD", strings.Repeat("BTC", 100)} {
		if got, err := listed.ParseSymbol(in); got != "" || !errors.Is(err, feed.ErrUnknownSymbol) {
			t.Errorf("ParseSymbol(%q) = %q, %v; want ErrUnknownSymbol", in, got, err)
		} else {
			checkText(t, err.Error())
		}
	}
	for in, want := range map[string]string{
		"BTC/*": "BTC/*", "btc*": "BTC/*", "*/USDT": "*/USDT", "*usdt": "*/USDT", "US30/*": "US30/*", "US30*": "US30/*", "*/HRK": "*/HRK", "OANDA:BTC_*": "BTC/*", "*": "*",
	} {
		if got, err := listed.ParsePattern(in); got != want || err != nil {
			t.Errorf("ParsePattern(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, c := range []struct {
		pattern string
		symbol  feed.Symbol
		want    bool
	}{
		{"BTC/*", "BTC/USDT", true}, {"*/USDT", "BTC/USDT", true}, {"*/USD", "BTC/USDT", false}, {"US/*", "US30/USD", false}, {"US30/*", "US30/USD", true},
		{"*/T", "BTC/USDT", false}, {"*", "US30/USD", true}, {"BTC/USD", "BTC/USDT", false},
	} {
		if got := feed.MatchPattern(c.pattern, c.symbol); got != c.want {
			t.Errorf("MatchPattern(%q, %s) = %v", c.pattern, c.symbol, got)
		}
	}
	if s := feed.Symbol("US30/USDT"); s.Base() != "US30" || s.Quote() != "USDT" {
		t.Errorf("%s: base %s, quote %s", s, s.Base(), s.Quote())
	}
}

func TestInstrumentFields(t *testing.T) {
	for _, c := range []struct {
		symbol  feed.Symbol
		digits  int
		pip     string
		hours   string
		aliases []string
		limits  feed.Limits
	}{
		{"EUR/USD", 5, "0.0001", `"fx"`, []string{"EURUSD.r"}, feed.Limits{Jump: 5000, Spread: 2000}},
		{"BTC/USD", 2, "1", `"always"`, nil, feed.Limits{Jump: 100_000, Spread: 30_000}},
		{"US30/USD", 2, "0.1", `"fx"`, nil, feed.Limits{Jump: 100_000, Spread: 30_000}},
		{"BTC/USDT", 0, "1", `"fx"`, nil, feed.Limits{}},
		{"XAU/USD", 3, "0.01", `"fx"`, []string{"GOLD", "CFD:Gold"}, feed.Limits{Jump: 100_000, Spread: 30_000}},
		{"NOK/SEK", 5, "0.0001", `"fx"`, nil, feed.Limits{Jump: 20_000, Spread: 10_000}},
		{"USD/CNH", 5, "0.0001", `{"open":"Mon 09:00","close":"Fri 17:30","zone":"Asia/Shanghai","holidays":["2026-10-01"]}`, nil, feed.Limits{Jump: 100_000, Spread: 30_000}},
	} {
		table := newTable(feed.InstrumentsConfig{Listing: strings.Replace(listing, "CFD:Gold spot", "CFD:Gold", 1), MaxJump: feed.DefaultLimits, MaxSpread: feed.LimitPair{G10: 10_000, Others: 30_000}})
		hours, err := json.Marshal(table.Hours(c.symbol))
		if err != nil || string(hours) != c.hours || table.Digits(c.symbol) != c.digits || table.Pip(c.symbol) != c.pip ||
			!slices.Equal(table.Aliases(c.symbol), c.aliases) || table.Limits(c.symbol) != c.limits {
			t.Errorf("%s: %d digits, pip %s, hours %s, aliases %q, limits %+v, %v; want %+v", c.symbol, table.Digits(c.symbol), table.Pip(c.symbol),
				hours, table.Aliases(c.symbol), table.Limits(c.symbol), err, c)
		}
	}
	if got := bare.Limits("USD/TRY"); got != (feed.Limits{Jump: 100_000, Spread: 100_000}) {
		t.Errorf("limits without settings: %+v", got)
	}
}

func TestListingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "instruments.json")
	if err := os.WriteFile(path, []byte("\ufeff\n"+`{"BTC/USD":{"aliases":["XBT"]}}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := newTable(feed.InstrumentsConfig{Listing: path})
	if s, err := table.ParseSymbol("XBT"); s != "BTC/USD" || err != nil {
		t.Errorf("%s, %v", s, err)
	}
	if _, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: path + "x"}); err == nil || !strings.Contains(err.Error(), "instruments.jsonx") {
		t.Errorf("no such file: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: path}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("empty file: %v", err)
	}
}

func TestListingFaults(t *testing.T) {
	of := func(entry string) string { return `{"BTC/USD":` + entry + `}` }
	for in, want := range map[string]string{
		`{`: "JSON", `{"BTC/USD":{}`: "JSON", `{"BTC/USD":{}}}`: "JSON", "{\n\"BTC/USD\":{},\n}": "line 3", "{\"BTC/USD\":{\"pip\":\"\xff\"}}": "UTF-8",
		`{"BTC/USD":{},"BTC/USD":{}}`: "BTC/USD\" is given twice", of(`null`): "BTC/USD", of(`[]`): "object", of(`{"digits":2,"digits":2}`): "digits\" is given twice",
		`{"btc/usd":{}}`: "btc/usd", `{"BTCUSD":{}}`: "BTCUSD", `{"BTC/BTC":{}}`: "different", `{"B/USD":{}}`: "B/USD", `{"BTCBTCBTCBT/USD":{}}`: "2 to 10", `{"":{}}`: `""`, `{"BTC/US D":{}}`: "US D",
		of(`{"Digits":2}`): `unknown key "Digits"`, of(`{"colour":"red"}`): `unknown key "colour"`,
		of(`{"digits":-1}`): "digits", of(`{"digits":"2"}`): "digits", of(`{"digits":2.0}`): "digits", of(`{"digits":99}`): "digits", of(`{"digits":-0}`): "digits",
		of(`{"pip":"0"}`): "pip", of(`{"pip":"-1"}`): "pip", of(`{"pip":true}`): "pip", of(`{"pip":"1,5"}`): "pip", of(`{"pip":""}`): "pip",
		of(`{"aliases":"GOLD"}`): "aliases", of(`{"aliases":[1]}`): "aliases", of(`{"aliases":[null]}`): "aliases", of(`{"aliases":null}`): "aliases", of(`{"aliases":[""]}`): "aliases", of(`{"aliases":["A*"]}`): "A*", of(`{"aliases":["A,B"]}`): "A,B", of(`{"aliases":["A B"]}`): "A B",
		of(`{"aliases":["` + strings.Repeat("x", 65) + `"]}`): "aliases", of(`{"aliases":["EURUSD"]}`): "is the symbol EUR/USD", of(`{"aliases":["C:eur.usd"]}`): "is the symbol EUR/USD",
		`{"BTC/USD":{"aliases":["X"]},"ETH/USD":{"aliases":["X"]}}`: `"X" also belongs to BTC/USD`,
		`{"BTC/USD":{"aliases":["ETHUSD"]},"ETH/USD":{}}`:           "is the symbol ETH/USD",
		`{"AB/CDEF":{},"ABC/DEF":{}}`:                               "like AB/CDEF",
		of(`{"hours":"weekdays"}`):                                  "hours", of(`{"hours":24}`): "hours", of(`{"hours":{}}`): "open", of(`{"hours":{"open":"Sun 17:00","close":"Fri 17:00"}}`): "zone", of(`{"hours":{"open":"Sun 17:00","close":"Sun 17:00","zone":"UTC"}}`): "always",
		of(`{"hours":{"open":"Sunday 17:00","close":"Fri 17:00","zone":"UTC"}}`): "Sunday", of(`{"hours":{"open":"Sun 24:00","close":"Fri 17:00","zone":"UTC"}}`): "open", of(`{"hours":{"open":"Sun 17:00","close":"Fri 5pm","zone":"UTC"}}`): "close",
		of(`{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"Mars/Base"}}`): "Mars/Base", of(`{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"Local"}}`): "zone", of(`{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"../../etc/passwd"}}`): "zone",
		of(`{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"UTC","holidays":["25.12.2026"]}}`): "25.12.2026", of(`{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"UTC","opens":1}}`): `unknown key "opens"`, of(`{"hours":{"open":1}}`): "open",
		of(`{"max_jump":"2"}`): "max_jump", of(`{"max_jump":2}`): "max_jump", of(`{"max_jump":"-2%"}`): "max_jump", of(`{"max_spread":"1e9%"}`): "max_spread", of(`{"max_spread":""}`): "max_spread", of(`{"max_spread":null}`): "max_spread",
		`{"A/B":{},"btc":{},"C/D":{"x":1}}`:                                  `"btc"`,
		"{" + strings.TrimSuffix(strings.Repeat(`"nope":{},`, 1), ",") + "}": "nope",
		"[]": "neither", "\x00": "neither", "{}\x00": "JSON",
	} {
		table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: in})
		if err == nil || table != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v; want %q in it", in, err, want)
			continue
		}
		checkText(t, err.Error())
	}
	for _, ending := range []string{"", "a b", "*", "é\x00", strings.Repeat("x", 17), ",m"} {
		if _, err := feed.NewInstruments(feed.InstrumentsConfig{Suffixes: []string{ending}}); err == nil || !strings.Contains(err.Error(), "suffix") {
			t.Errorf("suffix %q: %v", ending, err)
		}
	}
}

// Many faults give one error of bounded length.
func TestManyListingFaults(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"BAD%d":{}`, i)
	}
	_, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: "{" + b.String()[1:] + "}"})
	if err == nil || !strings.Contains(err.Error(), "BAD0") || !strings.Contains(err.Error(), "992 more") || len(err.Error()) > 2000 {
		t.Errorf("%v", err)
	}
}

func TestKnownAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		s, err := listed.ParseSymbol("BTC/USD")
		if err != nil || !listed.Known(s) || listed.Known("ETH/USD") || listed.Digits(s) != 2 || listed.Limits(s).Jump != 0 || !s.Canonical() {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Every parsed symbol is canonical, known, and parses to itself, also as a pattern.
func FuzzListedSymbols(f *testing.F) {
	for _, s := range []string{"BTC/USD", "us30usd", "GOLD", "C:EURUSD.m", "EUR/USDT", "*/USDT", "US30*", "OANDA:GOLD#", "EURUSDT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, table := range []*feed.Instruments{listed, bare} {
			symbol, err := table.ParseSymbol(s)
			if err != nil {
				checkText(t, err.Error())
			} else if again, err := table.ParseSymbol(string(symbol)); again != symbol || err != nil || !symbol.Canonical() || !table.Known(symbol) {
				t.Fatalf("%q is %q, then %q, %v", s, symbol, again, err)
			}
			pattern, perr := table.ParsePattern(s)
			if err == nil && (perr != nil || pattern != string(symbol)) {
				t.Fatalf("%q is %q and the pattern %q, %v", s, symbol, pattern, perr)
			}
			if perr != nil {
				checkText(t, perr.Error())
			} else if again, err := table.ParsePattern(pattern); again != pattern || err != nil {
				t.Fatalf("%q is the pattern %q, then %q, %v", s, pattern, again, err)
			}
		}
	})
}

func FuzzListing(f *testing.F) {
	f.Add(listing)
	f.Add("{}\v")
	f.Add(`{"BTC/USD":{"hours":{"open":"Sun 17:00","close":"Fri 17:00","zone":"UTC","holidays":["2026-12-25"]},"max_jump":"1.5%"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if !strings.HasPrefix(strings.TrimSpace(text), "{") {
			return // a path
		}
		table, err := feed.NewInstruments(feed.InstrumentsConfig{Listing: text})
		if err != nil {
			if len(err.Error()) > 4000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var entries map[string]json.RawMessage
		if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &entries); err != nil { // as a setting is trimmed
			t.Fatal(err)
		}
		for name := range entries {
			s, err := table.ParseSymbol(name)
			if err != nil || string(s) != name || table.Digits(s) < 0 || table.Pip(s) == "" {
				t.Fatalf("%q: %q, %v", name, s, err)
			}
			for _, alias := range table.Aliases(s) {
				if got, err := table.ParseSymbol(alias); got != s || err != nil {
					t.Fatalf("alias %q of %s: %s, %v", alias, s, got, err)
				}
			}
		}
	})
}
