package feed_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

var inbox = feed.InputOptions{Base: "EUR"}

func TestParseInput(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 15, 0, 123456000, time.UTC)
	ms := at.Truncate(time.Millisecond)
	quote := func(sym feed.Symbol, bid, ask string, at time.Time) feed.Quote {
		return feed.Quote{Symbol: sym, Bid: bid, Ask: ask, Time: at}
	}
	for _, c := range []struct {
		in   string
		want feed.Quote
	}{
		{`{"symbol":"EUR/USD","bid":"1.08450","ask":"1.08460"}`, quote("EUR/USD", "1.08450", "1.08460", time.Time{})},
		{`{"pair":"gbpusd","bid":1.30,"ask":1.310}`, quote("GBP/USD", "1.30", "1.310", time.Time{})},
		{`{"currency":"USD","price":1.2345,"timestamp":"2026-11-22T10:15:00.123456Z"}`, quote("EUR/USD", "1.2345", "1.2345", at)},
		{`{"currency":"usd","price":"1.2345"}`, quote("EUR/USD", "1.2345", "1.2345", time.Time{})},
		{`{"currency":"USD_JPY","price":"150"}`, quote("USD/JPY", "150", "150", time.Time{})},
		{`{"symbol":"EURUSD","pair":"GBPUSD","currency":"JPY","price":1}`, quote("EUR/USD", "1", "1", time.Time{})},
		{`{"symbol":null,"pair":"GBPUSD","bid":null,"ask":null,"price":1,"ts":null,"source":null}`, quote("GBP/USD", "1", "1", time.Time{})},
		{`{"symbol":"EURUSD","bid":1,"ask":2,"price":7}`, quote("EUR/USD", "1", "2", time.Time{})}, // price is then something else: last, or mid
		{`{"symbol":"EURUSD","price":4.98e-05}`, quote("EUR/USD", "0.0000498", "0.0000498", time.Time{})},
		{`{"symbol":"EURUSD","price":"1.50E+2"}`, quote("EUR/USD", "150", "150", time.Time{})},
		{`{"symbol":"EURUSD","price":1.2345e2}`, quote("EUR/USD", "123.45", "123.45", time.Time{})},
		{`{"symbol":"EURUSD","price":0.0120e1}`, quote("EUR/USD", "0.120", "0.120", time.Time{})},
		{`{"symbol":"EURUSD","price":1e0}`, quote("EUR/USD", "1", "1", time.Time{})},
		{"\n {\"\\u0073ymbol\" : \"EUR\\/USD\" , \"price\":1}\r\n", quote("EUR/USD", "1", "1", time.Time{})},
		{`{"symbol":"EURUSD","price":1,"symbols":"x","extra":{"bid":[1,{"ask":null}]},"extra":2}`, quote("EUR/USD", "1", "1", time.Time{})},
		{`{"symbol":"EURUSD","price":1,"ts":1795342500123}`, quote("EUR/USD", "1", "1", ms)},
		{`{"symbol":"EURUSD","price":1,"ts":"1795342500123"}`, quote("EUR/USD", "1", "1", ms)},
		{`{"symbol":"EURUSD","price":1,"ts":1795342500123.4569}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"ts":1.795342500123e12}`, quote("EUR/USD", "1", "1", ms)},
		{`{"symbol":"EURUSD","price":1,"ts":"2026-11-22T10:15:00.1234569999Z"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"ts":"2026-11-22T11:45:00.123456+01:30"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"ts":"2026-11-21 23:15:00.123456-11:00"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"ts":"2026-11-22t10:15:00z"}`, quote("EUR/USD", "1", "1", at.Truncate(time.Second))},
		{`{"symbol":"EURUSD","price":1,"ts":"2024-02-29T00:00:00Z"}`, quote("EUR/USD", "1", "1", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC))},
		{`{"symbol":"EURUSD","price":1,"ts":1795342500123,"timestamp":"junk"}`, quote("EUR/USD", "1", "1", ms)},
		{`{"symbol":"EURUSD","price":1,"ts":"2026-11-22T10:15:00.123"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", TimeUnzoned: true}},
		{`{"symbol":"EURUSD","price":1,"timestamp":"2026-11-22 10:15:00"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", TimeUnzoned: true}},
		{`{"symbol":"EURUSD","price":1,"source":"desk-7"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: "desk-7"}},
		// Names in any case, and all names of one thing.
		{`{"SYMBOL":"EURUSD","Bid":1,"ASK":2,"Time":1795342500123,"Source":"Desk"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "2", Time: ms, Source: "desk"}},
		{`{"Instrument":"OANDA:EUR_USD","price":1}`, quote("EUR/USD", "1", "1", time.Time{})},
		{`{"currency":"USD","instrument":"GBPUSD","price":1}`, quote("GBP/USD", "1", "1", time.Time{})},
		{`{"currency":"CNH","price":7.1}`, quote("EUR/CNH", "7.1", "7.1", time.Time{})},
		{`{"symbol":"EURUSD","price":1,"time":"2026-11-22T10:15:00.123456Z"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"datetime":"2026-11-22T12:15:00,123456+0200"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"t":"2026-11-22T12:15:00.123456+02"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"t":"20261122-10:15:00.123456789"}`, quote("EUR/USD", "1", "1", at)},
		{`{"symbol":"EURUSD","price":1,"t":"20261122-10:15:00"}`, quote("EUR/USD", "1", "1", at.Truncate(time.Second))},
		{`{"symbol":"EURUSD","price":1,"t":7,"ts":1795342500123}`, quote("EUR/USD", "1", "1", ms)},
		{`{"symbol":"EURUSD","price":1,"ts":null,"timestamp":"","time":1795342500123}`, quote("EUR/USD", "1", "1", ms)},
		{`{"symbol":"EURUSD","price":1,"ts":""}`, quote("EUR/USD", "1", "1", time.Time{})},
		// Decimals of Python, .NET and Java, and sizes.
		{`{"symbol":"EURUSD","price":"0.006451545676650670236260261099"}`, quote("EUR/USD", "0.006451545676650670236260261099", "0.006451545676650670236260261099", time.Time{})},
		{`{"symbol":"EURUSD","price":1.08450000000000000000}`, quote("EUR/USD", "1.08450000000000000000", "1.08450000000000000000", time.Time{})},
		{`{"symbol":"EURUSD","price":1.0850E0}`, quote("EUR/USD", "1.0850", "1.0850", time.Time{})},
		{`{"symbol":"EURUSD","price":"7.9228162514264337593543950335"}`, quote("EUR/USD", "7.9228162514264337593543950335", "7.9228162514264337593543950335", time.Time{})},
		{`{"symbol":"EURUSD","price":1,"bid_size":1000000.0,"ASK_SIZE":"1.5e6"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", BidSize: "1000000.0", AskSize: "1500000"}},
		{`{"symbol":"EURUSD","price":1,"bid_size":0,"ask_size":0.00}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", BidSize: "0", AskSize: "0.00"}},
		{`{"symbol":"EURUSD","price":1,"bid_size":null,"ask_size":""}`, quote("EUR/USD", "1", "1", time.Time{})},
		{`{"symbol":"EURUSD","price":1,"bid_size":-1,"ask_size":2}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", AskSize: "2", BadSizes: 1}},
		{`{"symbol":"EURUSD","price":1,"bid_size":"lots","ask_size":{}}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", BadSizes: 2}},
		{`{"symbol":"EURUSD","price":1,"bid_size":1e400,"ask_size":"` + strings.Repeat("9", 10<<10) + `"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", BadSizes: 2}},
		{`{"symbol":"EURUSD","price":1,"bid_size":true,"ask_size":"NaN"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", BadSizes: 2}},
		// No label refuses a price.
		{`{"symbol":"EURUSD","price":1,"source":"LMAX Digital/NY4 é"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: "lmax_digital_ny4__"}},
		{`{"symbol":"EURUSD","price":1,"source":""}`, quote("EUR/USD", "1", "1", time.Time{})},
		{`{"symbol":"EURUSD","price":1,"source":7}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: "7"}},
		{`{"symbol":"EURUSD","price":1,"source":true}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: "true"}},
		{`{"symbol":"EURUSD","price":1,"source":"` + strings.Repeat("é", 40) + `"}`, feed.Quote{Symbol: "EUR/USD", Bid: "1", Ask: "1", Source: strings.Repeat("_", 32)}},
	} {
		got, err := feed.ParseInput([]byte(c.in), inbox)
		if err != nil || got != c.want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", c.in, got, err, c.want)
		}
		if err := bare.Check(got); err != nil {
			t.Errorf("%s: %v", c.in, err)
		}
	}
}

func TestParseInputRejects(t *testing.T) {
	with := func(field, value string) string { return `{"symbol":"EURUSD","price":1,"` + field + `":` + value + `}` }
	price := func(value string) string { return `{"symbol":"EURUSD","price":` + value + `}` }
	long := strings.Repeat("9", 10<<10)
	for _, c := range []struct {
		in   string
		want feed.Reason
	}{
		{``, feed.ReasonBadJSON}, {`null`, feed.ReasonBadJSON}, {`[]`, feed.ReasonBadJSON}, {`"x"`, feed.ReasonBadJSON}, {`7`, feed.ReasonBadJSON},
		{`{`, feed.ReasonBadJSON}, {`{"symbol":"EURUSD","price":1}}`, feed.ReasonBadJSON}, {`{"symbol":"EURUSD","price":1} x`, feed.ReasonBadJSON},
		{`{"symbol":"EURUSD","price":1}{}`, feed.ReasonBadJSON}, {`[{"symbol":"EURUSD","price":1}]`, feed.ReasonBadJSON}, {`{"symbol":"EURUSD","price":1,}`, feed.ReasonBadJSON},
		{`{'symbol':'EURUSD'}`, feed.ReasonBadJSON}, {"\x00\x01\x02", feed.ReasonBadJSON}, {"{\"symbol\":\"EUR\xff\"}", feed.ReasonBadJSON},
		{price(`NaN`), feed.ReasonBadJSON}, {price(`+1`), feed.ReasonBadJSON}, {price(`01`), feed.ReasonBadJSON}, {price(`.5`), feed.ReasonBadJSON},
		{`{"symbol":"EURUSD","symbol":"EURUSD","price":1}`, feed.ReasonBadJSON}, {`{"symbol":"EURUSD","price":1,"\u0070rice":2}`, feed.ReasonBadJSON},
		{`{"symbol":null,"symbol":"EURUSD","price":1}`, feed.ReasonBadJSON},
		{strings.Repeat("[", 60_000), feed.ReasonBadJSON}, {`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, feed.ReasonBadJSON},
		{`{"x":"` + strings.Repeat("x", 1<<20) + `","symbol":"EURUSD","price":1}`, feed.ReasonTooLong},
		{`{}`, feed.ReasonMissingSymbol}, {`{"price":1}`, feed.ReasonMissingSymbol}, {`{"symbol":"","price":1}`, feed.ReasonMissingSymbol}, {`{"ſymbol":"EURUSD","price":1}`, feed.ReasonMissingSymbol},
		{`{"symbol":"USD","price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":7,"price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":["EURUSD"],"price":1}`, feed.ReasonUnknownSymbol},
		{`{"currency":"EUR","price":1}`, feed.ReasonUnknownSymbol}, {`{"currency":"FOO","price":1}`, feed.ReasonUnknownSymbol}, {`{"currency":"EURFOO","price":1}`, feed.ReasonUnknownSymbol},
		{`{"symbol":"EUR/EUR","price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":"` + long + `","price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":"\ud800\u0000\u202e","price":1}`, feed.ReasonUnknownSymbol},
		{`{"symbol":"EURUSD"}`, feed.ReasonMissingPrice}, {`{"symbol":"EURUSD","bid":1}`, feed.ReasonMissingPrice}, {`{"symbol":"EURUSD","ask":1}`, feed.ReasonMissingPrice},
		{`{"symbol":"EURUSD","bid":1,"price":1}`, feed.ReasonMissingPrice}, {price(`null`), feed.ReasonMissingPrice}, {price(`""`), feed.ReasonMissingPrice},
		{price(`true`), feed.ReasonNotANumber}, {price(`{}`), feed.ReasonNotANumber}, {price(`[1]`), feed.ReasonNotANumber}, {price(`"NaN"`), feed.ReasonNotANumber}, {price(`"+1"`), feed.ReasonNotANumber},
		{price(`"1,5"`), feed.ReasonNotANumber}, {price(`"01"`), feed.ReasonNotANumber}, {price(`"01e1"`), feed.ReasonNotANumber}, {price(`"1e"`), feed.ReasonNotANumber}, {price(`"1e5.5"`), feed.ReasonNotANumber}, {price(`"0x1p4"`), feed.ReasonNotANumber},
		{price(`0`), feed.ReasonZero}, {price(`0.0`), feed.ReasonZero}, {price(`-0`), feed.ReasonZero}, {price(`0e999999999999`), feed.ReasonZero},
		{price(`-1.1`), feed.ReasonNegative}, {price(`-1e-9999999999999999999`), feed.ReasonNegative},
		{price(`1e400`), feed.ReasonTooLong}, {price(`1e-400`), feed.ReasonTooLong}, {price(`1e99999999999999999999`), feed.ReasonTooLong}, {price(`"1e64"`), feed.ReasonTooLong},
		{price(long), feed.ReasonTooLong}, {price(`0.` + long), feed.ReasonTooLong}, {price(long + `e-10230`), feed.ReasonTooLong},
		{`{"symbol":"EURUSD","bid":2,"ask":1}`, feed.ReasonCrossed},
		{with("ts", `true`), feed.ReasonBadTime}, {with("ts", `{}`), feed.ReasonBadTime}, {with("ts", `[]`), feed.ReasonBadTime}, {with("ts", `"now"`), feed.ReasonBadTime},
		{with("ts", `0`), feed.ReasonBadTime}, {with("ts", `-1795342500123`), feed.ReasonBadTime},
		{with("ts", `631151999`), feed.ReasonBadTime}, {with("ts", `1e5`), feed.ReasonBadTime}, {with("ts", `"20261122"`), feed.ReasonBadTime}, {with("ts", `9999999999999999999`), feed.ReasonBadTime}, {with("ts", `7258118400000`), feed.ReasonBadTime}, {with("ts", `1e400`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22"`), feed.ReasonBadTime}, {with("ts", `"2026-02-29T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-13-01T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-00-01T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-01-00T00:00:00Z"`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22T24:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:60:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:60Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00,Z"`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22T10:15:00.Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00+010"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00+01:"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00+01:000"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00+24:00"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00Zjunk"`), feed.ReasonBadTime},
		{with("ts", `"2026-02-30T00:00:00"`), feed.ReasonBadTime}, {with("ts", `"1969-12-31T23:59:59Z"`), feed.ReasonBadTime}, {with("ts", `"2200-01-01T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"1970-01-01T00:00:00+00:01"`), feed.ReasonBadTime}, {with("ts", `"0001-01-01T00:00:00Z"`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22T10:15:00.`+long+`Z"`), feed.ReasonBadTime},
		{with("ts", `"1989-12-31T23:59:59.999999Z"`), feed.ReasonBadTime}, {with("ts", `"1989-12-31T23:59:59"`), feed.ReasonBadTime}, {with("ts", `"9999-12-31T23:59:59Z"`), feed.ReasonBadTime},
		{with("ts", `"20261122-10:15"`), feed.ReasonBadTime}, {with("ts", `"20261131-10:15:00"`), feed.ReasonBadTime}, {with("ts", `"20261122-10:15:00+01"`), feed.ReasonBadTime}, {with("ts", `"20261122-10:15:00."`), feed.ReasonBadTime},
		{with("t", `"now"`), feed.ReasonBadTime}, {`{"symbol":"EURUSD","price":1,"ts":"","time":"now"}`, feed.ReasonBadTime},
		{`{"symbol":"EURUSD","Symbol":"EURUSD","price":1}`, feed.ReasonBadJSON}, {`{"symbol":"EURUSD","price":1,"PRICE":null}`, feed.ReasonBadJSON},
	} {
		got, err := feed.ParseInput([]byte(c.in), inbox)
		if err == nil {
			t.Errorf("%.100s: accepted as %+v, want %s", c.in, got, c.want)
		} else if reason := checkRejection(t, err); reason != c.want || got != (feed.Quote{Symbol: got.Symbol, Source: got.Source}) {
			t.Errorf("%.100s: %v, want %s", c.in, err, c.want)
		}
	}
}

// The quote of a rejected message has the symbol and source that could be read.
func TestParseInputRejectsWithSymbolAndSource(t *testing.T) {
	for _, c := range []struct {
		in   string
		want feed.Quote
	}{
		{`{"symbol":"eurusd","bid":"x","ask":1,"source":"Desk 1"}`, feed.Quote{Symbol: "EUR/USD", Source: "desk_1"}},
		{`{"symbol":"EUR/FOO","price":1,"source":"lmax"}`, feed.Quote{Source: "lmax"}},
		{`{"symbol":"EUR/USD","price":1,"ts":"now"}`, feed.Quote{Symbol: "EUR/USD", Source: "token"}},
		{`garbage`, feed.Quote{Source: "token"}},
	} {
		q, err := feed.ParseInput([]byte(c.in), feed.InputOptions{Source: "token"})
		if err == nil || q != c.want {
			t.Errorf("%s: %+v, %v; want %+v and a rejection", c.in, q, err, c.want)
		}
	}
}

// The magnitude of a Unix time determines its unit, for numbers and strings alike.
func TestUnixTime(t *testing.T) {
	for ts, want := range map[string]string{
		"631152000": "1990-01-01T00:00:00.000000Z", "7258118399": "2199-12-31T23:59:59.000000Z",
		"1795342500": "2026-11-22T10:15:00.000000Z", "1795342500.5": "2026-11-22T10:15:00.500000Z", "1795342500.1234569": "2026-11-22T10:15:00.123456Z",
		"1795342500123": "2026-11-22T10:15:00.123000Z", "1795342500123.4569": "2026-11-22T10:15:00.123456Z", "1.7953425e9": "2026-11-22T10:15:00.000000Z",
		"1795342500123456": "2026-11-22T10:15:00.123456Z", "1795342500123456.9": "2026-11-22T10:15:00.123456Z",
		"1795342500123456789": "2026-11-22T10:15:00.123456Z", "1795342500123456789.5": "2026-11-22T10:15:00.123456Z", "1.795342500123456789E+18": "2026-11-22T10:15:00.123456Z",
		"631151999": "", "7258118400": "", "99999999999": "", "100000000000": "", "631152000000": "1990-01-01T00:00:00.000000Z",
		"99999999999999": "", "100000000000000": "", "631152000000000": "1990-01-01T00:00:00.000000Z", "99999999999999999": "", "631152000000000000": "1990-01-01T00:00:00.000000Z",
		"7258118400000000000": "", "0": "", "-1795342500": "", "1": "",
	} {
		for _, value := range []string{ts, `"` + ts + `"`} {
			q, err := feed.ParseInput([]byte(`{"symbol":"EURUSD","price":1,"ts":`+value+`}`), inbox)
			if want == "" {
				if err == nil || checkRejection(t, err) != feed.ReasonBadTime {
					t.Errorf("ts %s: %v, %v; want bad_time", value, q.Time, err)
				}
			} else if got := protocol.FormatTime(q.Time); err != nil || got != want {
				t.Errorf("ts %s: %s, %v; want %s", value, got, err, want)
			}
		}
	}
}

// The result must not change when the caller reuses its buffer.
func TestParseInputCopies(t *testing.T) {
	data := []byte(`{"symbol":"EUR/USD","bid":1.5,"ask":"1.6","source":"desk"}`)
	q, err := feed.ParseInput(data, inbox)
	clear(data)
	if want := (feed.Quote{Symbol: "EUR/USD", Bid: "1.5", Ask: "1.6", Source: "desk"}); err != nil || q != want {
		t.Errorf("%+v, %v", q, err)
	}
}

func FuzzParseInput(f *testing.F) {
	for _, s := range []string{
		`{"currency":"USD","price":1.2345,"timestamp":"2026-11-22T10:15:00Z"}`,
		`{"symbol":"EUR/USD","bid":"1.08450","ask":1.0846e0,"ts":1795342500123,"source":"desk"}`,
		`{"pair":"gbp_usd","bid":4.98e-05,"ask":"5e-5","ts":"2026-11-22 10:15:00.5"}`,
		`{"symbol":null,"bid":{},"ask":[[]]}`, `[]`, `{"Instrument":"C:EURUSD","PRICE":"1.0850E0","Bid_Size":"1e6","ask_size":-1,"T":"20261122-10:15:00.5","Source":"LMAX 1"}`,
		`{"currency":"BTC","price":1e-7,"datetime":"2026-11-22T10:15:00,5+02","bid_size":0.0}`, "{\"\xff\":1}", `{"price":1e400,"symbol":"EURUSD"}`,
	} {
		f.Add([]byte(s), "EUR", "desk", false)
	}
	f.Fuzz(func(t *testing.T, data []byte, base, source string, force bool) {
		source = feed.SourceName(source) // as settings do
		o := feed.InputOptions{Instruments: listed, Base: base, Source: source, ForceSource: force}
		q, err := feed.ParseInput(data, o)
		if err != nil {
			checkRejection(t, err)
			return
		}
		if err := listed.Check(q); err != nil {
			t.Fatalf("%q: accepted, then %v", data, err)
		}
		if q.Time != q.Time.UTC().Truncate(time.Microsecond) || q.TimeUnzoned && !q.Time.IsZero() {
			t.Fatalf("%q: time %v, unzoned %v", data, q.Time, q.TimeUnzoned)
		}
		// Written in the plainest form it must be read as the same again.
		plain := map[string]any{"symbol": q.Symbol, "bid": q.Bid, "ask": q.Ask}
		if !q.Time.IsZero() {
			plain["ts"] = protocol.FormatTime(q.Time)
		}
		if q.Source != "" {
			plain["source"] = q.Source
		}
		if q.BidSize != "" {
			plain["bid_size"] = q.BidSize
		}
		if q.AskSize != "" {
			plain["ask_size"] = q.AskSize
		}
		encoded, _ := json.Marshal(plain)
		again, err := feed.ParseInput(encoded, feed.InputOptions{Instruments: listed})
		q.TimeUnzoned, q.BadSizes = false, 0
		if err != nil || again != q {
			t.Fatalf("%q: %+v, then %+v, %v", data, q, again, err)
		}
	})
}

func BenchmarkParseInput(b *testing.B) {
	data := []byte(`{"symbol":"EUR/USD","bid":"1.08450","ask":"1.08460","ts":"2026-11-22T10:15:00.123456Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := feed.ParseInput(data, inbox); err != nil {
			b.Fatal(err)
		}
	}
}
