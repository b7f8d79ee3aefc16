package feed_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

const wireMessage = `{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,` +
	`"epoch":"k3f9a2c7","at":1795342500123456,"source":"inbox"}`

var wireTick = feed.Tick{
	Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: time.Date(2026, 11, 22, 10, 15, 0, 123456000, time.UTC),
	Seq: 1841, Epoch: "k3f9a2c7", At: 1795342500123456, Source: "inbox",
	Body: []byte(`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841`),
}

func TestDecodeTick(t *testing.T) {
	for _, c := range []struct {
		name, msg string
		exact     bool
	}{
		{"as published", wireMessage, true},
		{"spaces", strings.NewReplacer(`":`, `": `, `,"`, ` , "`).Replace(wireMessage), false},
		{"other order", `{"source":"inbox","at":1795342500123456,"epoch":"k3f9a2c7","seq":1841,"ts":"2026-11-22T10:15:00.123456Z","ask":"1.08513","bid":"1.08501","symbol":"EUR/USD"}`, false},
		{"no source", strings.Replace(wireMessage, `,"source":"inbox"`, ``, 1), false},
		{"more fields", strings.Replace(wireMessage, `}`, `,"venue":{"id":[1]}}`, 1), false},
		{"other zone", strings.Replace(wireMessage, `10:15:00.123456Z`, `11:15:00.1234569+01:00`, 1), false},
		{"escapes", strings.Replace(wireMessage, `EUR/USD`, `EUR\/\u0055SD`, 1), false},
	} {
		got, err := feed.DecodeTick([]byte(c.msg))
		if err != nil || !reflect.DeepEqual(got, wireTick) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.name, got, err, wireTick)
		}
		if _, ok := feed.DecodeExact([]byte(c.msg)); ok != c.exact {
			t.Errorf("%s: read by the exact path: %v, want %v", c.name, ok, c.exact)
		}
		if cap(got.Body) != len(got.Body) {
			t.Errorf("%s: body has room for %d bytes more: an append would write into the message", c.name, cap(got.Body)-len(got.Body))
		}
	}
	sized := strings.Replace(wireMessage, `,"ts"`, `,"bid_size":"1000000.50","ask_size":"0","ts"`, 1)
	got, ok := feed.DecodeExact([]byte(sized))
	if !ok || got.BidSize != "1000000.50" || got.AskSize != "0" || string(got.AppendJSON(nil)) != sized || !strings.HasPrefix(sized, string(got.Body)) {
		t.Errorf("with sizes: %+v, %v", got, ok)
	}
	if object, err := feed.DecodeTick([]byte(strings.Replace(sized, `"seq"`, ` "seq"`, 1))); err != nil || !reflect.DeepEqual(object, got) {
		t.Errorf("with sizes and a space: %+v, %v", object, err)
	}
	if a, err := feed.DecodeTick([]byte(strings.Replace(wireMessage, `EUR/USD`, `US30/USDT`, 1))); err != nil || a.Symbol != "US30/USDT" {
		t.Errorf("longer codes: %+v, %v", a, err)
	}
	if got := string(wireTick.AppendJSON([]byte("x"))); got != "x"+wireMessage {
		t.Errorf("AppendJSON:\n got %s\nwant x%s", got, wireMessage)
	}
}

func TestDecodeTickRejects(t *testing.T) {
	for _, change := range [][2]string{
		{`EUR/USD`, `EURUSD`}, {`EUR/USD`, `eur/usd`}, {`EUR/USD`, `EUR/F`}, {`EUR/USD`, `EUR/EUR`}, {`EUR/USD`, `EUR/U\u0000D`}, {`"EUR/USD"`, `null`}, {`"symbol":"EUR/USD",`, ``},
		{`,"ts"`, `,"bid_size":"-1","ts"`}, {`,"ts"`, `,"bid_size":"1e5","ts"`}, {`,"ts"`, `,"ask_size":"x","ts"`}, {`,"ts"`, `,"ask_size":1,"ts"`}, {`,"ts"`, `,"bid_size":"1","bid_size":"1","ts"`}, {`,"ts"`, `,"bid_size":"01","ts"`},
		{`"1.08501"`, `1.08501`}, {`1.08501`, `-1.08501`}, {`1.08501`, `0`}, {`1.08501`, `1e5`}, {`1.08501`, ``}, {`1.08501`, `1.2`}, {`1.08501`, `1.08501 `}, {`1.08501`, `01.0`},
		{`2026-11-22T`, `2026-11-31T`}, {`123456Z`, `123456`}, {`.123456Z`, `.123456+`}, {`2026-11-22T`, `0001-11-22T`}, {`2026-11-22T`, `1969-11-22T`}, {`2026-11-22T10:15:00.123456Z`, ``},
		{`"2026-11-22T10:15:00.123456Z"`, `1795342500123`},
		{`1841`, `0`}, {`1841`, `-1`}, {`1841`, `+1`}, {`1841`, `007`}, {`1841`, `1.0`}, {`1841`, `1e3`}, {`1841`, `"1841"`}, {`1841`, ``}, {`1841`, `9007199254740992`}, {`1841`, `99999999999999999999`}, {`1841`, `null`}, {`"seq":1841,`, ``},
		{`k3f9a2c7`, ``}, {`k3f9a2c7`, `a:b`}, {`k3f9a2c7`, `a\"b`}, {`k3f9a2c7`, strings.Repeat("k", 33)}, {`"epoch":"k3f9a2c7",`, ``},
		{`1795342500123456`, `0`}, {`1795342500123456`, `-5`}, {`1795342500123456`, `1.5`}, {`"at":1795342500123456,`, ``},
		{`inbox`, ``}, {`inbox`, `In Box`}, {`"inbox"`, `7`}, {`inbox`, strings.Repeat("x", 33)},
		{`"}`, `"`}, {`"}`, `"}}`}, {`"}`, `"} ` + "\x00"}, {`{"`, `["`}, {`,"seq"`, `,"symbol":"EUR/USD","seq"`},
		{wireMessage, ``}, {wireMessage, `null`}, {wireMessage, `{}`}, {wireMessage, "\xff"}, {wireMessage, strings.Repeat("[", 1<<20)},
	} {
		msg := strings.Replace(wireMessage, change[0], change[1], 1)
		if msg == wireMessage {
			t.Fatalf("%q changes nothing", change)
		}
		got, err := feed.DecodeTick([]byte(msg))
		if err == nil || !reflect.DeepEqual(got, feed.Tick{}) {
			t.Errorf("%.200s: accepted as %+v", msg, got)
			continue
		}
		checkRejection(t, err)
		checkText(t, err.Error())
	}
}

// checkPathsAgree checks that both decoders give the same result for a message.
func checkPathsAgree(t interface{ Fatalf(string, ...any) }, msg []byte) {
	exact, isExact := feed.DecodeExact(bytes.Clone(msg))
	object, err := feed.DecodeObject(msg)
	if isExact && (err != nil || !reflect.DeepEqual(exact, object)) {
		t.Fatalf("%q\n exact %+v\nobject %+v, %v", msg, exact, object, err)
	}
	if err != nil {
		return
	}
	// A tick accepted by either decoder, in the published layout, decodes the same by the exact one.
	published := object.AppendJSON(nil)
	if again, ok := feed.DecodeExact(published); !ok || !reflect.DeepEqual(again, object) {
		t.Fatalf("%q published as %s: %+v, %v; want %+v", msg, published, again, ok, object)
	}
	if !isExact && bytes.Equal(published, msg) {
		t.Fatalf("%q is in the published layout, but the exact path refused it", msg)
	}
	if closed := append(bytes.Clone(object.Body), '}'); !json.Valid(closed) || !bytes.HasPrefix(published, object.Body) {
		t.Fatalf("body %s of %s", object.Body, published)
	}
}

func TestDecodePathsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// A published message with a few bytes changed, cut, doubled or put in.
		msg := []byte(wireMessage)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(msg)-1).Draw(t, "at")
			end := min(len(msg), at+rapid.IntRange(0, 3).Draw(t, "cut"))
			put := rapid.StringOf(rapid.SampledFrom([]rune(`0123456789.eE+-":,{}[] /aZT\u`))).Draw(t, "put")
			msg = append(append(bytes.Clone(msg[:at]), put[:min(len(put), 4)]...), msg[end:]...)
			if len(msg) == 0 {
				return
			}
		}
		checkPathsAgree(t, msg)
	})
}

func FuzzDecodeTick(f *testing.F) {
	f.Add([]byte(wireMessage))
	f.Add([]byte(strings.Replace(wireMessage, `,"source":"inbox"`, ` `, 1)))
	f.Add([]byte(strings.Replace(wireMessage, `.123456Z`, `.5+02:00`, 1)))
	f.Add([]byte(strings.Replace(wireMessage, `inbox`, `","source":"x`, 1)))
	f.Add([]byte(`{"symbol":"EUR/USD","bid":"1"}`))
	f.Add([]byte(strings.Replace(wireMessage, `,"ts"`, `,"bid_size":"5","ask_size":"6.0","ts"`, 1)))
	f.Add([]byte(strings.Replace(wireMessage, `,"ts"`, `,"bid_size":"","ts"`, 1)))
	f.Fuzz(func(t *testing.T, msg []byte) {
		checkPathsAgree(t, msg)
		if _, err := feed.DecodeTick(msg); err != nil {
			checkRejection(t, err)
		}
	})
}

func TestDecodeTickAllocations(t *testing.T) {
	msg := []byte(wireMessage)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := feed.DecodeTick(msg); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // the one copy that all strings share
		t.Errorf("%v allocations", n)
	}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst = wireTick.AppendJSON(dst[:0]) }); n != 0 {
		t.Errorf("AppendJSON: %v allocations", n)
	}
}

// Every tick of a real day keeps its digits from the producer's message to the client's.
func TestRealDayKeepsDigits(t *testing.T) {
	const name = "dukascopy_GBPJPY_2012-12-03_ticks.csv"
	dir := os.Getenv("FXCAST_DATA")
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatalf("%v: set FXCAST_DATA to the directory of the real data", err)
		}
		t.Skipf("%v: set FXCAST_DATA to the directory of the real data", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows[1:] {
		at, err := time.Parse("02.01.2006 15:04:05.000", row[0])
		if err != nil {
			t.Fatal(err)
		}
		ts := protocol.FormatTime(at)
		q, err := feed.ParseInput([]byte(`{"symbol":"GBPJPY","bid":`+row[2]+`,"ask":"`+row[1]+`","ts":"`+ts+`"}`), feed.InputOptions{})
		if err != nil {
			t.Fatalf("row %d %q: %v", i, row, err)
		}
		a := feed.Tick{Symbol: q.Symbol, Bid: q.Bid, Ask: q.Ask, Time: q.Time, Seq: uint64(i + 1), Epoch: "e", At: 1, Source: "dukascopy"}
		got, err := feed.DecodeTick(a.AppendJSON(nil))
		if err != nil || got.Bid != row[2] || got.Ask != row[1] || !got.Time.Equal(at) {
			t.Fatalf("row %d %q became %+v, %v", i, row, got, err)
		}
		want := `{"symbol":"GBP/JPY","bid":"` + row[2] + `","ask":"` + row[1] + `","ts":"` + ts + `"`
		if !strings.HasPrefix(string(got.Body), want) {
			t.Fatalf("row %d: body %s", i, got.Body)
		}
	}
	if len(rows)-1 != 58_953 {
		t.Errorf("%d ticks read, the file has 58,953", len(rows)-1)
	}
}

func BenchmarkDecodeTick(b *testing.B) {
	for name, msg := range map[string]string{"exact": wireMessage, "object": strings.Replace(wireMessage, `,"`, `, "`, 1)} {
		b.Run(name, func(b *testing.B) {
			data := []byte(msg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := feed.DecodeTick(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = wireTick.AppendJSON(dst[:0])
	}
}
