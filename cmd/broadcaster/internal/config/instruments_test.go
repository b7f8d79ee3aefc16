package config

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// INSTRUMENTS is what FEED_BASE, ROLES and all symbols are read by.
func TestInstruments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "instruments.json")
	writeFile(t, path, `{"BTC/USD":{"digits":2,"aliases":["XBT"]},"EUR/USD":{"max_jump":"0.5%"}}`)
	for _, listing := range []string{path, `{"BTC/USD":{"digits":2,"aliases":["XBT"]},"EUR/USD":{"max_jump":"0.5%"}}`} {
		c := mustLoad(t, "INSTRUMENTS="+listing, "FEED_BASE=btc", `ROLES={"guest":{"symbols":["XBT","BTC/*"]}}`, "FEED_SUFFIXES= .m , #", "HOLIDAYS=2026-12-25",
			"GATE_MAX_JUMP=3%,200bp", "GATE_MAX_SPREAD=0")
		table := c.Feed.Instruments
		if s, err := table.ParseSymbol("BTCUSD#"); s != "BTC/USD" || err != nil || table.Digits(s) != 2 || c.Feed.Base != "BTC" {
			t.Errorf("%s, %v, base %s", s, err, c.Feed.Base)
		}
		if table.Limits("EUR/USD") != (feed.Limits{Jump: 5000}) || table.Limits("USD/JPY") != (feed.Limits{Jump: 30_000}) || table.Limits("BTC/USD") != (feed.Limits{Jump: 20_000}) {
			t.Errorf("limits %+v, %+v, %+v", table.Limits("EUR/USD"), table.Limits("USD/JPY"), table.Limits("BTC/USD"))
		}
		if table.Hours("EUR/USD").Open(time.Date(2026, 12, 25, 12, 0, 0, 0, time.UTC)) {
			t.Error("open on a holiday")
		}
		if g, _ := c.Session.Roles.For("guest"); !reflect.DeepEqual(g.Symbols, []string{"BTC/USD", "BTC/*"}) {
			t.Errorf("a guest's symbols: %q", g.Symbols)
		}
	}
	if got := mustLoad(t).Feed.Instruments.Limits("USD/TRY"); got != (feed.Limits{Jump: 100_000, Spread: 100_000}) {
		t.Errorf("limits by default: %+v", got)
	}
	for listing, want := range map[string]string{
		"{":                   "JSON",
		path + ".none":        "instruments.json.none",
		`{"EUR/USD":{"a":1}}`: `unknown key "a"`,
		`{"EUR/USD":{"aliases":["X"]},"EUR/GBP":{"aliases":["X"]}}`: `"X"`,
	} {
		_, err := Load([]string{"INSTRUMENTS=" + listing, `ROLES={"guest":{"symbols":["BTC/*"]}}`})
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], "INSTRUMENTS: ") || !strings.Contains(faults[0], want) {
			t.Errorf("%s: %q, want one fault that says %s", listing, faults, want)
		}
	}
}

func TestCandles(t *testing.T) {
	for text, want := range map[string]string{"": "1m:3d,1h:60d,1d:5y", "1d:1y,1m:90m": "1m:90m,1d:1y", "off": "off"} {
		var set []string
		if text != "" {
			set = []string{"CANDLES=" + text}
		}
		if got := feed.KeptCandles(mustLoad(t, set...).Feed.Candles).String(); got != want {
			t.Errorf("CANDLES=%s: %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"1h:60d": "1m", "1m:72h,2m:72h": `unknown interval "2m"`, "1m:3s": "retention of 1m", "1m:10y": "at most"} {
		_, err := Load([]string{"CANDLES=" + text})
		faults, _ := errors.AsType[Faults](err)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], "CANDLES: ") || !strings.Contains(faults[0], want) {
			t.Errorf("%s: %q, want one fault that says %s", text, faults, want)
		}
	}
}
