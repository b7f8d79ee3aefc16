package feed_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
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
		{`{"symbol":"EURUSD","price":1,"Symbol":"x","extra":{"bid":[1,{"ask":null}]},"extra":2}`, quote("EUR/USD", "1", "1", time.Time{})},
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
	} {
		got, err := feed.ParseInput([]byte(c.in), inbox)
		if err != nil || got != c.want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", c.in, got, err, c.want)
		}
		if err := got.Check(); err != nil {
			t.Errorf("%s: %v", c.in, err)
		}
	}
}

func TestParseInputRejects(t *testing.T) {
	with := func(field, value string) string { return `{"symbol":"EURUSD","price":1,"` + field + `":` + value + `}` }
	price := func(value string) string { return `{"symbol":"EURUSD","price":` + value + `}` }
	long := strings.Repeat("9", 1000)
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
		{`{}`, feed.ReasonMissingSymbol}, {`{"price":1}`, feed.ReasonMissingSymbol}, {`{"symbol":"","price":1}`, feed.ReasonMissingSymbol}, {`{"SYMBOL":"EURUSD","price":1}`, feed.ReasonMissingSymbol},
		{`{"symbol":"USD","price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":7,"price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":["EURUSD"],"price":1}`, feed.ReasonUnknownSymbol},
		{`{"currency":"EUR","price":1}`, feed.ReasonUnknownSymbol}, {`{"currency":"FOO","price":1}`, feed.ReasonUnknownSymbol}, {`{"currency":"EURFOO","price":1}`, feed.ReasonUnknownSymbol},
		{`{"symbol":"EUR/EUR","price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":"` + long + `","price":1}`, feed.ReasonUnknownSymbol}, {`{"symbol":"\ud800\u0000\u202e","price":1}`, feed.ReasonUnknownSymbol},
		{`{"symbol":"EURUSD"}`, feed.ReasonMissingPrice}, {`{"symbol":"EURUSD","bid":1}`, feed.ReasonMissingPrice}, {`{"symbol":"EURUSD","ask":1}`, feed.ReasonMissingPrice},
		{`{"symbol":"EURUSD","bid":1,"price":1}`, feed.ReasonMissingPrice}, {price(`null`), feed.ReasonMissingPrice}, {price(`""`), feed.ReasonMissingPrice},
		{price(`true`), feed.ReasonNotANumber}, {price(`{}`), feed.ReasonNotANumber}, {price(`[1]`), feed.ReasonNotANumber}, {price(`"NaN"`), feed.ReasonNotANumber}, {price(`"+1"`), feed.ReasonNotANumber},
		{price(`"1,5"`), feed.ReasonNotANumber}, {price(`"01"`), feed.ReasonNotANumber}, {price(`"01e1"`), feed.ReasonNotANumber}, {price(`"1e"`), feed.ReasonNotANumber}, {price(`"1e5.5"`), feed.ReasonNotANumber}, {price(`"0x1p4"`), feed.ReasonNotANumber},
		{price(`0`), feed.ReasonZero}, {price(`0.0`), feed.ReasonZero}, {price(`-0`), feed.ReasonZero}, {price(`0e999999999999`), feed.ReasonZero},
		{price(`-1.1`), feed.ReasonNegative}, {price(`-1e-9999999999999999999`), feed.ReasonNegative},
		{price(`1e400`), feed.ReasonTooLong}, {price(`1e-400`), feed.ReasonTooLong}, {price(`1e99999999999999999999`), feed.ReasonTooLong}, {price(`"1e19"`), feed.ReasonTooLong},
		{price(long), feed.ReasonTooLong}, {price(`0.` + long), feed.ReasonTooLong}, {price(long + `e-990`), feed.ReasonTooLong},
		{`{"symbol":"EURUSD","bid":2,"ask":1}`, feed.ReasonCrossed},
		{with("ts", `true`), feed.ReasonBadTime}, {with("ts", `{}`), feed.ReasonBadTime}, {with("ts", `""`), feed.ReasonBadTime}, {with("ts", `"now"`), feed.ReasonBadTime},
		{with("ts", `0`), feed.ReasonBadTime}, {with("ts", `-1795342500123`), feed.ReasonBadTime}, {with("ts", `1795342500`), feed.ReasonBadTime}, {with("ts", `1795342500.123456`), feed.ReasonBadTime},
		{with("ts", `1795342500123456`), feed.ReasonBadTime}, {with("ts", `1795342500123456789`), feed.ReasonBadTime}, {with("ts", `7258118400000`), feed.ReasonBadTime}, {with("ts", `1e400`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22"`), feed.ReasonBadTime}, {with("ts", `"2026-02-29T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-13-01T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-00-01T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-01-00T00:00:00Z"`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22T24:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:60:00Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:60Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00,5Z"`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22T10:15:00.Z"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00+0100"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00+24:00"`), feed.ReasonBadTime}, {with("ts", `"2026-11-22T10:15:00Zjunk"`), feed.ReasonBadTime},
		{with("ts", `"2026-02-30T00:00:00"`), feed.ReasonBadTime}, {with("ts", `"1969-12-31T23:59:59Z"`), feed.ReasonBadTime}, {with("ts", `"2200-01-01T00:00:00Z"`), feed.ReasonBadTime}, {with("ts", `"1970-01-01T00:00:00+00:01"`), feed.ReasonBadTime}, {with("ts", `"0001-01-01T00:00:00Z"`), feed.ReasonBadTime},
		{with("ts", `"2026-11-22T10:15:00.`+long+`Z"`), feed.ReasonBadTime},
		{with("source", `"Desk 7"`), feed.ReasonBadSource}, {with("source", `""`), feed.ReasonBadSource}, {with("source", `7`), feed.ReasonBadSource}, {with("source", `"`+long+`"`), feed.ReasonBadSource},
	} {
		got, err := feed.ParseInput([]byte(c.in), inbox)
		if err == nil {
			t.Errorf("%.100s: accepted as %+v, want %s", c.in, got, c.want)
		} else if reason := checkRejection(t, err); reason != c.want || got != (feed.Quote{}) {
			t.Errorf("%.100s: %v, want %s", c.in, err, c.want)
		}
	}
}

// Each unit gets its own hint: a producer that sends seconds must read "seconds".
func TestTimeUnitIsNamed(t *testing.T) {
	for ts, want := range map[string]string{
		"1795342500": "looks like seconds", "1795342500.5": "looks like seconds", "99999999999": "looks like seconds",
		"100000000000": "", "1795342500123": "", "7258118399999": "",
		"7258118400000": "after the year 2199", "1795342500123456": "looks like microseconds", "1795342500123456789": "looks like nanoseconds",
	} {
		_, err := feed.ParseInput([]byte(`{"symbol":"EURUSD","price":1,"ts":`+ts+`}`), inbox)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("ts %s: %v, want it to say %q", ts, err, want)
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
		`{"symbol":null,"bid":{},"ask":[[]]}`, `[]`, "{\"\xff\":1}", `{"price":1e400,"symbol":"EURUSD"}`,
	} {
		f.Add([]byte(s), "EUR", "desk", false)
	}
	f.Fuzz(func(t *testing.T, data []byte, base, source string, force bool) {
		q, err := feed.ParseInput(data, feed.InputOptions{Base: base, Source: source, ForceSource: force})
		if err != nil {
			checkRejection(t, err)
			return
		}
		if err := q.Check(); err != nil {
			t.Fatalf("%q: accepted, then %v", data, err)
		}
		if q.Time != q.Time.UTC().Truncate(time.Microsecond) || q.TimeUnzoned && !q.Time.IsZero() {
			t.Fatalf("%q: time %v, unzoned %v", data, q.Time, q.TimeUnzoned)
		}
		// Written in the plainest form it must be read as the same again.
		plain := map[string]any{"symbol": q.Symbol, "bid": q.Bid, "ask": q.Ask}
		if !q.Time.IsZero() {
			plain["ts"] = string(feed.AppendTime(nil, q.Time))
		}
		if q.Source != "" {
			plain["source"] = q.Source
		}
		encoded, _ := json.Marshal(plain)
		again, err := feed.ParseInput(encoded, feed.InputOptions{})
		q.TimeUnzoned = false
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
