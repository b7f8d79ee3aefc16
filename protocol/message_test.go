package protocol_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

var (
	moment = protocol.At(time.Date(2026, 11, 22, 10, 15, 0, 123456000, time.UTC))
	rate   = 4.0
	quote  = protocol.Quote{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: moment, Seq: 1841}
)

// messages are all that a server sends, byte for byte.
var messages = []struct {
	message protocol.Message
	text    string
}{
	{protocol.Welcome{Protocol: protocol.Name, ConnID: "x4k2", ServerTime: moment, HeartbeatMS: 1000,
		Session: protocol.Session{ID: "9b1c4d", Role: "user", ExpiresAt: moment},
		Limits: protocol.Limits{MaxSymbols: 200, CommandsPerSecond: 10, MaxMessageBytes: 32768, MaxConnections: 20,
			Symbols: []string{"*"}, Channels: []string{}, Modes: []string{"latest", "all"}}},
		`{"type":"welcome","protocol":"fx.v1","conn_id":"x4k2","server_time":"2026-11-22T10:15:00.123456Z",` +
			`"session":{"id":"9b1c4d","role":"user","expires_at":"2026-11-22T10:15:00.123456Z"},` +
			`"limits":{"max_symbols":200,"max_rate":0,"commands_per_second":10,"max_message_bytes":32768,"max_connections":20,` +
			`"symbols":["*"],"channels":[],"modes":["latest","all"]},"heartbeat_ms":1000}`},
	{protocol.Renewed{Session: protocol.Session{ID: "9b1c4d", Role: "user", ExpiresAt: moment}},
		`{"type":"session","session":{"id":"9b1c4d","role":"user","expires_at":"2026-11-22T10:15:00.123456Z"}}`},
	{protocol.Ack{ID: json.RawMessage(`7`), Op: "subscribe", OK: []string{"EUR/USD"}, MaxRate: &rate, Mode: "latest",
		Failed: []protocol.Refusal{{Symbol: "FOO/BAR", Code: protocol.ErrorUnknownSymbol, Message: "a < b"}, {Channel: "x", Code: "y", Message: "z"}}},
		`{"type":"ack","id":7,"op":"subscribe","ok":["EUR/USD"],"failed":[{"symbol":"FOO/BAR","code":"unknown_symbol","message":"a \u003c b"},` +
			`{"channel":"x","code":"y","message":"z"}],"max_rate":4,"mode":"latest"}`},
	{protocol.Ack{ID: json.RawMessage(`1`), Op: "pace", EveryMS: new(int64(250)), Align: new(true)}, `{"type":"ack","id":1,"op":"pace","every_ms":250,"align":true}`},
	{protocol.Ack{Op: "pace", EveryMS: new(int64(0)), Align: new(false)}, `{"type":"ack","op":"pace","every_ms":0,"align":false}`},
	{protocol.Ack{Op: "unsubscribe", OK: []string{}, Failed: []protocol.Refusal{}}, `{"type":"ack","op":"unsubscribe","ok":[],"failed":[]}`},
	{protocol.Snapshot{Data: []protocol.Quote{with(protocol.Extra{Epoch: "k3f9", Status: protocol.StatusStale})}},
		`{"type":"snapshot","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"epoch":"k3f9","status":"stale"}]}`},
	{protocol.Snapshot{Reset: true, Data: []protocol.Quote{with(protocol.Extra{Epoch: "k3f9"})}},
		`{"type":"snapshot","reset":true,"data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"epoch":"k3f9"}]}`},
	{protocol.Update{Data: []protocol.Quote{quote, with(protocol.Extra{Epoch: "e", Skipped: 3})}},
		`{"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841},` +
			`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"epoch":"e","skipped":3}]}`},
	{protocol.Update{Data: []protocol.Quote{sized("1000000", "0", protocol.Extra{}), sized("", "2.50", protocol.Extra{Epoch: "e", Skipped: 1}), sized("7", "", protocol.Extra{Status: "stale"})}},
		`{"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","bid_size":"1000000","ask_size":"0","ts":"2026-11-22T10:15:00.123456Z","seq":1841},` +
			`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ask_size":"2.50","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"epoch":"e","skipped":1},` +
			`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","bid_size":"7","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"status":"stale"}]}`},
	{protocol.Update{Data: []protocol.Quote{with(protocol.Extra{Gap: true}), with(protocol.Extra{Epoch: "e", Skipped: 3, Gap: true, Status: "stale"})}},
		`{"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"gap":true},` +
			`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"gap":true,"epoch":"e","skipped":3,"status":"stale"}]}`},
	{protocol.Status{Symbol: "EUR/USD", Status: protocol.StatusStale, Since: moment},
		`{"type":"status","symbol":"EUR/USD","status":"stale","since":"2026-11-22T10:15:00.123456Z"}`},
	{protocol.Status{Symbol: "EUR/USD", Status: protocol.StatusLive, Source: "backup"}, `{"type":"status","symbol":"EUR/USD","status":"live","source":"backup"}`},
	{protocol.Status{Status: protocol.StatusDegraded}, `{"type":"status","status":"degraded"}`},
	{protocol.CandleUpdate{Symbol: "EUR/USD", Interval: "1m", Data: protocol.Candle{Start: minute, Bid: protocol.OHLC{Open: "1.1", High: "1.2", Low: "1.0", Close: "1.10"}, Ask: protocol.OHLC{Open: "1.2", High: "1.3", Low: "1.1", Close: "1.2"}, Ticks: 57, Complete: true}},
		`{"type":"candle","symbol":"EUR/USD","interval":"1m","data":{"t":"2026-11-22T10:15:00Z","bid":["1.1","1.2","1.0","1.10"],"ask":["1.2","1.3","1.1","1.2"],"ticks":57,"complete":true}}`},
	{protocol.CandleUpdate{Symbol: "EUR/USD", Interval: "1d", Data: protocol.Candle{Start: minute, Ticks: 1, Open: true}},
		`{"type":"candle","symbol":"EUR/USD","interval":"1d","data":{"t":"2026-11-22T10:15:00Z","bid":["","","",""],"ask":["","","",""],"ticks":1,"complete":false,"open":true}}`},
	{protocol.DayUpdate{Symbol: "EUR/USD", Day: protocol.Day{Since: minute, Open: "1.10", High: "1.2", Low: "1.0", PreviousClose: "1.09"}},
		`{"type":"day","symbol":"EUR/USD","since":"2026-11-22T10:15:00Z","open":"1.10","high":"1.2","low":"1.0","previous_close":"1.09"}`},
	{protocol.DayUpdate{Symbol: "EUR/USD", Day: protocol.Day{Since: minute, Open: "1", High: "1", Low: "1"}},
		`{"type":"day","symbol":"EUR/USD","since":"2026-11-22T10:15:00Z","open":"1","high":"1","low":"1","previous_close":null}`},
	{protocol.Ack{ID: json.RawMessage(`3`), Op: "subscribe", OK: []string{"EUR/USD"}, Failed: []protocol.Refusal{}, Candles: "1m", Day: true},
		`{"type":"ack","id":3,"op":"subscribe","ok":["EUR/USD"],"failed":[],"candles":"1m","day":true}`},
	{protocol.List{Symbols: []string{}, Channels: []string{}, Candles: []protocol.CandleEntry{{Symbol: "GBP/*", Interval: "4h"}}, Day: []string{"*"}},
		`{"type":"list","symbols":[],"channels":[],"candles":[{"symbol":"GBP/*","interval":"4h"}],"day":["*"]}`},
	{protocol.Relayed{Channel: "news", Data: json.RawMessage(`{"a":1}`), Dropped: 2}, `{"type":"message","channel":"news","data":{"a":1},"dropped":2}`},
	{protocol.Relayed{Channel: `a"b`, Data: json.RawMessage(`"x"`)}, `{"type":"message","channel":"a\"b","data":"x"}`},
	{protocol.Resumed{Symbol: "EUR/USD"}, `{"type":"resumed","symbol":"EUR/USD"}`},
	{protocol.Heartbeat{Time: moment}, `{"type":"heartbeat","ts":"2026-11-22T10:15:00.123456Z"}`},
	{protocol.Pong{ID: json.RawMessage(`"a"`), Time: moment}, `{"type":"pong","id":"a","ts":"2026-11-22T10:15:00.123456Z"}`},
	{protocol.List{Symbols: []string{"EUR/USD"}, Channels: []string{}}, `{"type":"list","symbols":["EUR/USD"],"channels":[]}`},
	{protocol.Error{ID: json.RawMessage(`7`), Code: protocol.ErrorRateLimited, Message: "too many", RetryAfterMS: 800},
		`{"type":"error","id":7,"code":"rate_limited","message":"too many","retry_after_ms":800}`},
	{protocol.Closing{Code: 1012, Reason: "restart", ReconnectAfterMS: 1730}, `{"type":"closing","code":1012,"reason":"restart","reconnect_after_ms":1730}`},
	{protocol.Closing{Code: 4001, Reason: "session revoked"}, `{"type":"closing","code":4001,"reason":"session revoked"}`},
}

func with(x protocol.Extra) protocol.Quote {
	q := quote
	q.Extra = x
	return q
}

func sized(bid, ask string, x protocol.Extra) protocol.Quote {
	q := with(x)
	q.BidSize, q.AskSize = bid, ask
	return q
}

var minute = time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)

func TestMessages(t *testing.T) {
	for _, m := range messages {
		if got := string(m.message.Append(nil)); got != m.text {
			t.Errorf("%T:\n%s\nwant\n%s", m.message, got, m.text)
		}
		got, err := protocol.Decode([]byte(m.text))
		if err != nil || !reflect.DeepEqual(got, m.message) {
			t.Errorf("%s:\n%+v, %v\nwant\n%+v", m.text, got, err, m.message)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                      "unexpected end",
		`[]`:                                    "cannot unmarshal array",
		`{"type":"update","data":{}}`:           "cannot unmarshal object",
		`{"type":"snapshot","reset":"yes"}`:     "cannot unmarshal string",
		`{"type":"update","data":[{"seq":-1}]}`: "cannot unmarshal number",
	} {
		if m, err := protocol.Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want an error with %q", text, m, err, want)
		}
	}
	for _, text := range []string{`{}`, `{"type":"trade"}`} {
		if _, err := protocol.Decode([]byte(text)); !errors.Is(err, protocol.ErrUnknownType) {
			t.Errorf("%s: %v, want ErrUnknownType", text, err)
		}
	}
}

// What a fan-out writes for each client allocates nothing.
func TestAppendAllocations(t *testing.T) {
	body, dst := quote.AppendBody(nil), make([]byte, 0, 512)
	for name, f := range map[string]func(){
		"AppendBody": func() { dst = quote.AppendBody(dst[:0]) },
		"AppendQuote": func() {
			dst = protocol.AppendQuote(dst[:0], body, protocol.Extra{Epoch: "k3f9", Skipped: 3, Status: "stale"})
		},
		"Status":    func() { dst = protocol.Status{Symbol: "EUR/USD", Status: "stale", Since: moment}.Append(dst[:0]) },
		"Heartbeat": func() { dst = protocol.Heartbeat{Time: moment}.Append(dst[:0]) },
		"Relayed":   func() { dst = protocol.Relayed{Channel: "news", Data: body}.Append(dst[:0]) },
		"CutBody":   func() { _, _, _ = protocol.CutBody(body) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
