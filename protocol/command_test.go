package protocol_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

// canonical knows symbols with a slash.
func canonical(name string) (string, error) {
	if !strings.Contains(name, "/") {
		return "", errors.New("no such symbol")
	}
	return strings.ToUpper(name), nil
}

func TestParseCommand(t *testing.T) {
	for text, want := range map[string]protocol.Command{
		`{"op":"ping"}`:                    {Op: protocol.OpPing},
		` {"op":"list","id":null,"x":[]} `: {Op: protocol.OpList},
		`{"op":"subscribe","id":7,"symbols":["eurusd"],"max_rate":4}`: {Op: protocol.OpSubscribe, ID: []byte("7"), Symbols: []string{"eurusd"}, MaxRate: 4,
			Mode: protocol.ModeLatest, Since: map[string]protocol.Position{}},
		`{"op":"subscribe","id":"a","channels":["news"],"mode":"all","since":{"eur/usd":{"epoch":"k3f9","seq":1841}}}`: {Op: protocol.OpSubscribe,
			ID: []byte(`"a"`), Channels: []string{"news"}, Mode: protocol.ModeAll, Since: map[string]protocol.Position{"EUR/USD": {Epoch: "k3f9", Seq: 1841}}},
		`{"op":"pace","every_ms":0}`:                                         {Op: protocol.OpPace, EveryMS: new(0.0)},
		`{"op":"pace","every_ms":2.5e2,"align":true}`:                        {Op: protocol.OpPace, EveryMS: new(250.0), Align: true},
		`{"op":"unsubscribe","symbols":["*"]}`:                               {Op: protocol.OpUnsubscribe, Symbols: []string{"*"}},
		`{"op":"subscribe","symbols":["EUR/USD"],"candles":"1m","day":true}`: {Op: protocol.OpSubscribe, Symbols: []string{"EUR/USD"}, Candles: "1m", Day: true},
		`{"op":"subscribe","symbols":["EUR/USD"],"day":true}`: {Op: protocol.OpSubscribe, Symbols: []string{"EUR/USD"}, Day: true,
			Mode: protocol.ModeLatest, Since: map[string]protocol.Position{}},
		`{"op":"unsubscribe","symbols":["GBP/*"],"candles":"1d"}`: {Op: protocol.OpUnsubscribe, Symbols: []string{"GBP/*"}, Candles: "1d"},
	} {
		got, bad := protocol.ParseCommand([]byte(text), canonical)
		if bad != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, bad, want)
		}
		// What a client sends is read as it was meant.
		again, bad := protocol.ParseCommand(got.Append(nil), canonical)
		if bad != nil || len(again.Since)+len(got.Since) > 0 && !reflect.DeepEqual(again, got) {
			t.Errorf("%s: %+v, %v", got.Append(nil), again, bad)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	position := `{"epoch":"e","seq":1}`
	many := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"%d/USD":%s`, i, position))
		}
		return strings.Join(list, ",")
	}
	pace := "bad_field: every_ms: want 0 (no pace) or a whole number of 10 to 60000 milliseconds"
	for text, want := range map[string]string{
		`{"op":"pace"}`:                              pace,
		`{"op":"pace","every_ms":null}`:              pace,
		`{"op":"pace","every_ms":-250}`:              pace,
		`{"op":"pace","every_ms":9}`:                 pace,
		`{"op":"pace","every_ms":60001}`:             pace,
		`{"op":"pace","every_ms":250.5}`:             pace,
		`{"op":"pace","every_ms":"250"}`:             "bad_field: every_ms: want a number, got a JSON string",
		`{"op":"pace","every_ms":1e999}`:             "bad_field: every_ms: want a number, got 1e999",
		`{"op":"pace","every_ms":250,"align":"yes"}`: "bad_field: align: want true or false, got a JSON string",
		``:                      "bad_json: the message is not valid JSON; want one JSON object",
		`{"op":"ping"} {}`:      "bad_json: the message is not valid JSON; want one JSON object",
		` null `:                "bad_json: want one JSON object, got a JSON null",
		`[]`:                    "bad_json: want one JSON object, got a JSON array",
		`{"op":1}`:              "bad_field: op: want a string, got a JSON number",
		`{"op":"ping","id":[]}`: "bad_field: id: want a number or a string of at most 64 bytes",
		`{}`:                    `unknown_op: op is missing; want "subscribe", "unsubscribe", "pace", "list" or "ping"`,
		`{"op":"no\u0000pe"}`:   `unknown_op: unknown op "no\x00pe"; want "subscribe", "unsubscribe", "pace", "list" or "ping"`,
		`{"op":"subscribe","symbols":["*"],"candles":"2m"}`:                      `bad_field: candles: want one of 1m, 5m, 15m, 1h, 4h, 1d, got "2m"`,
		`{"op":"subscribe","symbols":["*"],"candles":true}`:                      "bad_field: candles: want a string, got a JSON bool",
		`{"op":"subscribe","channels":["news"],"candles":"1m"}`:                  `bad_field: candles: want "symbols" with at least one name`,
		`{"op":"subscribe","symbols":["*"],"candles":"1m","mode":"latest"}`:      "bad_field: mode: candles have none; subscribe to quotes with another command",
		`{"op":"subscribe","symbols":["*"],"candles":"1m","max_rate":4}`:         "bad_field: max_rate: candles have none; subscribe to quotes with another command",
		`{"op":"subscribe","symbols":["*"],"candles":"1m","since":{}}`:           "bad_field: since: candles have none; GET /api/v1/quotes/{base}/{quote}/candles has earlier ones",
		`{"op":"subscribe","symbols":["*"],"day":1}`:                             "bad_field: day: want true or false, got a JSON number",
		`{"op":"unsubscribe","symbols":["*"],"candles":"1w"}`:                    `bad_field: candles: want one of 1m, 5m, 15m, 1h, 4h, 1d, got "1w"`,
		`{"op":"unsubscribe","candles":"1m"}`:                                    `bad_field: candles: want "symbols" with at least one name`,
		`{"op":"unsubscribe"}`:                                                   `bad_field: want "symbols" or "channels" with at least one name`,
		`{"op":"subscribe","mode":"some","symbols":["*"]}`:                       `bad_field: mode: want "latest" or "all", got "some"`,
		`{"op":"subscribe","symbols":"*"}`:                                       "bad_field: symbols: want an array of strings, got a JSON string",
		`{"op":"subscribe","max_rate":-1,"symbols":["*"]}`:                       "bad_field: max_rate: want 0 (no limit) or a positive number of updates per second",
		`{"op":"subscribe","max_rate":1e999,"symbols":["*"]}`:                    "bad_field: max_rate: want a number, got 1e999",
		`{"op":"subscribe","max_rate":1,"mode":"all","symbols":["*"]}`:           `bad_field: max_rate: mode "all" is every tick; want no max_rate, or mode "latest"`,
		`{"op":"subscribe","since":{"x":` + position + `}}`:                      "bad_field: since: no such symbol",
		`{"op":"subscribe","since":{"a/b":{"epoch":"e"}}}`:                       `bad_field: since: A/B: want the "epoch" and "seq" of the last quote received`,
		`{"op":"subscribe","since":{"a/b":7}}`:                                   `bad_field: since: want an object of {"epoch","seq"} by symbol, got a JSON number`,
		`{"op":"subscribe","since":{` + many(1001) + `},"symbols":["*"]}`:        "bad_field: since: want at most 1000 symbols",
		`{"op":"subscribe","symbols":[` + names(1001) + `]}`:                     "bad_field: want at most 1000 names of symbols and channels, got 1001",
		`{"op":"subscribe","symbols":[` + names(999) + `],"channels":["a","b"]}`: "bad_field: want at most 1000 names of symbols and channels, got 1001",
		`{"op":"subscribe","symbols":[[` + names(1001) + `]]}`:                   "bad_field: symbols: want an array of strings, got a JSON array",
		`{"op":"subscribe","symbols":"` + strings.Repeat(",", 1001) + `"}`:       "bad_field: symbols: want an array of strings, got a JSON string",
	} {
		if _, bad := protocol.ParseCommand([]byte(text), canonical); bad == nil || bad.Error() != want {
			t.Errorf("%.60s: %v\nwant %s", text, bad, want)
		}
	}
	// The answer to a bad command has its id, if it had one.
	for _, text := range []string{`{"id":7,"op":"x"}`, `{"op":"subscribe","symbols":[1],"id":7}`, `{"op":"subscribe","symbols":[` + names(1001) + `],"id":7}`} {
		if c, bad := protocol.ParseCommand([]byte(text), canonical); bad == nil || string(bad.ID) != "7" || string(c.ID) != "7" {
			t.Errorf("%.60s: %+v, %+v", text, c, bad)
		}
	}
}

// names returns n names for a JSON array; each has what could be taken for the end of a name.
func names(n int) string { return strings.Repeat(`,"\\\",]"`, n)[1:] }

// TestTooManyNamesTakeNoMemory refuses a long list of names with much less memory than the list
// would take.
func TestTooManyNamesTakeNoMemory(t *testing.T) {
	const runs, list = 100, 4000 * 16
	text := []byte(`{"op":"subscribe","symbols":[` + names(4000) + `]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		protocol.ParseCommand(text, canonical)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > list/4 {
		t.Errorf("4000 names are refused with %d bytes of memory, the list would have at least %d", each, list)
	}
	text = []byte(`{"op":"subscribe","symbols":[` + names(1000) + `]}`)
	if c, bad := protocol.ParseCommand(text, canonical); bad != nil || len(c.Symbols) != 1000 || c.Symbols[999] != `\",]` {
		t.Errorf("%+v, %d names", bad, len(c.Symbols))
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`{"op":"subscribe","id":7,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":"k3f9","seq":1841}}}`))
	f.Add([]byte(`{"op":"ping","id":"é"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, bad := protocol.ParseCommand(text, canonical)
		if bad != nil {
			if answer, err := protocol.Decode(bad.Append(nil)); err != nil {
				t.Errorf("answer to %q: %v, %v", text, answer, err)
			}
			return
		}
		if again, bad := protocol.ParseCommand(c.Append(nil), canonical); bad != nil || again.Op != c.Op || len(again.Symbols) != len(c.Symbols) {
			t.Errorf("%q was sent as %q and read as %+v, %v", text, c.Append(nil), again, bad)
		}
	})
}

// TestCommandID checks that the ID of a long command is found without reading all of it, and only
// an ID that ParseCommand accepts.
func TestCommandID(t *testing.T) {
	names := strings.Repeat(`"EUR/USD",`, 3000) + `"EUR/USD"`
	for _, c := range []struct{ message, want string }{
		{`{"op":"subscribe","id":7,"symbols":[` + names + `]}`, `7`},
		{`{"id":"a","op":"subscribe","since":{},"symbols":[` + names + `]}`, `"a"`},
		{`{"op":"subscribe","since":{"id":{"id":5}},"id":6}`, `6`},
		{`{"op":"subscribe","symbols":[` + names + `],"id":7}`, ``},
		{`{"id":null}`, ``},
		{`{"id":{"id":1}}`, ``},
		{`{"id":"` + strings.Repeat("x", 65) + `"}`, ``},
		{`["id",7]`, ``},
		{`{"id"`, ``},
		{``, ``},
	} {
		if got := string(protocol.CommandID([]byte(c.message))); got != c.want {
			t.Errorf("CommandID(%.60s) = %s, want %s", c.message, got, c.want)
		}
	}
}
